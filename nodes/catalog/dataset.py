"""Datasets: a folder or a file of records, and the lookups that `dataset.toml` declares on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from nodes.catalog.declared_lookups import (
    DeclaredLookups,
    distinct_strings,
    folding,
    read_lookups,
)
from nodes.catalog.files import DEFINITION_FILE, checked_names, declared_files, discovered_files
from nodes.catalog.readers.formats import SUFFIXES_TEXT, format_of, stem_of
from nodes.catalog.readers.options import OPTION_KEYS, ReadingOptions, read_options
from nodes.catalog.store import StoreDefinition, check_kinds, read_store
from nodes.errors import DataError

DEFAULT_LOOKUPS = DeclaredLookups(
    {"getbyname": ("name",), "getbylocation": ("location",), "getbyyear": ("location", "year")}
)
"""The lookups of a dataset that declares none."""
DEFAULT_KEY = "name"
"""The field of such a dataset that takes the keys of an object of records."""


class Dataset(msgspec.Struct, frozen=True):
    """The files to read, in order, and the lookups with their fields.

    Attributes:
        folder: The folder of the files.
        name: The dataset's name, for people.
        files: The files' paths, relative to `folder`.
        lookups: The fields of each lookup, by the lookup's name.
        declared: Whether `dataset.toml` declares the lookups; if not, they are the default ones.
        store: Where workers find the records, if not in a catalog of their own. Such a dataset
            may have no files here.
        reading: How the files are to be read.
        files_declared: Whether `dataset.toml` names the files.
    """

    folder: Path
    name: str
    files: tuple[str, ...]
    lookups: DeclaredLookups
    declared: bool
    store: StoreDefinition | None = None
    reading: ReadingOptions = ReadingOptions()
    files_declared: bool = False

    def fields(self) -> tuple[str, ...]:
        """Every field that a lookup is on, once, in order of first use."""
        return tuple(dict.fromkeys(field for fields in self.lookups.values() for field in fields))


def load_dataset(data: Path) -> Dataset:
    """Load the dataset of a folder or of a single file; reads no record.

    Raises:
        DataError: There is nothing to read, or `dataset.toml` is wrong.
    """
    try:
        return _load_dataset(data)
    except OSError as error:
        where = error.filename or data
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from None


def _load_dataset(data: Path) -> Dataset:
    if data.is_file():
        if format_of(data.name) is None:
            raise DataError(f"{data}: this file is of no kind that is read: {SUFFIXES_TEXT}")
        return Dataset(
            folder=data.parent,
            name=_valid_name(stem_of(data.name)),
            files=checked_names(data.parent, [data.name]),
            lookups=DEFAULT_LOOKUPS,
            declared=False,
            reading=ReadingOptions(key=DEFAULT_KEY),
        )
    if not data.is_dir():
        raise DataError(f"{data}: no such folder or file of records")
    definition = _read_definition(data / DEFINITION_FILE)
    declared = "lookups" in definition
    if not declared:
        definition.setdefault("key", DEFAULT_KEY)
    store = (
        read_store(data / DEFINITION_FILE, definition["store"]) if "store" in definition else None
    )
    lookups = _lookups(data / DEFINITION_FILE, definition)
    if store is not None:
        check_kinds(data / DEFINITION_FILE, store, lookups)
    return Dataset(
        folder=data,
        name=_declared_name(data, definition),
        files=_files(data, definition, store),
        lookups=lookups,
        declared=declared,
        store=store,
        reading=read_options(data / DEFINITION_FILE, definition),
        files_declared="files" in definition,
    )


def _lookups(path: Path, definition: dict[str, object]) -> DeclaredLookups:
    lookups = DEFAULT_LOOKUPS
    if "lookups" in definition:
        lookups = read_lookups(path, definition["lookups"])
    return folding(path, lookups, definition["fold"]) if "fold" in definition else lookups


def _files(
    folder: Path, definition: dict[str, object], store: StoreDefinition | None
) -> tuple[str, ...]:
    if store is not None and store.is_live:
        if "files" in definition:
            raise DataError(f"{folder / DEFINITION_FILE}: files are not read in the mode live")
        return ()
    if "files" in definition:
        return declared_files(folder, distinct_strings(definition["files"]))
    return discovered_files(folder, needed=store is None)


def _read_definition(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    import tomllib  # noqa: PLC0415 - takes 10 ms, needed only for a definition

    try:
        definition: dict[str, object] = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not TOML in UTF-8: {error}") from None
    known = ("name", "files", "lookups", "fold", "store", *OPTION_KEYS)
    if unknown := definition.keys() - set(known):
        raise DataError(
            f"{path}: unknown {_join_names(sorted(unknown))}; there are {', '.join(known)}"
        )
    return definition


def _declared_name(folder: Path, definition: dict[str, object]) -> str:
    name = definition.get("name", _valid_name(folder.resolve().name))
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isprintable():
        raise DataError(
            f"{folder / DEFINITION_FILE}: name must be text of 1 to 100 printable characters"
        )
    return name


def _valid_name(name: str) -> str:
    """The name of a file or folder, made a valid name of a dataset."""
    clean = "".join(char if char.isprintable() else "?" for char in name)
    return clean[:100] or "records"


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:80])[1:-1] for name in names) or "none"
