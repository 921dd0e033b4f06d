"""The values a catalog hands out: what it is, what it answers, what was found in the records."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nodes.support.structs import ready


class Lookup(msgspec.Struct, frozen=True):
    """A named question on some fields: `getbyyear(location, year)`.

    Attributes:
        name: what it is called by.
        fields: those that its arguments must equal, in order.
        types: one of "text", "integer" and "number" for each of them.
    """

    name: str
    fields: tuple[str, ...]
    types: tuple[str, ...]


@ready
class CatalogInfo(msgspec.Struct, frozen=True):
    """What is known of a catalog without reading a record.

    Attributes:
        path: the catalog's own file.
        name: the dataset's.
        version: a digest of all that is in it.
        records: how many there are.
        lookups: what can be asked.
        fields: all fields of all records.
        files: the dataset's, as named in it.
        bytes: the size of the catalog's file.
        skipped: unusable records that were left out.
    """

    path: str
    name: str
    version: str
    records: int
    lookups: tuple[Lookup, ...]
    fields: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int
    skipped: int = 0


class Page(msgspec.Struct, frozen=True):
    """A part of a lookup's answer.

    Attributes:
        body: JSON text, an array of records.
        count: how many these are.
        after: the position that the next page starts from; None when this was the last.
        files: the distinct names of the files these records came from.
    """

    body: bytes
    count: int
    after: int | None
    files: tuple[str, ...]


class BadRecord(msgspec.Struct, frozen=True):
    """A record that cannot be used.

    Attributes:
        where: its file, and its line or number there.
        why: the reason.
    """

    where: str
    why: str


class FileReport(msgspec.Struct, frozen=True):
    """How many usable and bad records a file has."""

    name: str
    records: int
    bad: int


class FieldReport(msgspec.Struct, frozen=True):
    """A field's type, and how many records have a value for it.

    Attributes:
        name: the field's.
        type: "text", "integer" or "number"; "nested" if it only ever holds lists or objects,
            "null" if it never holds anything.
        records: how many have a value for it.
    """

    name: str
    type: str
    records: int


class CheckReport(msgspec.Struct, frozen=True):
    """What a dataset holds.

    Attributes:
        name: the dataset's.
        records: how many can be used.
        files: each with its own counts.
        fields: each with its type.
        lookups: what could be asked.
        bad: the first of the bad records.
        bad_count: how many there are.
    """

    name: str
    records: int
    files: tuple[FileReport, ...]
    fields: tuple[FieldReport, ...]
    lookups: tuple[Lookup, ...]
    bad: tuple[BadRecord, ...]
    bad_count: int


class Progress(Protocol):
    """Told how far a build is: stage "read" counts bytes, stage "index" counts lookups."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` are done; raising stops the build and leaves nothing."""
