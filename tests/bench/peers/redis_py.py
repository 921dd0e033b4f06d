"""Redis with redis-py and hiredis: a record's JSON under its name. Its server is in C."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.bench.peers import (
    Data,
    Find,
    Record,
    Row,
    await_port,
    by_name,
    free_port,
    host_port,
    not_installed,
    running,
)

BATCH = 1000
ROWS = (
    Row("Redis, redis-py", clients=(1, 8, 64)),
    Row(f"Redis, redis-py, pipelines of {BATCH:,}", batch=BATCH),
)


def missing(row: Row) -> str:
    """The server is one of Debian's packages."""
    del row
    return not_installed("redis") or (
        "" if shutil.which("redis-server") else "apt-get install redis-server"
    )


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """Redis in memory, filled."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
    with running("redis-server", *options) as process:
        address = await_port(port, process)
        with _client(address) as client:
            pipeline = client.pipeline(transaction=False)
            for name, records in by_name(data.file).items():
                pipeline.set(name, json.dumps(records))
            pipeline.execute()
        yield address


def _client(address: str) -> Any:
    host, port = host_port(address)
    return importlib.import_module("redis").Redis(host, port)


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """One connection."""
    with _client(address) as client:

        def several(names: Sequence[str]) -> list[list[Record]]:
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.get(name)
            return [json.loads(found) for found in pipeline.execute()]

        yield several if row.batch > 1 else lambda names: [json.loads(client.get(names[0]))]
