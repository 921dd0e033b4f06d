"""Reading options: what a `dataset.toml` says of how its files are to be read."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from nodes.catalog.arguments import quoted
from nodes.errors import DataError

READING_VERSION = 1
"""Raise it with any change of what a reader makes of a file: catalogs are then built anew."""

ColumnType = Literal["text", "integer", "number"]
MAX_NULLS = 100
OPTION_KEYS = ("records", "key", "encoding", "delimiter", "null", "types")


class ReadingOptions(msgspec.Struct, frozen=True):
    """How files are read; whatever is not said is found out from each file.

    Attributes:
        records: The member of a JSON object, the sheet or the table that holds the records.
        key: The field that takes the key of a JSON object's member, where its record has none.
        encoding: The encoding of text files that are not UTF-8.
        delimiter: The character between two cells.
        null: What stands in a cell that has no value, beside nothing.
        types: The types of some fields.
    """

    records: str = ""
    key: str = ""
    encoding: str = ""
    delimiter: str = ""
    null: tuple[str, ...] = ()
    types: dict[str, ColumnType] = msgspec.field(default_factory=dict)


def read_options(path: Path, definition: Mapping[str, object]) -> ReadingOptions:
    """Read the options in the definition at `path`.

    Raises:
        DataError: One is wrong; the message says what to write.
    """
    null = definition.get("null", [])
    nulls = (null,) if isinstance(null, str) else tuple(null) if isinstance(null, list) else (0,)
    if len(nulls) > MAX_NULLS or not all(isinstance(text, str) for text in nulls):
        raise DataError(
            f'{path}: null must be what stands in a cell without a value, as "NA", or a list of'
            f" at most {MAX_NULLS} such texts"
        )
    return ReadingOptions(
        records=_text(path, definition, "records", 'the name of what holds the records, as "rows"'),
        key=_text(path, definition, "key", 'the field that the keys are values of, as "name"'),
        encoding=_encoding(path, definition),
        delimiter=_delimiter(path, definition),
        null=nulls,
        types=_types(path, definition),
    )


def _text(path: Path, definition: Mapping[str, object], key: str, what: str) -> str:
    value = definition.get(key, "")
    if not isinstance(value, str) or (key in definition and not value):
        raise DataError(f"{path}: {key} must be {what}")
    return value


def _encoding(path: Path, definition: Mapping[str, object]) -> str:
    name = _text(path, definition, "encoding", 'the name of an encoding, as "cp1252"')
    if not name:
        return ""
    try:
        b"a".decode(name, "replace")  # what is no encoding of text, as "hex", raises as well
        codecs.getincrementaldecoder(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        pass
    raise DataError(
        f"{path}: encoding: {quoted(name)} is not known; there are utf-8, utf-16, cp1252, latin-1,"
        " mac-roman, shift_jis, gb18030 and others"
    )


def _delimiter(path: Path, definition: Mapping[str, object]) -> str:
    value = _text(path, definition, "delimiter", 'the character between two cells, as ";"')
    if value and (
        len(value) != 1 or value in '"\r\n' or not (value.isascii() or value.isprintable())
    ):
        raise DataError(rf'{path}: delimiter must be one character, as ";" or "\t"')
    return value


def _types(path: Path, definition: Mapping[str, object]) -> dict[str, ColumnType]:
    table = definition.get("types", {})
    wanted = f'{path}: [types] takes fields, each as "text", "integer" or "number"'
    if not isinstance(table, dict):
        raise DataError(wanted)
    try:
        return msgspec.convert(table, dict[str, ColumnType])
    except msgspec.ValidationError:
        wrong = next(field for field, kind in table.items() if kind not in _TYPE_NAMES)
        raise DataError(f"{wanted}: {quoted(wrong)} is neither") from None


_TYPE_NAMES: tuple[object, ...] = ("text", "integer", "number")
