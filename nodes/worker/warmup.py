"""A worker's warm-up: the first lookups that it answers are its own."""

from __future__ import annotations

from nodes.catalog import Lookup, Reader
from nodes.errors import DataError
from nodes.transport import encode_arguments
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.service import Lookups

ROUNDS = 10
"""Lookups of each kind. After as many, Python has adapted the code to what it does, and SQLite
has read the pages that every lookup needs."""


def warm_up(lookups: Lookups, versions: CatalogVersions) -> None:
    """Answers a few real lookups of each kind, in the way of all others, and counts them nowhere.

    What a new process does for the first time takes long. A client would wait for that, and the
    balancer would take the worker to be slow.
    """
    present = versions.present
    for lookup in present.catalog.info.lookups:
        try:
            values = _real_values(present.reader, lookup)
            asked = encode_arguments((lookup.name, *values))
            for _ in range(ROUNDS):
                present.reader.ping()
                lookups.ask_fast(asked)
                present.reader.find(lookup.name, values)
        except DataError:
            return  # the first probe will say what is wrong


def _real_values(reader: Reader, lookup: Lookup) -> list[str]:
    """A value for each field that some record has; for numbers, which are not suggested, zero."""
    return [next(iter(reader.suggest(field, "", limit=1)), "0") for field in lookup.fields]
