"""A folder or a file of records, and the lookups on them: `dataset.toml`, or what fits without."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from nodes.catalog.arguments import shown
from nodes.catalog.sources import SUFFIXES
from nodes.errors import DataError
from nodes.support.verbs import RESERVED

DEFINITION = "dataset.toml"
DEFAULT_LOOKUPS = {
    "getbyname": ("name",),
    "getbylocation": ("location",),
    "getbyyear": ("location", "year"),
}
"""The master's own verbs, which no lookup may be called."""
MAX_LOOKUPS = 64
MAX_LOOKUP_FIELDS = 8

_LOOKUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Dataset(msgspec.Struct, frozen=True):
    """Which files to read in which order, and which fields each lookup is on.

    Attributes:
        folder: where the files are.
        name: of the dataset, for people.
        files: relative to `folder`, in order.
        lookups: the fields of each, by its name.
        declared: False if the lookups are the default ones because nothing names others.
    """

    folder: Path
    name: str
    files: tuple[str, ...]
    lookups: dict[str, tuple[str, ...]]
    declared: bool

    def fields(self) -> tuple[str, ...]:
        """Every field that a lookup is on, once, in order of first use."""
        return tuple(dict.fromkeys(field for fields in self.lookups.values() for field in fields))


def load_dataset(data: Path) -> Dataset:
    """The dataset in a folder, or of a single file; no record is read.

    Raises:
        DataError: there is nothing to read, or `dataset.toml` is wrong.
    """
    try:
        return _load(data)
    except OSError as error:
        where = error.filename or data
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from None


def _load(data: Path) -> Dataset:
    if data.is_file():
        if data.suffix.lower() not in SUFFIXES:
            raise DataError(f"{data}: records must be in a {_listed(SUFFIXES)} file")
        _check_name(data.name, data.parent)
        return Dataset(data.parent, _fit(data.stem), (data.name,), DEFAULT_LOOKUPS, declared=False)
    if not data.is_dir():
        raise DataError(f"{data}: no such folder or file of records")
    definition = _read_definition(data / DEFINITION)
    files = _declared_files(data, definition) if "files" in definition else _listed_files(data)
    declared = "lookups" in definition
    return Dataset(
        folder=data,
        name=_declared_name(data, definition),
        files=files,
        lookups=_declared_lookups(data, definition) if declared else DEFAULT_LOOKUPS,
        declared=declared,
    )


def unmet(
    dataset: Dataset, missing: Collection[str], found: Sequence[str], *, examples: Sequence[str]
) -> DataError:
    """What to raise when no record has some of the lookups' fields.

    Args:
        dataset: whose lookups they are.
        missing: those fields.
        found: the fields there are.
        examples: some of them that lookups could be on.
    """
    path = dataset.folder / DEFINITION
    there = _listed(found[:30]) + (f" and {len(found) - 30} more" if len(found) > 30 else "")
    if dataset.declared:
        return DataError(
            f"{path}: no record has {_listed(missing)}, which a lookup is on;"
            f" the fields found are {there}"
        )
    # One that is there may name the files: it is added to, not replaced.
    verb, start = ("add", "") if path.exists() else ("write", f"name = {_quoted(dataset.name)}\n\n")
    names = _lookup_names(examples)
    lookups = "".join(f"{name} = [{_quoted(field)}]\n" for name, field in names.items())
    return DataError(
        f"{dataset.folder}: no record has {_listed(missing)}, so the default lookups do not fit;"
        f" the fields found are {there}. Give that folder as the data, and {verb} the lookups you"
        f" want in {path}, for example:\n\n{start}[lookups]\n{lookups}"
    )


def _read_definition(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    import tomllib  # noqa: PLC0415 - 10 ms that a folder without a definition does not pay

    try:
        definition: dict[str, object] = tomllib.loads(path.read_bytes().decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not TOML in UTF-8: {error}") from None
    if unknown := definition.keys() - {"name", "files", "lookups"}:
        raise DataError(
            f"{path}: unknown {_listed(sorted(unknown))}; there are name, files, lookups"
        )
    return definition


def _declared_name(folder: Path, definition: dict[str, object]) -> str:
    name = definition.get("name", _fit(folder.resolve().name))
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isprintable():
        raise DataError(
            f"{folder / DEFINITION}: name must be text of 1 to 100 printable characters"
        )
    return name


def _declared_files(folder: Path, definition: dict[str, object]) -> tuple[str, ...]:
    path = folder / DEFINITION
    files = _texts(definition["files"])
    if not files:
        raise DataError(f"{path}: files must be a list of file names, each once")
    for file in files:
        pure = PurePosixPath(file)
        if pure.is_absolute() or ".." in pure.parts or "\\" in file or "\0" in file:
            raise DataError(f"{path}: files: {shown(file)} is not inside the folder")
        if pure.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: files: {shown(file)} is not a {_listed(SUFFIXES)} file")
        if not (folder / file).is_file():
            raise DataError(f"{path}: files: there is no file {shown(file)} in {folder}")
    return files


def _listed_files(folder: Path) -> tuple[str, ...]:
    """Every file of records in the folder, sorted; hidden ones are an editor's, not records."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()
    )
    if not names:
        raise DataError(f"{folder}: there are no records here; add a {_listed(SUFFIXES)} file")
    for name in names:
        _check_name(name, folder)
    return tuple(names)


def _declared_lookups(folder: Path, definition: dict[str, object]) -> dict[str, tuple[str, ...]]:
    path = folder / DEFINITION
    table = definition["lookups"]
    if not isinstance(table, dict) or not 1 <= len(table) <= MAX_LOOKUPS:
        raise DataError(f"{path}: [lookups] must be a table of 1 to {MAX_LOOKUPS} lookups")
    lookups: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        if not _LOOKUP_NAME.fullmatch(name):
            raise DataError(
                f"{path}: lookup {shown(name)}: a name starts with a-z and has only"
                " a-z, 0-9 and _ after it, 64 in all"
            )
        if name in RESERVED:
            raise DataError(f"{path}: lookup {name}: the master has a verb of that name; rename it")
        fields = _texts(value)
        if not 1 <= len(fields) <= MAX_LOOKUP_FIELDS:
            raise DataError(
                f"{path}: lookup {name}: must be a list of 1 to {MAX_LOOKUP_FIELDS}"
                " field names, each once"
            )
        lookups[name] = fields
    return lookups


def _texts(value: object) -> tuple[str, ...]:
    """A list of distinct texts; nothing if it is anything else."""
    if not isinstance(value, list):
        return ()
    texts = tuple(text for text in value if isinstance(text, str))
    return texts if len(set(texts)) == len(value) else ()


def _check_name(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{folder}: rename {shown(name)}, its name is not UTF-8") from None


def _fit(name: str) -> str:
    """A file's or folder's name as a dataset's name."""
    clean = "".join(char if char.isprintable() else "?" for char in name)
    return clean[:100] or "records"


def _lookup_names(fields: Iterable[str]) -> dict[str, str]:
    """A lookup's name for each field, all different."""
    names: dict[str, str] = {}
    for number, field in enumerate(fields, 1):
        name = "getby" + re.sub(r"[^a-z0-9]", "", field.lower())[:50]
        names[f"{name}{number}" if name in names else name] = field
    return names


def _quoted(text: str) -> str:
    """Text as TOML has it: JSON's way, and DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_plain(name) for name in names) or "none"


def _plain(text: str) -> str:
    """Text for a message: short, and without what would confuse a terminal."""
    return repr(text[:80])[1:-1]
