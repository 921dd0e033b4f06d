"""Pyro5, from memory, its own way of passing dicts. As a program it is the server."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.peers import Data, Find, Record, Row, by_name, not_installed, python_server

ROWS = (Row("Pyro5, one server process"),)


def missing(row: Row) -> str:
    """It is in the bench extra."""
    del row
    return not_installed("Pyro5")


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """The daemon, in a process of its own."""
    with python_server(__name__, data.file) as address:
        yield address


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One proxy."""
    del row
    api: Any = importlib.import_module("Pyro5.api")
    with api.Proxy(f"PYRO:people@{address}") as people:
        yield lambda names: [people.find(names[0])]


def main() -> None:
    """Serves the records of a file."""
    api: Any = importlib.import_module("Pyro5.api")
    records = by_name(Path(sys.argv[1]))

    class People:
        def find(self, name: str) -> list[Record]:
            return records.get(name, [])

    daemon = api.Daemon(host="127.0.0.1")
    daemon.register(api.expose(People)(), "people")
    print(int(daemon.locationStr.rpartition(":")[2]), flush=True)
    daemon.requestLoop()


if __name__ == "__main__":
    main()
