"""Rollcall, two workers: through the master, as plain RPyC, past it, in batches, and many at a time
from one event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rpyc

from nodes import AsyncClient, Client
from nodes.client.lookups import BATCH_LOOKUPS
from nodes.errors import LookupFailed
from nodes.transport.loop import new_event_loop
from tests.bench.peers import Data, Find, Record, Row, host_port
from tests.kit import Node

WORKERS = 2
IN_FLIGHT = 1000
"""Lookups that one `AsyncClient` has in flight, of `ASYNC_BATCH` that it is asked at a time."""
ASYNC_BATCH = 5000
ROWS = (
    Row("Rollcall, Client", clients=(1, 8, 64)),
    Row("Rollcall, plain rpyc, kept method", "plain"),
    Row("Rollcall, Client, straight to the workers", "direct", clients=(1, 8, 64)),
    Row(f"Rollcall, Client, batches of {BATCH_LOOKUPS:,}", batch=BATCH_LOOKUPS),
    Row(f"Rollcall, Client, straight, batches of {BATCH_LOOKUPS:,}", "direct", batch=BATCH_LOOKUPS),
    Row(f"Rollcall, AsyncClient, {IN_FLIGHT:,} in flight", "async", batch=ASYNC_BATCH),
)


def missing(row: Row) -> str:
    """Nothing ever is."""
    del row
    return ""


@contextmanager
def serve(data: Data) -> Iterator[str]:
    """A cluster in processes of its own."""
    with Node(
        "up", "--workers", str(WORKERS), "--port", "0", "--json", "--data", str(data.folder)
    ) as node:
        yield node.ready["master"]


@contextmanager
def connect(address: str, row: Row) -> Iterator[Find]:
    """A client of that kind."""
    if row.how == "plain":
        with rpyc.connect(*host_port(address)) as connection:
            verb = connection.root.getbyname
            yield lambda names: [json.loads(verb(names[0]))["result"]]
        return
    if row.how == "async":
        with _many_in_flight(address) as find:
            yield find
        return
    with Client(address, direct=row.how == "direct") as client:
        if row.batch > 1:
            yield lambda names: [_found(one) for one in client.lookup_many(map(_question, names))]
        else:
            yield lambda names: [client.getbyname(names[0])]


@contextmanager
def _many_in_flight(address: str) -> Iterator[Find]:
    """A client on an event loop of this thread, shared by `IN_FLIGHT` tasks."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        client = AsyncClient(address)

        async def ask(names: Sequence[str]) -> list[list[Record]]:
            found: list[list[Record]] = [[] for _ in names]
            numbers = iter(range(len(names)))

            async def work_off() -> None:
                for number in numbers:
                    found[number] = await client.getbyname(names[number])

            await asyncio.gather(*(work_off() for _ in range(IN_FLIGHT)))
            return found

        try:
            yield lambda names: runner.run(ask(names))
        finally:
            runner.run(client.aclose())


def _question(name: str) -> tuple[str, str]:
    return "getbyname", name


def _found(answered: list[Record] | LookupFailed) -> list[Record]:
    if isinstance(answered, LookupFailed):
        raise answered
    return answered
