"""Argument validation: checks a lookup's arguments and converts them to its fields' types.

The master does this before it picks a worker, so that a wrong argument is answered at once and
counts against no worker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from types import NoneType

from nodes.catalog.model import ANY, PREFIX, Lookup
from nodes.catalog.text_forms import fold, fold_beginning, words
from nodes.errors import BadRequest

Argument = str | int | float

MAX_TEXT_CHARS = 4096
MAX_NUMBER_CHARS = 64
"""The longest number given as text; a longer one would not fit 64 bits anyway."""
MAX_WORDS = 32
"""Different words that a lookup may look for at once."""
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def usage(lookup: Lookup) -> str:
    """A lookup's signature, for messages: `getbyyear(location, year)`, `starting(name...)`,
    `search(words in name, location)`.
    """
    fields = ", ".join(lookup.fields)
    if lookup.kind == PREFIX:
        fields += "..."
    elif lookup.kind == ANY and lookup.searched:
        fields += f" in {', '.join(lookup.searched)}"
    return f"{lookup.name}({fields})"


def quoted(value: str) -> str:
    """A value quoted for a message: escaped and cut short."""
    return repr(value if len(value) <= 40 else f"{value[:40]}...")[:80]


def coerce(lookup: Lookup, args: Sequence[object]) -> tuple[Argument, ...]:
    """Check arguments and convert them to the types of the lookup's fields.

    Text stays text; an integer or a number may also be given as text ("2002").

    Raises:
        BadRequest: The count or a type is wrong, or no record can have such a value. The
            message names the lookup and the argument.
    """
    if len(args) != len(lookup.fields):
        advice = "; write all words as one text, in quotes" if lookup.kind == ANY and args else ""
        raise BadRequest(
            f"{usage(lookup)} takes {len(lookup.fields)} argument(s), {len(args)} given{advice}"
        )
    found: list[Argument] = []
    try:
        for kind, value in zip(lookup.types, args, strict=True):
            found.append(_CONVERTERS[kind](value))
        if lookup.kind == ANY:
            found.append(_to_words(str(found.pop())))
    except _BadArgument as bad:
        field = lookup.fields[len(found)]
        raise BadRequest(f"{usage(lookup)}: {field} {bad}") from None
    return tuple(_folded(lookup, found) if lookup.folded else found)


def _folded(lookup: Lookup, found: Sequence[Argument]) -> list[Argument]:
    """The arguments as they are compared with folded fields."""
    last = len(found) - 1 if lookup.kind == PREFIX else -1
    return [
        (fold_beginning(value) if at == last else fold(value))
        if field in lookup.folded and isinstance(value, str)
        else value
        for at, (field, value) in enumerate(zip(lookup.fields, found, strict=True))
    ]


class _BadArgument(Exception):  # noqa: N818 - never leaves this module
    """The reason why an argument is wrong, to follow the argument's name in a message."""


def _to_text(value: object) -> Argument:
    if type(value) is int:
        return _digits(value)
    if type(value) is not str:
        raise _BadArgument(f"must be text, not {_type_name(value)}")
    if len(value) > MAX_TEXT_CHARS:
        raise _BadArgument(f"has {len(value)} characters, at most {MAX_TEXT_CHARS} are allowed")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _BadArgument(f"is not valid Unicode: {quoted(value)}") from None
    return value


def _digits(value: int) -> str:
    """An integer that is asked of a text: who asks for 7 means what is written 7."""
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise _BadArgument("is outside the 64 bits an integer may have; give its digits as text")
    return str(value)


def _to_words(text: str) -> str:
    """What is looked for of a text: its words, each once, so that the same question is the same."""
    found = dict.fromkeys(words(text))
    if not found:
        raise _BadArgument("must have a letter or a digit in it")
    if len(found) > MAX_WORDS:
        raise _BadArgument(f"has {len(found)} different words, at most {MAX_WORDS} are allowed")
    return " ".join(found)


def _to_integer(value: object) -> Argument:
    if type(value) is str:
        if len(value) > MAX_NUMBER_CHARS or not _INTEGER.fullmatch(value):
            raise _BadArgument(f"must be an integer, not {quoted(value)}")
        value = int(value)
    if type(value) is not int:
        raise _BadArgument(f"must be an integer, not {_type_name(value)}")
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise _BadArgument("is outside the 64 bits an integer may have")
    return value


def _to_number(value: object) -> Argument:
    if type(value) is str:
        if len(value) > MAX_NUMBER_CHARS or not _NUMBER.fullmatch(value):
            raise _BadArgument(f"must be a number, not {quoted(value)}")
        value = int(value) if _INTEGER.fullmatch(value) else float(value)
    if type(value) is int:
        return _to_integer(value)
    if type(value) is not float:
        raise _BadArgument(f"must be a number, not {_type_name(value)}")
    if not math.isfinite(value):
        raise _BadArgument("must be a finite number")
    return value


_TYPE_NAMES: dict[type, str] = {
    NoneType: "null",
    bool: "true or false",
    str: "text",
    int: "an integer",
    float: "a number with a fraction",
    list: "a list",
    tuple: "a list",
    dict: "an object",
    bytes: "bytes",
}


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "that")


_CONVERTERS = {"text": _to_text, "integer": _to_integer, "number": _to_number}
