"""Where a program may find itself: with closed streams, nobody's home, not installed, as PID 1."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import psutil
import pytest

import nodes
from nodes.client.blocking import Client
from tests.kit import PATIENCE, poll_for, shipped_records

UP = ("-P", "-m", "nodes.cli", "up", "--port", "0", "--workers", "1")
NOBODY = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
"""Before a command: it is run by a user whom the system does not know."""

FIRST = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
"""Before a command: it is the first process of its own system."""


def allowed(prefix: tuple[str, ...]) -> pytest.MarkDecorator:
    """Skips where this system does not let a test do that."""
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
        why = done.stderr.strip()
    except FileNotFoundError:
        why = "there is no such program"
    return pytest.mark.skipif(bool(why), reason=f"{' '.join(prefix)}: {why}")


@contextlib.contextmanager
def running(*command: str, **options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A cluster's process, and what it says once it is ready: "" if it ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()
            process.wait(PATIENCE)


def answers(ready: str) -> bool:
    """Whether the cluster that said so answers."""
    address = ready.removeprefix("ready: ").partition(",")[0]
    with Client(address) as client:
        record = shipped_records()[0]
        return record in client.lookup("getbyname", record["name"])


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_closed_streams_are_no_place_for_connections(closed: str) -> None:
    with running("sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, *UP) as (process, ready):
        assert answers(ready), "what is printed went into a connection, or a loop ended"
    assert process.returncode == 0


def test_a_command_without_any_stream_ends_with_its_code() -> None:
    shell = 'exec "$0" -P -m nodes.cli ps --master 127.0.0.1:1 <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, sys.executable], check=False).returncode == 2


@allowed(NOBODY)
def test_without_a_home_one_line_says_what_to_do(tmp_path: Path) -> None:
    without = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*NOBODY, sys.executable, *UP], env=without, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no home folder" in line and "user 12345" in line and "set HOME, or ROLL" in line
    folders = {"ROLLCALL_STATE": str(tmp_path / "s"), "ROLLCALL_CACHE": str(tmp_path / "c")}
    with running(*NOBODY, sys.executable, *UP, env=without | folders) as (_, ready):
        assert answers(ready), "with folders of its own it needs no home"


def test_a_folder_that_is_only_on_the_path_is_enough(tmp_path: Path) -> None:
    """Nothing is installed: its libraries come from where they are, and Rollcall from a folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    source = Path(nodes.__file__).parent.parent
    for name in ("nodes", "console", "data", "pyproject.toml"):
        (folder / name).symlink_to(source / name)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for found in Path(click.__file__).parent.parent.iterdir():
        if "rollcall" not in found.name:
            (libraries / found.name).symlink_to(found)
    # -S: without what is installed, and so without our own.
    start = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(libraries)!r}]; "
    program = start + "from nodes.cli import main; sys.argv[0] = 'rollcall-nodes'; main()"
    version = [sys.executable, "-P", "-S", "-c", program, "--version"]
    assert "version" in subprocess.run(version, capture_output=True, text=True, check=True).stdout
    with running(sys.executable, "-P", "-c", program, *UP[3:]) as (_, ready):
        assert answers(ready)


@allowed(FIRST)
def test_the_first_process_of_a_system_reaps_orphans_and_ends_as_told() -> None:
    with running(*FIRST, sys.executable, *UP) as (process, ready):
        assert answers(ready)
        (first,) = psutil.Process(process.pid).children()
        enter = ["nsenter", "--target", str(first.pid), "--user", "--preserve-credentials", "--pid"]
        # A child whose parent is gone, in that system: it is the first process's then.
        subprocess.run([*enter, "sh", "-c", "sleep 0.1 & exit"], check=True)
        poll_for(lambda: [child.name() for child in first.children()] == [first.name()])
        first.terminate()
        assert process.wait(PATIENCE) == 0, "the signal was passed on, and so was the code"
