"""SQLite in the client's own process, through Rollcall's catalog: no wire at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_reader import SqliteCatalog
from tests.bench.peers import Data, Find, Row

ROWS = (Row("SQLite in the client's process, one machine"),)


def missing(row: Row) -> str:
    """Nothing: it is part of Python."""
    del row
    return ""


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """The catalog's file."""
    yield str(ensure_catalog(data.folder).path)


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """Opens it."""
    del row
    catalog = SqliteCatalog.open(Path(address))
    try:
        with catalog.reader() as reader:
            yield lambda names: [json.loads(reader.find("getbyname", (names[0],)).body)]
    finally:
        catalog.close()
