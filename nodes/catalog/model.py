"""The values a catalog hands out: what it is, what it answers, what was found in the records."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nodes.support.structs import ready


class Lookup(msgspec.Struct, frozen=True):
    """A named question on some fields: `getbyyear(location, year)`.

    `types` has one of "text", "integer" and "number" for each of `fields`.
    """

    name: str
    fields: tuple[str, ...]
    types: tuple[str, ...]


@ready
class CatalogInfo(msgspec.Struct, frozen=True):
    """What is known of a catalog without reading a record.

    `path` is the catalog's own file and `bytes` that file's size; `files` are
    the dataset's, as named in it; `fields` are all fields of all records, and
    `skipped` counts the unusable records that were left out of it.
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

    `body` is JSON text, an array of `count` records; `after` is the position
    that the next page starts from, None when this was the last; `files` are the
    distinct names of the files these records came from.
    """

    body: bytes
    count: int
    after: int | None
    files: tuple[str, ...]


class BadRecord(msgspec.Struct, frozen=True):
    """A record that cannot be used: `where` names its file and its line or number."""

    where: str
    why: str


class FileReport(msgspec.Struct, frozen=True):
    """How many usable and bad records a file has."""

    name: str
    records: int
    bad: int


class FieldReport(msgspec.Struct, frozen=True):
    """A field's type, and how many records have a value for it.

    `type` is "text", "integer" or "number"; "nested" if it only ever holds
    lists or objects, and "null" if it never holds anything.
    """

    name: str
    type: str
    records: int


class CheckReport(msgspec.Struct, frozen=True):
    """What a dataset holds. `bad` lists the first of the `bad_count` bad records."""

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
