"""gRPC in Python, a name in and JSON out, from memory. As a program it is the server."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.peers import Data, Find, Row, by_name, not_installed, python_server

ROWS = (Row("gRPC, grpcio, one server process"),)
SERVICE, METHOD = "bench.People", "ByName"


def missing(row: Row) -> str:
    """It is in the bench extra."""
    del row
    return not_installed("grpc")


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """The server, in a process of its own."""
    with python_server(__name__, data.file) as address:
        yield address


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One channel."""
    del row
    grpc: Any = importlib.import_module("grpc")
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        yield lambda names: [json.loads(call(names[0].encode()))]


def main() -> None:
    """Serves the records of a file."""
    grpc: Any = importlib.import_module("grpc")
    records = by_name(Path(sys.argv[1]))
    people = {name.encode(): json.dumps(found).encode() for name, found in records.items()}

    def find(name: bytes, context: object) -> bytes:
        return people.get(name, b"[]")

    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(find)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
