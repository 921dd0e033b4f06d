"""A bound on how deep JSON may nest: ours, so that it is the same on every interpreter.

What the interpreter itself allows differs between versions by a factor of ten, and a client's
decoder may allow less than the worker's did.
"""

from __future__ import annotations

import itertools
import re

MAX_NESTING = 100
"""Levels of arrays and objects in one record, the record itself included."""

BLOCK_BYTES = 64
"""Of brackets that are looked at together: in so many, none can be too deep by chance."""

_STRINGS = re.compile(rb'"[^"]*"')
_BRACKETS, _QUOTE = b"[{]}", b'"'
_OTHERS = bytes(set(range(256)).difference(_BRACKETS + _QUOTE))
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")  # as signed bytes: 1 and -1
_OPENING = b"\x01"


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
    depth = 0
    steps = _brackets(text).translate(_STEPS)
    for start in range(0, len(steps), BLOCK_BYTES):
        block = steps[start : start + BLOCK_BYTES]
        opening = block.count(_OPENING)
        if depth + opening > levels:
            signed = memoryview(block).cast("b")
            if max(itertools.accumulate(signed, initial=depth)) > levels:
                return False
        depth += 2 * opening - len(block)
    return True


def _brackets(text: bytes) -> bytes:
    """The brackets of some JSON that are in no string: in few passes, none of them by Python."""
    if b"\\" in text:
        # An escaped backslash escapes nothing, and an escaped quote ends no string.
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes next to each other change nothing of what is in a string and what is not.
    kept = text.translate(None, _OTHERS).replace(_QUOTE * 2, b"")
    return _STRINGS.sub(b"", kept) if _QUOTE in kept else kept
