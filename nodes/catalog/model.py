"""The catalog's value types: its lookups and info, a page of an answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from nodes.support.structs import ready

STORE_PREFIX = "postgresql:"
"""How the text begins that names a catalog in a store, in the place of a file's path."""


EXACT, PREFIX, ANY = LOOKUP_KINDS = ("exact", "prefix", "any")
"""Kinds of lookups. One of the kind exact finds the records whose fields equal its arguments;
prefix, those whose last field begins with the last argument; any, those that have every word of
its one argument in any of its fields.
"""

WORDS = "words"
"""What the argument of a lookup of the kind any is called."""


class Lookup(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named question on some fields: `getbyyear(location, year)`.

    Attributes:
        name: The lookup's name.
        fields: The fields that its arguments are compared with, in order: one for each argument.
            Of the kind any, `WORDS` in their place.
        types: The type of each field: "text", "integer" or "number".
        kind: One of `LOOKUP_KINDS`.
        searched: The fields that one of the kind any looks for words in.
        folded: Those of `fields` that are compared as `text_forms.fold` makes them.
        lists: Those of `fields` that hold lists in some records, of which each element is found.
    """

    name: str
    fields: tuple[str, ...]
    types: tuple[str, ...] = ()
    kind: str = EXACT
    searched: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


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

    Its stages are "digest" and "read", which count bytes, and then "index", which counts indexes.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called when `done` of `total` are done; an exception stops the build cleanly."""
