"""Datasets: a folder or a file of records, and the lookups that `dataset.toml` declares on them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.sources import FILE_SUFFIXES
from nodes.catalog.store import StoreDefinition, read_store
from nodes.errors import DataError
from nodes.support.verbs import RESERVED

DEFINITION_FILE = "dataset.toml"
DEFAULT_LOOKUPS = {
    "getbyname": ("name",),
    "getbylocation": ("location",),
    "getbyyear": ("location", "year"),
}
"""The lookups of a dataset that declares none."""
MAX_LOOKUPS = 64
MAX_LOOKUP_FIELDS = 8

_LOOKUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


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
    lookups: dict[str, tuple[str, ...]]
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
    return Dataset(
        folder=data,
        name=_declared_name(data, definition),
        files=_files(data, definition, store),
        lookups=_declared_lookups(data, definition) if declared else DEFAULT_LOOKUPS,
        declared=declared,
        store=store,
    )


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
    dataset: Dataset, missing: Collection[str], found: Sequence[str], *, examples: Sequence[str]
) -> DataError:
    """The error for lookups on fields that no record has.

    Args:
        dataset: The dataset with these lookups.
        missing: The fields that no record has.
        found: The fields that records have.
        examples: Some of `found` that a lookup could be on.
    """
    path = dataset.folder / DEFINITION_FILE
    there = _join_names(found[:30]) + (f" and {len(found) - 30} more" if len(found) > 30 else "")
    if dataset.declared:
        return DataError(
            f"{path}: no record has {_join_names(missing)}, which a lookup is on;"
            f" the fields found are {there}"
        )
    # An existing definition may name the files, so the advice is to add to it.
    verb, start = (
        ("add", "") if path.exists() else ("write", f"name = {_toml_string(dataset.name)}\n\n")
    )
    names = _lookup_names(examples)
    lookups = "".join(f"{name} = [{_toml_string(field)}]\n" for name, field in names.items())
    return DataError(
        f"{dataset.folder}: no record has {_join_names(missing)}, so the default lookups"
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
    if unknown := definition.keys() - {"name", "files", "lookups", "store"}:
        raise DataError(
            f"{path}: unknown {_join_names(sorted(unknown))}; there are name, files, lookups, store"
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
    files = _distinct_strings(definition["files"])
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


def _declared_lookups(folder: Path, definition: dict[str, object]) -> dict[str, tuple[str, ...]]:
    path = folder / DEFINITION_FILE
    table = definition["lookups"]
    if not isinstance(table, dict) or not 1 <= len(table) <= MAX_LOOKUPS:
        raise DataError(f"{path}: [lookups] must be a table of 1 to {MAX_LOOKUPS} lookups")
    lookups: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        if not _LOOKUP_NAME.fullmatch(name):
            raise DataError(
                f"{path}: lookup {quoted(name)}: a name starts with a-z and has only"
                " a-z, 0-9 and _ after it, 64 in all"
            )
        if name in RESERVED:
            raise DataError(f"{path}: lookup {name}: the master has a verb of that name; rename it")
        fields = _distinct_strings(value)
        if not 1 <= len(fields) <= MAX_LOOKUP_FIELDS:
            raise DataError(
                f"{path}: lookup {name}: must be a list of 1 to {MAX_LOOKUP_FIELDS}"
                " field names, each once"
            )
        lookups[name] = fields
    return lookups


def _distinct_strings(value: object) -> tuple[str, ...]:
    """The elements of a list of distinct texts; empty for any other value."""
    if not isinstance(value, list):
        return ()
    texts = tuple(text for text in value if isinstance(text, str))
    return texts if len(set(texts)) == len(value) else ()


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
