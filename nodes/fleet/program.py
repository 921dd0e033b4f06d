"""The program that workers run, wherever they do: how it is started, and how one of it ended."""

from __future__ import annotations

import signal
import sys
from importlib import metadata

PROGRAM = (sys.executable, "-P", "-m", "nodes.cli")
"""What a worker's arguments follow. -P: a folder "nodes" where this happens to run is not ours."""

OUTPUT_ENDS_WITHIN_S = 1.0
"""Seconds after a worker's end within which its output ends too, unless others hold it open."""


def installed_version() -> str:
    """Which version of it is installed here."""
    return metadata.version("rollcall-console")


def describe_end(status: int) -> str:
    """How a process ended, in words; `status` as `Popen.returncode`."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
