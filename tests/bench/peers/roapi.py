"""ROAPI, over HTTP: the records in memory as columns, without an index. Its server is in Rust."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.peers import EXTRA, Data, Find, Record, Row, await_port, free_port, running

PROGRAM = shutil.which("roapi", path=str(Path(sys.executable).parent))
ROWS = (Row("ROAPI, HTTP kept alive"),)


def missing(row: Row) -> str:
    """It is in the bench extra."""
    del row
    return "" if PROGRAM else EXTRA


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """ROAPI on the file."""
    port = free_port()
    assert PROGRAM is not None
    doors = ("--addr-http", f"127.0.0.1:{port}", "--addr-postgres", "127.0.0.1:0")
    others = ("--addr-flight-sql", "127.0.0.1:0", "--table", f"people={data.file}")
    with running("env", "RUST_LOG=error", PROGRAM, *doors, *others) as process:
        yield await_port(port, process)


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One connection, kept."""
    del row
    with closing(HTTPConnection(address)) as connection:

        def find(names: Sequence[str]) -> list[list[Record]]:
            query = urlencode({"filter[name]": f"'{names[0]}'"})
            connection.request("GET", f"/api/tables/people?{query}")
            return [json.loads(connection.getresponse().read())]

        yield find
