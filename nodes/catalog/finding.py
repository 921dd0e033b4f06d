"""Finders: how each kind of lookup reads its records from a catalog's file, run by run.

A run is rows in the order of the answer, of which only those that are taken are read. Whoever takes
them may give others their turn between two runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from nodes.catalog.arguments import Argument
from nodes.catalog.model import ANY, PREFIX, Lookup
from nodes.catalog.questions import next_prefix
from nodes.catalog.sql_schema import SqlSchema
from nodes.catalog.text_forms import words
from nodes.catalog.word_index import BLOCK_RECORDS, block_word, match

ABOVE_ALL_TEXTS = b""
"""To SQLite, every text is below every blob."""

Runs = Iterable[Iterator[tuple[int, int, bytes]]]


class Finder(Protocol):
    """How the records of one lookup are read."""

    def runs(
        self, db: sqlite3.Connection, values: Sequence[Argument], start: int, rows: int
    ) -> Runs:
        """The records that a lookup finds.

        Args:
            db: The catalog.
            values: The arguments, as `nodes.catalog.coerce` returns them.
            start: The id of the last record of the page before, 0 for the first page.
            rows: The most rows of a run.
        """


def finder(lookup: Lookup, schema: SqlSchema, records: int) -> Finder:
    """How a lookup is read from a catalog of so many records."""
    if lookup.kind == PREFIX:
        return _Beginning(lookup, schema)
    if lookup.kind == ANY:
        return _Words(lookup, schema, records)
    return _Equal(lookup, schema)


class _Equal:
    """Records with these values, in their order."""

    def __init__(self, lookup: Lookup, schema: SqlSchema) -> None:
        self._find = schema.find(lookup.fields)

    def runs(
        self, db: sqlite3.Connection, values: Sequence[Argument], start: int, rows: int
    ) -> Runs:
        return (db.execute(self._find, (*values, start, rows)),)


class _Beginning:
    """Records whose last value begins so, in the order of that value, and then in their own: that
    order is an index's, so that a page costs the same however many follow.
    """

    def __init__(self, lookup: Lookup, schema: SqlSchema) -> None:
        self._value = schema.value_of(lookup.fields[-1])
        self._same = schema.find(lookup.fields)
        self._from = schema.find_range(lookup.fields, inclusive=True)
        self._above = schema.find_range(lookup.fields, inclusive=False)

    def runs(
        self, db: sqlite3.Connection, values: Sequence[Argument], start: int, rows: int
    ) -> Runs:
        *same, beginning = values
        end = next_prefix(str(beginning))
        high = ABOVE_ALL_TEXTS if end is None else end
        if not start:
            yield db.execute(self._from, (*same, beginning, high, rows))
            return
        (value,) = db.execute(self._value, (start,)).fetchone()
        yield db.execute(self._same, (*same, value, start, rows))
        yield db.execute(self._above, (*same, value, high, rows))


class _Words:
    """Records with all of these words, in their order."""

    def __init__(self, lookup: Lookup, schema: SqlSchema, records: int) -> None:
        self._search = schema.search(lookup.searched)
        self._blocks = records // BLOCK_RECORDS

    def runs(
        self, db: sqlite3.Connection, values: Sequence[Argument], start: int, rows: int
    ) -> Runs:
        wanted = list(dict.fromkeys(words(str(values[0]))))
        if len(wanted) == 1:
            yield db.execute(self._search, (match(wanted), start, rows))
            return
        for block in range((start + 1) // BLOCK_RECORDS, self._blocks + 1):
            in_block = match([block_word(block * BLOCK_RECORDS), *wanted])
            yield db.execute(self._search, (in_block, start, rows))
