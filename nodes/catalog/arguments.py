"""Argument validation: a lookup's arguments checked, and brought to the types of its fields.

The master calls this before it picks a worker, so that a wrong argument is
answered at once and no worker is blamed for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nodes.catalog.model import Lookup
from nodes.errors import BadRequest

Argument = str | int | float

MAX_TEXT_CHARS = 4096  # characters of a text argument
MAX_NUMBER_CHARS = 64  # characters of a number given as text; longer ones fit no 64 bits anyway
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def usage(lookup: Lookup) -> str:
    """How a lookup is written, for messages: `getbyyear(location, year)`."""
    return f"{lookup.name}({', '.join(lookup.fields)})"


def shown(value: str) -> str:
    """A value quoted for a message: escaped, and cut so that it stays short."""
    return repr(value if len(value) <= 40 else f"{value[:40]}...")[:80]


def coerce(lookup: Lookup, args: Sequence[object]) -> tuple[Argument, ...]:
    """Arguments as the lookup's fields store them.

    Text stays text; an integer or a number may also come as text ("2002").

    Raises:
        BadRequest: a wrong count, a wrong type, or a value that no record could have; the
            message names the lookup and the argument.
    """
    if len(args) != len(lookup.fields):
        raise BadRequest(
            f"{usage(lookup)} takes {len(lookup.fields)} argument(s), {len(args)} given"
        )
    found: list[Argument] = []
    try:
        for kind, value in zip(lookup.types, args, strict=True):
            found.append(_ACCEPT[kind](value))
    except _BadArgument as refused:
        field = lookup.fields[len(found)]
        raise BadRequest(f"{usage(lookup)}: {field} {refused}") from None
    return tuple(found)


class _BadArgument(Exception):  # noqa: N818 - never leaves this module
    """Why an argument is refused, as the end of a sentence that starts with its name."""


def _text(value: object) -> Argument:
    if type(value) is not str:
        raise _BadArgument(f"must be text, not {_kind(value)}")
    if len(value) > MAX_TEXT_CHARS:
        raise _BadArgument(f"has {len(value)} characters, at most {MAX_TEXT_CHARS} are allowed")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _BadArgument(f"is not valid Unicode: {shown(value)}") from None
    return value


def _integer(value: object) -> Argument:
    if type(value) is str:
        if len(value) > MAX_NUMBER_CHARS or not _INTEGER.fullmatch(value):
            raise _BadArgument(f"must be an integer, not {shown(value)}")
        value = int(value)
    if type(value) is not int:
        raise _BadArgument(f"must be an integer, not {_kind(value)}")
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise _BadArgument("is outside the 64 bits an integer may have")
    return value


def _number(value: object) -> Argument:
    if type(value) is str:
        if len(value) > MAX_NUMBER_CHARS or not _NUMBER.fullmatch(value):
            raise _BadArgument(f"must be a number, not {shown(value)}")
        value = int(value) if _INTEGER.fullmatch(value) else float(value)
    if type(value) is int:
        return _integer(value)
    if type(value) is not float:
        raise _BadArgument(f"must be a number, not {_kind(value)}")
    if not math.isfinite(value):
        raise _BadArgument("must be a finite number")
    return value


def _kind(value: object) -> str:
    return type(value).__name__[:40]


_ACCEPT = {"text": _text, "integer": _integer, "number": _number}
