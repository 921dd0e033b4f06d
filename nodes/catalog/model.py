"""The catalog's value types: its lookups and info, a page of an answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nodes.support.structs import ready

STORE_PREFIX = "postgresql:"
"""How the text begins that names a catalog in a store, in the place of a file's path."""


class Lookup(msgspec.Struct, frozen=True):
    """A named question on some fields: `getbyyear(location, year)`.

    Attributes:
        name: The lookup's name.
        fields: The fields that its arguments must equal, in order.
        types: The type of each field: "text", "integer" or "number".
    """

    name: str
    fields: tuple[str, ...]
    types: tuple[str, ...]


@ready
class CatalogInfo(msgspec.Struct, frozen=True):
    """The metadata of a catalog.

    Attributes:
        path: The path of the catalog's file, or the text that names it in a store.
        name: The dataset's name.
        version: A digest of the content.
        records: The number of records.
        lookups: The lookups that it answers.
        fields: All fields of all records.
        files: The dataset's files, relative to its folder.
        bytes: The size of the catalog's file, or of its table.
        skipped: The number of bad records that were left out.
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

    @property
    def in_store(self) -> bool:
        """Whether its records lie in a store that all workers ask."""
        return self.path.startswith(STORE_PREFIX)


class Page(msgspec.Struct, frozen=True):
    """A page of a lookup's answer.

    Attributes:
        body: A JSON array of records.
        count: The number of records in it.
        after: The `start` of the next page; None if this page is the last.
        files: The files that these records came from, each once.
    """

    body: bytes
    count: int
    after: int | None
    files: tuple[str, ...]


class Progress(Protocol):
    """A callback for the progress of a build.

    Its stages are "read", which counts bytes, and then "index", which counts indexes.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called when `done` of `total` are done; an exception stops the build cleanly."""
