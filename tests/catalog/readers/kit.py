"""Helpers: the records of one file, with what was said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nodes.catalog.readers.columns import ColumnTypes
from nodes.catalog.readers.formats import read_source, scan_source
from nodes.catalog.readers.options import ReadingOptions
from nodes.catalog.readers.records import Batch
from nodes.catalog.readers.source import Source

EXAMPLES = int(os.environ.get("ROLLCALL_EXAMPLES", "15"))
"""Of each property: few in the plain command, which is to be quick."""


class Reading:
    """What a file has.

    Attributes:
        records: The records.
        bad: Where those are that cannot be used, each with the reason.
        notes: How it was read.
    """

    def __init__(self, path: Path, options: ReadingOptions | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self.bad: dict[str, str] = {}
        self.notes: list[str] = []
        self.source = Source(
            path, path.name, options or ReadingOptions(), self.bad.__setitem__, self.notes.append
        )
        self.types = ColumnTypes(self.source.options.types)

    def scan(self) -> Reading:
        """Reads it for the types of its columns."""
        for _ in scan_source(self.source, self.types):
            pass
        return self

    def read(self, batches: Iterator[Batch] | None = None) -> Reading:
        """Reads its records, or those of another reader."""
        for _, records, bodies in batches or read_source(self.source, self.types):
            assert list(records) == [json.loads(body) for body in bodies]
            self.records += records
        return self


def read(path: Path, **options: Any) -> Reading:
    """Reads a file as a build does."""
    return Reading(path, ReadingOptions(**options)).scan().read()


def lines_of(bad: dict[str, str]) -> list[int]:
    """The numbers of the lines of bad records."""
    return [int(where.rpartition(" ")[2]) for where in bad]
