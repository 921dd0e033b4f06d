"""Stores: what `[store]` in a `dataset.toml` says, and the text that names a catalog in a store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.declared_lookups import DeclaredLookups
from nodes.catalog.model import ANY, STORE_PREFIX
from nodes.errors import DataError
from nodes.support.structs import ready

LIVE = "live"
"""What is said in the place of a version, of a table that others change."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_NAME = re.compile(r"[^.\0]{1,63}(\.[^.\0]{1,63})?")


class StoreDefinition(msgspec.Struct, frozen=True):
    """What `[store]` says.

    Attributes:
        url_env: The environment variable that holds the store's URL.
        table: The table that is read live, as `table` or `schema.table`; "" for catalogs that
            were loaded, each with its version.
        key: The column of that table by which its records are told apart and ordered.
    """

    url_env: str
    table: str = ""
    key: str = ""

    @property
    def is_live(self) -> bool:
        """Whether a table is read that others change."""
        return bool(self.table)


class LiveTable(msgspec.Struct, frozen=True):
    """A table that is read live.

    Attributes:
        dataset: The dataset's name.
        table: Its name, after its schema's if that was given.
        key: The column that orders the records.
        lookups: The columns of each lookup, by the lookup's name.
    """

    dataset: str
    table: tuple[str, ...]
    key: str
    lookups: dict[str, tuple[str, ...]]


@ready
class StoreLocator(msgspec.Struct, frozen=True, omit_defaults=True):
    """What names a catalog in a store; as text, it means the same on every machine.

    Attributes:
        url_env: The environment variable that holds the store's URL.
        version: The catalog's version; "" for a table that is read live.
        live: That table.
    """

    url_env: str
    version: str = ""
    live: LiveTable | None = None

    def __str__(self) -> str:
        """The text."""
        return STORE_PREFIX + msgspec.json.encode(self).decode()


def names_store(locator: str) -> bool:
    """Whether that text names a catalog in a store, and no file."""
    return locator.startswith(STORE_PREFIX)


def parse_locator(locator: str) -> StoreLocator:
    """Reads the text of a locator. Raises `DataError`."""
    try:
        return msgspec.json.decode(locator.removeprefix(STORE_PREFIX).encode(), type=StoreLocator)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise DataError(f"{quoted(locator)} names no catalog in a store") from None


def read_store(path: Path, table: object) -> StoreDefinition:
    """Reads `[store]` of the definition at `path`.

    Raises:
        DataError: it is wrong; the message says what to write.
    """
    if not isinstance(table, Mapping):
        raise DataError(f"{path}: [store] must be a table")
    if any(isinstance(value, str) and "://" in value for value in table.values()):
        raise DataError(
            f"{path}: [store]: a URL does not belong in a file, as it may hold a password: put it"
            " into an environment variable, and name that here, as"
            ' url_env = "ROLLCALL_STORE_URL"'
        )
    mode = table.get("mode", "versions")
    known = {"kind", "url_env", "mode"} | ({"table", "key"} if mode == LIVE else set())
    if unknown := [str(key) for key in table if key not in known]:
        raise DataError(
            f"{path}: [store]: unknown {', '.join(map(quoted, unknown))};"
            f" there are {', '.join(sorted(known))}"
        )
    if table.get("kind") != "postgresql":
        raise DataError(f'{path}: [store]: kind must be "postgresql"')
    if mode not in ("versions", LIVE):
        raise DataError(f'{path}: [store]: mode must be "versions" or "live"')
    variable = table.get("url_env")
    if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
        raise DataError(
            f"{path}: [store]: url_env must name the environment variable that holds the URL, as"
            ' "ROLLCALL_STORE_URL"'
        )
    if mode != LIVE:
        return StoreDefinition(variable)
    return StoreDefinition(variable, _name(path, table, "table"), _name(path, table, "key"))


def check_kinds(path: Path, store: StoreDefinition, lookups: DeclaredLookups) -> None:
    """Refuses lookups that a store does not answer.

    Raises:
        DataError: there is one; the message says what can be done.
    """
    instead = "leave [store] out to serve files, or take it out of [lookups]"
    for name, kind in lookups.kinds.items():
        if kind == ANY or store.is_live:
            where = "a table that is read live" if store.is_live else "PostgreSQL"
            raise DataError(
                f"{path}: lookup {name}: the kind {kind} is not to be had of {where}; {instead}"
            )
    if lookups.folded and store.is_live:
        raise DataError(
            f"{path}: [fold] is not to be had of a table that is read live: let a column hold what"
            " is to be compared, or load the records (mode versions)"
        )


def _name(path: Path, table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    dotted = key == "table"
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ("." in value and not dotted):
        what = "the table, as people or public.people" if dotted else "its column of unique numbers"
        raise DataError(f"{path}: [store]: {key} must name {what}")
    return value
