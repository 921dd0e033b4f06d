"""One cache for several processes: concurrent builds, and builds that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_reader import SqliteCatalog
from tests.catalog.conftest import Put
from tests.catalog.kit import catalog_of, catalogs, person, plain_scan
from tests.kit import PATIENCE

RECORDS = [person(f"p{number % 500}", f"City {number % 9}", number) for number in range(6000)]

BUILD = """
import sys
from pathlib import Path
from nodes.catalog import ensure_catalog

data, pause = sys.argv[1:]

def progress(stage, done, total):
    global pause
    if pause == f"{stage} {done > 0}":
        pause = ""
        print("paused", flush=True)
        sys.stdin.readline()

print("started", flush=True)
sys.stdin.readline()
print(ensure_catalog(Path(data), progress=progress, force=True).path, flush=True)
"""
"""Builds after a line of input; pauses once, where a stage begins ("False") or goes on ("True")."""


@pytest.fixture
def data(put: Put) -> Path:
    return put({"a.json": RECORDS[:3000], "b.jsonl": "\n".join(map(json.dumps, RECORDS[3000:]))})


class Builder:
    """A process that builds the catalog of `data`, step by step."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read_line(self) -> str:
        """Its next line of output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        """Let it go on from its pause."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Kill it, with no time to clean up."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(PATIENCE) == -signal.SIGKILL


@contextmanager
def builder(data: Path, pause: str = "never") -> Iterator[Builder]:
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(data), pause],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            started = Builder(process)
            assert started.read_line() == "started"
            yield started
        finally:
            process.kill()


def check(data: Path) -> None:
    """The catalog of `data` is there and has all the answers."""
    with catalog_of(data) as catalog:
        assert catalog.info.records == len(RECORDS)
        for name in ("p0", "p7", "p499"):
            assert catalog.records("getbyname", name) == plain_scan(RECORDS, ("name",), (name,))


def test_concurrent_builds_make_one_catalog(data: Path, cache: Path) -> None:
    with builder(data) as one, builder(data) as two, builder(data) as three:
        together = [one, two, three]
        for each in together:
            each.go()
        paths = {each.read_line() for each in together}
        assert [each.process.wait(PATIENCE) for each in together] == [0, 0, 0]
    (path,) = paths
    assert catalogs(cache) == [Path(path).name]
    check(data)


@pytest.mark.parametrize("pause", ["read False", "read True", "index False", "index True"])
def test_a_killed_build_leaves_nothing_that_is_used(data: Path, cache: Path, pause: str) -> None:
    with builder(data, pause) as victim:
        victim.go()
        assert victim.read_line() == "paused"
        victim.kill()
    (leftover,) = catalogs(cache)
    assert leftover.endswith(".tmp")
    check(data)
    (left,) = catalogs(cache)
    assert left.endswith(".db")


def test_a_killed_build_leaves_the_old_catalog_as_it_is(data: Path, cache: Path) -> None:
    info = ensure_catalog(data)
    content = Path(info.path).read_bytes()
    with SqliteCatalog.open(info.path).reader() as reader, builder(data, "index True") as victim:
        victim.go()
        assert victim.read_line() == "paused"
        victim.kill()
        assert Path(info.path).read_bytes() == content
        assert reader.find("getbyname", ["p7"]).count == 12
    check(data)


def test_a_build_under_way_is_not_taken_for_a_leftover(data: Path, cache: Path) -> None:
    with builder(data, "index True") as slow:
        slow.go()
        assert slow.read_line() == "paused"
        (under_way,) = catalogs(cache)
        first = ensure_catalog(data, force=True)
        assert set(catalogs(cache)) == {under_way, Path(first.path).name}
        slow.go()
        assert slow.read_line() == first.path
        assert slow.process.wait(PATIENCE) == 0
    assert catalogs(cache) == [Path(first.path).name]
    check(data)


def test_a_catalog_that_another_process_has_open_is_kept(data: Path, put: Put, cache: Path) -> None:
    info = ensure_catalog(data)
    hold = "import sys, nodes.catalog as n; c = n.open_catalog(sys.argv[1]); print(1)"
    command = [sys.executable, "-c", f"{hold}; sys.stdout.flush(); sys.stdin.read()", info.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        os.utime(info.path, (0, 0))
        for number in range(10):
            os.utime(ensure_catalog(put({"a.json": [person(f"p{number}")]})).path, (number, number))
        assert Path(info.path).name in catalogs(cache)
        holder.communicate(timeout=PATIENCE)
    newest: Any = ensure_catalog(put({"a.json": [person("one more")]}))
    assert Path(info.path).name not in catalogs(cache)
    assert Path(newest.path).name in catalogs(cache)
