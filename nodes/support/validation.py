"""What a verb is given by a peer: checked by exact type, and refused in words that help."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from nodes.errors import BadRequest

MOST_COUNT = 2**63 - 1
"""No number that is counted with is larger; one that is may not even fit a message."""


def call(do: Callable[..., object], args: tuple[object, ...], named: dict[str, object]) -> object:
    """Calls a verb; arguments that do not fit it are the caller's mistake, not a defect."""
    try:
        return do(*args, **named)
    except TypeError:
        try:
            inspect.signature(do).bind(*args, **named)
        except TypeError as misfit:
            raise BadRequest(f"the arguments do not fit: {misfit}") from misfit
        raise


def text(name: str, value: object) -> str:
    """`value`, which must be text; `name` is what the peer calls it. Raises `BadRequest`."""
    if type(value) is not str:
        raise BadRequest(f"{name} must be text, not {type(value).__name__[:40]}")
    return value


def count(name: str, value: object) -> int:
    """`value`, which must be a whole number from 0 to `MOST_COUNT`; as `text`."""
    if type(value) is not int or value < 0:
        raise BadRequest(f"{name} must be a whole number from 0 up")
    if value > MOST_COUNT:
        raise BadRequest(f"{name} must be at most {MOST_COUNT}")
    return value


def seconds(name: str, value: object) -> float:
    """`value`, which must be a number; as `text`."""
    if type(value) is int or type(value) is float:
        return value  # as it is: an integer may be larger than any float
    raise BadRequest(f"{name} must be a number of seconds")
