"""JSON values, parsed strictly one by one: the slow path, and what to say of a broken one."""

from __future__ import annotations

import json
import math
import re

from nodes.catalog.arguments import quoted
from nodes.catalog.readers.records import DuplicateKeys, NonFiniteNumber, Record

_BLANKS = re.compile(r"[ \t\r\n]*")


def _parse_object(pairs: list[tuple[str, object]]) -> Record | DuplicateKeys:
    record = dict(pairs)
    return record if len(record) == len(pairs) else DuplicateKeys(pairs)


def _parse_float(text: str) -> float | NonFiniteNumber:
    value = float(text)
    return value if math.isfinite(value) else NonFiniteNumber(text)


def _parse_int(text: str) -> int | NonFiniteNumber:
    try:
        return int(text)
    except ValueError:  # more digits than Python agrees to convert
        return NonFiniteNumber(text)


DECODER = json.JSONDecoder(
    object_pairs_hook=_parse_object,
    parse_float=_parse_float,
    parse_int=_parse_int,
    parse_constant=NonFiniteNumber,
)
"""Keeps what records may not have, so that it can be said of which record it is."""


def skip_blanks(text: str, at: int = 0) -> int:
    """Where the next character is that is no blank."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at


_REASONS = (
    ("Invalid control character", "a text is not closed in its line, or has a control character"),
    ("Unterminated string", "a text that begins here is not closed"),
    ("Invalid \\", r"there is no such escape in JSON: a \ stands before one of \"/bfnrtu"),
    ("Expecting property name", "a name in double quotes must come here"),
    ("Expecting ':'", "a : must come here"),
    ("Expecting ','", "a comma is missing, or a bracket that closes"),
    ("Extra data", "something comes after its end"),
    ("Expecting value", "a value must come here"),
    ("Illegal trailing comma", "a comma must not come before a bracket that closes"),
)


def syntax_reason(error: json.JSONDecodeError) -> str:
    """Why text is no JSON, in words of ours: the library's differ between its versions."""
    at = skip_blanks(error.doc, error.pos)
    before = error.doc[:at].rstrip(" \t\r\n")
    string = error.msg.startswith(("Invalid", "Unterminated"))
    if not string and at >= len(error.doc):
        return "it ends too early" if before else "there is nothing in it"
    if not string and before.endswith(",") and error.doc[at] in "]}":
        return "a comma must not come before a bracket that closes"
    reason = next((ours for theirs, ours in _REASONS if error.msg.startswith(theirs)), "")
    there = "" if string else f", and not {quoted(error.doc[at : at + 20].partition(chr(10))[0])}"
    return f"{reason or 'it is written in another way'}{there}"
