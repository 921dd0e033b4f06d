"""What Rollcall is held against, each in a small file of its own.

A peer's module has
    ROWS                     the ways in which it is asked, each a row of the table
    missing(row)             what has to be installed first; "" if it is there
    serve(data)              starts it on the records of a `Data`, yields its address
    connect(address, row)    connects one client, yields a `Find`
and serves the same records, from memory or through an index, as its own documentation advises.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]

Find = Callable[[Sequence[str]], Sequence[Sequence[Record]]]
"""The records of each of these names, as plain data; one name, unless the row says `batch`."""

NAMES = ("floor", "ours", "sqlite", "redis_py", "grpc_py", "pyro", "xmlrpc", "datasette", "roapi")
"""The modules, in the order of the table."""

EXTRA = "pip install -e '.[bench]'"
"""What installs those that PyPI has."""

PATIENCE = 30.0
"""Seconds that a peer may take to come up."""


@dataclass(frozen=True)
class Row:
    """A row of the table: how it is asked, by how many clients, and whether it finds anything."""

    title: str
    how: str = ""
    batch: int = 1
    clients: tuple[int, ...] = (1, 8)
    finds: bool = True


@dataclass(frozen=True)
class Data:
    """The records: `folder` has them as JSON Lines in `people.jsonl`."""

    folder: Path
    count: int

    @property
    def file(self) -> Path:
        """That file."""
        return self.folder / "people.jsonl"


def name_of(number: int) -> str:
    """The name of a record, and of no other."""
    return f"name-{number:07}"


def write(folder: Path, count: int) -> Data:
    """Writes so many records, each of a name of its own."""
    data = Data(folder, count)
    with data.file.open("w", encoding="utf-8") as file:
        for number in range(count):
            record = {
                "record_id": number,
                "name": name_of(number),
                "location": f"city-{number % 997}",
                "year": 1990 + number % 36,
            }
            file.write(json.dumps(record) + "\n")
    return data


def by_name(file: Path) -> dict[str, list[Record]]:
    """The records in memory, indexed: what a peer without storage of its own serves."""
    found: dict[str, list[Record]] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            found.setdefault(record["name"], []).append(record)
    return found


def not_installed(package: str) -> str:
    """What to say of a package that a peer needs; "" if it is there."""
    return "" if importlib.util.find_spec(package) else EXTRA


@contextmanager
def running(*command: str, stdout: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """A server, to the end of the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def python_server(module: str, *args: object) -> Iterator[str]:
    """A server in Python, which prints its port first."""
    command = (sys.executable, "-m", module, *map(str, args))
    with running(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"


def free_port() -> int:
    """A port for a server that cannot let the system choose."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[str]) -> str:
    """The address of that server, once it accepts connections."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return f"127.0.0.1:{port}"


def host_port(address: str) -> tuple[str, int]:
    """An address in its parts."""
    host, _, port = address.rpartition(":")
    return host, int(port)
