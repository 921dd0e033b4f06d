"""How values are held in columns of PostgreSQL, so that they are found, and in the order, as in
SQLite.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple, cast

from nodes.catalog.arguments import Argument


class NoSuchValue(Exception):  # noqa: N818 - an answer, no fault
    """No record can have that value."""


class Column(NamedTuple):
    """A column that lookups are on.

    Attributes:
        name: Its name, quoted.
        sql_type: What its values are compared as.
        encode: Makes a parameter of an argument; may raise `NoSuchValue`.
        decode: Makes the text that is suggested of a value.
    """

    name: str
    sql_type: str
    encode: Callable[[Argument], object]
    decode: Callable[[object], str]


def quoted_name(name: str) -> str:
    """A name in a statement; `%` is doubled, as it marks parameters there."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def escaped(text: str) -> str:
    r"""Text without U+0000, which PostgreSQL's has no room for: it becomes U+0001 U+0001, and
    U+0001 becomes U+0001 U+0002. So texts stay distinct, in order, and beginnings of each other.
    """
    if "\0" in text or "\1" in text:
        return text.replace("\1", "\1\2").replace("\0", "\1\1")
    return text


def unescaped(text: str) -> str:
    """The text of which `escaped` made that."""
    return text.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in text else text


def exact(number: int | float) -> Decimal:
    """A number as it is to the last digit, so that 2**53 + 1 is not 2.0**53."""
    return Decimal(number)


def loaded_column(name: str, kind: str) -> Column:
    """A column of a catalog that was loaded, for a field of that type."""
    sql_type = {"text": "text", "integer": "int8", "number": "numeric"}[kind]
    encode: dict[str, Callable[[Argument], object]] = {
        "text": lambda value: escaped(cast("str", value)),
        "integer": lambda value: value,
        "number": lambda value: exact(cast("float", value)),
    }
    return Column(name, sql_type, encode[kind], lambda value: unescaped(str(value)))


LIVE_TYPES = {
    "text": "text",
    "varchar": "text",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "float4": "number",
    "float8": "number",
    "numeric": "number",
}
"""Types of columns that lookups on a live table may be on, and what each is to a lookup."""


def live_column(name: str, sql_type: str) -> Column:
    """A column of a live table, of one of `LIVE_TYPES`."""
    encode: dict[str, Callable[[Argument], object]] = {
        "text": _live_text,
        "varchar": _live_text,
        "float4": float,
        "float8": float,
        # As it is written: a column that says 0.1 means one tenth.
        "numeric": lambda value: Decimal(repr(value)),
    }
    compared = {"varchar": "text", "int2": "int8", "int4": "int8"}.get(sql_type, sql_type)
    return Column(quoted_name(name), compared, encode.get(sql_type, lambda value: value), str)


def _live_text(value: Argument) -> str:
    text = cast("str", value)
    if "\0" in text:
        raise NoSuchValue
    return text
