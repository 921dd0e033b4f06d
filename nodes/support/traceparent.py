"""W3C trace context: which trace a lookup is a part of, as its client says.

Source of the form: https://www.w3.org/TR/trace-context/, level 1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_CHARS = 512
"""Of a text that is looked at; one of a later version may have more than the 55 of today's."""

_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)
_SAMPLED = 0x01


class TraceParent(NamedTuple):
    """What a lookup is a part of.

    Attributes:
        trace_id: of the whole, 32 hex digits.
        span_id: of the part that the lookup was asked in, 16 hex digits.
        sampled: whether whoever asked has it recorded.
    """

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str) -> TraceParent | None:
    """The `traceparent` that a client has sent; None for one that is none, which is to be taken as
    if there were none. Of a version after this one, what follows the flags is not read.
    """
    found = _FORM.fullmatch(text[: MAX_CHARS + 1])
    if found is None or len(text) > MAX_CHARS or found["version"] == "ff":
        return None
    if found["version"] == "00" and found["more"]:
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return TraceParent(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))
