"""Types of messages, made ready for threads."""

from __future__ import annotations

from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def ready(kind: type[S]) -> type[S]:
    """Has msgspec look at a type as soon as it is made: a decorator of whatever is decoded.

    Otherwise it does so when one is first decoded, or converted to. If two threads come to that
    at the same time, the second finds the type half looked at, and the process ends with a
    segmentation fault (msgspec 0.22).
    """
    msgspec.json.Decoder(kind)
    return kind
