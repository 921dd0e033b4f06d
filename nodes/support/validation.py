"""What a verb is given by a peer: checked by exact type, and refused in words that help."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from nodes.errors import BadRequest

MAX_INTEGER = 2**63 - 1
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


def validated(do: Callable[..., object]) -> Callable[..., object]:
    """`do`, which takes texts and numbers, for callers who may give anything.

    What is asked of each argument is its annotation's to say: `str` is any text, `float` a number
    of seconds, `int` a whole number from 0 up, or any if its default is below 0. Raises
    `BadRequest`.
    """
    signature = inspect.signature(do, eval_str=True)

    def check(parameter: inspect.Parameter, value: object) -> object:
        if parameter.annotation is str:
            return text(parameter.name, value)
        if parameter.annotation is float:
            return seconds(parameter.name, value)
        lowest = parameter.default if type(parameter.default) is int else 0
        return whole(parameter.name, value) if lowest < 0 else count(parameter.name, value)

    def call_checked(*args: object, **named: object) -> object:
        try:
            bound = signature.bind(*args, **named)
        except TypeError as misfit:
            raise BadRequest(f"the arguments do not fit: {misfit}") from misfit
        checked = {
            name: check(signature.parameters[name], value)
            for name, value in bound.arguments.items()
        }
        return do(**checked)

    return call_checked


def text(name: str, value: object) -> str:
    """`value`, which must be text; `name` is what the peer calls it. Raises `BadRequest`."""
    if type(value) is not str:
        raise BadRequest(f"{name} must be text, not {type(value).__name__[:40]}")
    return value


def count(name: str, value: object) -> int:
    """`value`, which must be a whole number from 0 to `MAX_INTEGER`; as `text`."""
    if type(value) is not int or value < 0:
        raise BadRequest(f"{name} must be a whole number from 0 up")
    if value > MAX_INTEGER:
        raise BadRequest(f"{name} must be at most {MAX_INTEGER}")
    return value


def whole(name: str, value: object) -> int:
    """`value`, which must be a whole number; as `text`."""
    if type(value) is not int:
        raise BadRequest(f"{name} must be a whole number")
    return value


def seconds(name: str, value: object) -> float:
    """`value`, which must be a number; as `text`."""
    if type(value) is int or type(value) is float:
        return value  # as it is: an integer may be larger than any float
    raise BadRequest(f"{name} must be a number of seconds")
