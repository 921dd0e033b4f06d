"""XML-RPC as often written: the files are read anew for each call. As a program, the server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

from tests.bench.peers import Data, Find, Row, python_server

ROWS = (Row("XML-RPC that reads its file for each call"),)


def missing(row: Row) -> str:
    """Nothing: it is part of Python."""
    del row
    return ""


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """The server, in a process of its own."""
    with python_server(__name__, data.file) as address:
        yield address


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One proxy."""
    del row
    people: Any
    with ServerProxy(f"http://{address}") as people:
        yield lambda names: [people.find(names[0])]


def main() -> None:
    """Serves the records of a file."""

    def find(name: Any) -> Any:
        with Path(sys.argv[1]).open(encoding="utf-8") as lines:
            return [record for line in lines if (record := json.loads(line))["name"] == name]

    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(find)
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
