"""Datasets: a folder or a file of records, and the lookups that `dataset.toml` declares on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.declared_lookups import (
    DeclaredLookups,
    distinct_strings,
    folding,
    read_lookups,
)
from nodes.catalog.sources import FILE_SUFFIXES
from nodes.catalog.store import StoreDefinition, check_kinds, read_store
from nodes.errors import DataError

DEFINITION_FILE = "dataset.toml"
_KEYS = ("name", "files", "lookups", "fold", "store")
DEFAULT_LOOKUPS = DeclaredLookups(
    {"getbyname": ("name",), "getbylocation": ("location",), "getbyyear": ("location", "year")}
)
"""The lookups of a dataset that declares none."""


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
    """

    folder: Path
    name: str
    files: tuple[str, ...]
    lookups: DeclaredLookups
    declared: bool
    store: StoreDefinition | None = None

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
        if data.suffix.lower() not in FILE_SUFFIXES:
            raise DataError(f"{data}: records must be in a {_join_names(FILE_SUFFIXES)} file")
        _check_file_name(data.name, data.parent)
        return Dataset(
            data.parent, _valid_name(data.stem), (data.name,), DEFAULT_LOOKUPS, declared=False
        )
    if not data.is_dir():
        raise DataError(f"{data}: no such folder or file of records")
    definition = _read_definition(data / DEFINITION_FILE)
    declared = "lookups" in definition
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
        return _declared_files(folder, definition)
    return _discover_files(folder, needed=store is None)


def missing_fields_error(
    dataset: Dataset, why: str, found: Sequence[str], *, examples: Sequence[str]
) -> DataError:
    """The error for lookups on fields that no record has.

    Args:
        dataset: The dataset with these lookups.
        why: What is wrong with them, for a message.
        found: The fields that records have.
        examples: Some of `found` that a lookup could be on.
    """
    path = dataset.folder / DEFINITION_FILE
    there = _join_names(found[:30]) + (f" and {len(found) - 30} more" if len(found) > 30 else "")
    if dataset.declared:
        return DataError(f"{path}: {why}, which a lookup is on; the fields found are {there}")
    # An existing definition may name the files, so the advice is to add to it.
    verb, start = (
        ("add", "") if path.exists() else ("write", f"name = {_toml_string(dataset.name)}\n\n")
    )
    names = _lookup_names(examples)
    lookups = "".join(f"{name} = [{_toml_string(field)}]\n" for name, field in names.items())
    return DataError(
        f"{dataset.folder}: {why}, so the default lookups"
        f" do not fit; the fields found are {there}. Give that folder as the data, and {verb} the"
        f" lookups you want in {path}, for example:\n\n{start}[lookups]\n{lookups}"
    )


def _read_definition(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    import tomllib  # noqa: PLC0415 - takes 10 ms, needed only for a definition

    try:
        definition: dict[str, object] = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not TOML in UTF-8: {error}") from None
    if unknown := definition.keys() - set(_KEYS):
        raise DataError(
            f"{path}: unknown {_join_names(sorted(unknown))}; there are {', '.join(_KEYS)}"
        )
    return definition


def _declared_name(folder: Path, definition: dict[str, object]) -> str:
    name = definition.get("name", _valid_name(folder.resolve().name))
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isprintable():
        raise DataError(
            f"{folder / DEFINITION_FILE}: name must be text of 1 to 100 printable characters"
        )
    return name


def _declared_files(folder: Path, definition: dict[str, object]) -> tuple[str, ...]:
    path = folder / DEFINITION_FILE
    files = distinct_strings(definition["files"])
    if not files:
        raise DataError(f"{path}: files must be a list of file names, each once")
    for file in files:
        pure = PurePosixPath(file)
        if pure.is_absolute() or ".." in pure.parts or "\\" in file or "\0" in file:
            raise DataError(f"{path}: files: {quoted(file)} is not inside the folder")
        if pure.suffix.lower() not in FILE_SUFFIXES:
            raise DataError(
                f"{path}: files: {quoted(file)} is not a {_join_names(FILE_SUFFIXES)} file"
            )
        if not (folder / file).is_file():
            raise DataError(f"{path}: files: there is no file {quoted(file)} in {folder}")
    return files


def _discover_files(folder: Path, *, needed: bool) -> tuple[str, ...]:
    """Every file of records in the folder, sorted, without hidden files (editors leave some)."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in FILE_SUFFIXES and path.name[0] != "." and path.is_file()
    )
    if not names and needed:
        raise DataError(
            f"{folder}: there are no records here; add a {_join_names(FILE_SUFFIXES)} file"
        )
    for name in names:
        _check_file_name(name, folder)
    return tuple(names)


def _check_file_name(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{folder}: rename {quoted(name)}, its name is not UTF-8") from None


def _valid_name(name: str) -> str:
    """The name of a file or folder, made a valid name of a dataset."""
    clean = "".join(char if char.isprintable() else "?" for char in name)
    return clean[:100] or "records"


def _lookup_names(fields: Iterable[str]) -> dict[str, str]:
    """Fields by the name of an example lookup on each; all names differ."""
    names: dict[str, str] = {}
    for number, field in enumerate(fields, 1):
        name = "getby" + re.sub(r"[^a-z0-9]", "", field.lower())[:50]
        names[f"{name}{number}" if name in names else name] = field
    return names


def _toml_string(text: str) -> str:
    """A TOML string: the same as JSON's, but DEL is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(_printable(name) for name in names) or "none"


def _printable(text: str) -> str:
    """Text for a message: cut short, with control characters escaped."""
    return repr(text[:80])[1:-1]
