"""Datasette, over HTTP: SQLite with an index on the name."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlencode

from tests.bench.peers import (
    Data,
    Find,
    Record,
    Row,
    await_port,
    by_name,
    free_port,
    not_installed,
    running,
)

ROWS = (Row("Datasette, HTTP kept alive"),)


def missing(row: Row) -> str:
    """It is in the bench extra."""
    del row
    return not_installed("datasette")


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """Datasette on an immutable file."""
    path = data.folder / "datasette.db"
    with closing(sqlite3.connect(path)) as base:
        base.execute("create table people (record_id int, name text, location text, year int)")
        base.executemany(
            "insert into people values (:record_id, :name, :location, :year)",
            (record for records in by_name(data.file).values() for record in records),
        )
        base.execute("create index by_name on people (name)")
        base.commit()
    port = free_port()
    options = ("--immutable", str(path), "--host", "127.0.0.1", "--port", str(port))
    with running(sys.executable, "-m", "datasette", "serve", *options) as process:
        yield await_port(port, process)


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One connection, kept."""
    del row
    sql = "select * from people where name = :name"
    with closing(HTTPConnection(address)) as connection:

        def find(names: Sequence[str]) -> list[list[Record]]:
            query = urlencode({"sql": sql, "name": names[0], "_shape": "array"})
            connection.request("GET", f"/datasette.json?{query}")
            return [json.loads(connection.getresponse().read())]

        yield find
