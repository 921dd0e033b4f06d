"""A process that holds clients of a peer, as `nodes.load.client_process` does ours."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from nodes.errors import RollcallError, code_of
from nodes.load import MakeCall, Outcome
from nodes.load.client_process import run_clients
from nodes.support.structs import ready
from tests.bench.peers import Row, name_of

NAMES = 10_000
"""Names that a client asks for, in turn."""


@ready
class Work(msgspec.Struct, frozen=True):
    """A peer's module, which of its rows, where it is, and of how many records."""

    peer: str
    row: int
    address: str
    records: int


@contextmanager
def connect(work: Any, client: int) -> Iterator[MakeCall]:
    """Connects a client; every answer is looked at, so that all rows do the same work."""
    known = msgspec.convert(work, Work)
    module: Any = importlib.import_module(f"tests.bench.peers.{known.peer}")
    row: Row = module.ROWS[known.row]
    random = Random(client)
    names = itertools.cycle([name_of(random.randrange(known.records)) for _ in range(NAMES)])
    outcomes: Sequence[Outcome] = (("peer", ""),) * row.batch
    with module.connect(known.address, row) as find:

        def ask() -> Sequence[Outcome]:
            asked = list(itertools.islice(names, row.batch))
            try:
                found = find(asked)
            except RollcallError as error:
                return (("", code_of(error)),) * row.batch
            if row.finds:
                assert len(found) == row.batch, f"{len(found)} answers"
                for name, records in zip(asked, found, strict=True):
                    assert [record["name"] for record in records] == [name]
            return outcomes

        ask()  # connected, and warm
        yield ask


if __name__ == "__main__":
    run_clients(connect)
