"""The program that workers run, wherever they do: how it is started, and how one of it ended."""

from __future__ import annotations

import os
import signal
import site
import sys
from pathlib import Path

PROGRAM = (sys.executable, "-P", "-m", "nodes.cli")
"""What a worker's arguments follow. -P: a folder "nodes" where this happens to run is not ours."""

OUTPUT_ENDS_WITHIN_S = 1.0
"""Seconds after a worker's end within which its output ends too, unless others hold it open."""


_IMPORTED_FROM = Path(__file__).resolve().parent.parent.parent


def program_environment(**more: str) -> dict[str, str]:
    """The environment in which `PROGRAM` is this very program: one that is not installed, but in a
    folder that this process was told of, is found as well.

    Args:
        more: what it has beside this process's own.
    """
    environment = {**os.environ, **more}
    if str(_IMPORTED_FROM) not in (*site.getsitepackages(), site.getusersitepackages()):
        before = environment.get("PYTHONPATH")
        folders = [str(_IMPORTED_FROM), *([before] if before else [])]
        environment["PYTHONPATH"] = os.pathsep.join(folders)
    return environment


def describe_end(status: int) -> str:
    """How a process ended, in words; `status` as `Popen.returncode`."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
