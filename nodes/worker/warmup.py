"""A worker's warm-up: the first lookups that it answers are its own."""

from __future__ import annotations

from nodes.catalog import ANY, Lookup, Reader
from nodes.errors import DataError, StoreDown
from nodes.support.slices import Sliced
from nodes.transport import encode_arguments
from nodes.wire import LOOKUP_TIMEOUT_S, PAGE_RECORDS
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.service import Lookups

ROUNDS = 10
"""Lookups of each kind. After as many, Python has adapted the code to what it does, and SQLite
has read the pages that every lookup needs."""


def warm_up(lookups: Lookups, versions: CatalogVersions) -> Sliced[None]:
    """Answers a few real lookups of each kind, in the way of all others, and counts them nowhere.

    What a new process does for the first time takes long. A client would wait for that, and the
    balancer would take the worker to be slow.
    """
    present = versions.present
    reader = present.reader
    for lookup in present.catalog.info.lookups:
        try:
            values = yield from _real_values(reader, lookup)
            asked = encode_arguments((lookup.name, *values))
            for _ in range(ROUNDS):
                yield from reader.probe_in_slices()
                lookups.ask_fast(asked)
                yield from reader.find_in_slices(
                    lookup.name, values, limit=PAGE_RECORDS, start=0, within=LOOKUP_TIMEOUT_S
                )
        except (DataError, StoreDown):
            return  # the first probe will say what is wrong


def _real_values(reader: Reader, lookup: Lookup) -> Sliced[list[str]]:
    """A value for each field that some record has; for numbers and words, which are not suggested,
    zero.
    """
    if lookup.kind == ANY:
        return ["0"]
    values = []
    for field in lookup.fields:
        found = yield from reader.suggest_in_slices(field, "", limit=1, within=LOOKUP_TIMEOUT_S)
        values.append(next(iter(found), "0"))
    return values
