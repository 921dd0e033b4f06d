"""Work in slices, so that an event loop can do something else in between.

Such work is a generator that yields wherever it may be interrupted, and returns its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Sliced: TypeAlias = Generator[None, None, T]
"""Work that comes in slices; its result is a T."""


def single(function: Callable[[], T]) -> Sliced[T]:
    """Work of one slice."""
    yield from ()
    return function()


def finish(work: Sliced[T]) -> T:
    """Does all of it at once. Returns its result, and raises what it raises."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def begin(work: Sliced[T]) -> T | Awaitable[T]:
    """Does the first slice. Returns the result if that was all, or else what to await for it: it
    does a slice each time that the event loop comes round.
    """
    try:
        next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return _go_on(work)


async def _go_on(work: Sliced[T]) -> T:
    while True:
        await asyncio.sleep(0)
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
