"""A bound on how deep JSON may nest: ours, so that it is the same on every interpreter.

What the interpreter itself allows differs between versions by a factor of ten, and a client's
decoder may allow less than the worker's did.
"""

from __future__ import annotations

import itertools
import re

MAX_NESTING = 100
"""Levels of arrays and objects in one record, the record itself included."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_OPENING, _CLOSING = b"[{", b"]}"
_STEPS = bytes.maketrans(_OPENING + _CLOSING, b"\x01\x01\xff\xff")  # as signed bytes: 1 and -1
_OTHERS = bytes(set(range(256)).difference(_OPENING + _CLOSING))


def is_nested_within(text: bytes, levels: int, *, beside: int = 0) -> bool:
    """Whether no array or object in some JSON is more than so many levels deep.

    Args:
        text: valid JSON text, a fragment of it, or several lines.
        levels: how many are allowed; an array or object by itself is one.
        beside: how many arrays and objects are known to be off the way to the deepest one.
            When all the others are no more than `levels`, nothing is looked at one by one.
    """
    if text.count(b"{") + text.count(b"[") <= levels + beside:
        return True
    steps = _STRINGS.sub(b"", text).translate(_STEPS, _OTHERS)
    return max(itertools.accumulate(memoryview(steps).cast("b")), default=0) <= levels
