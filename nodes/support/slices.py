"""Work in slices, so that an event loop can do something else in between.

Such work is a generator that yields wherever it may be interrupted, and returns its result. It
yields None to go on as soon as others had their turn, or a future to go on once that is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeAlias, TypeVar

from nodes.support.turns import turns

T = TypeVar("T")

Pause: TypeAlias = "asyncio.Future[Any] | None"
"""What sliced work waits for between two slices: for its next turn, or for a future's end."""

Sliced: TypeAlias = Generator[Pause, None, T]
"""Work that comes in slices; its result is a T."""


def single(function: Callable[[], T]) -> Sliced[T]:
    """Work of one slice."""
    yield from ()
    return function()


def awaited(work: Coroutine[Any, Any, T]) -> Sliced[T]:
    """A coroutine as sliced work, on the event loop that runs. It goes on to its end even where
    nobody waits for that any more.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_forget)
    yield task
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    """What went wrong is told to whoever waits, if anybody does."""
    if not task.cancelled():
        task.exception()


def finish(work: Sliced[T]) -> T:
    """Does all of it at once: work that waits for no future. Returns its result, and raises what it
    raises.
    """
    while True:
        try:
            pause = next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        assert pause is None, "such work needs an event loop"  # noqa: S101 - a defect of the caller


def begin(work: Sliced[T]) -> T | Awaitable[T]:
    """Does the first slice. Returns the result if that was all, or else what to await for it: it
    does a slice each time that it is its turn, or that what it waits for is done.
    """
    try:
        pause = next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return _go_on(work, pause, begun=True)


async def complete(work: Sliced[T]) -> T:
    """Does all of it, slice by slice, the first as well when it is its turn."""
    return await _go_on(work, None, begun=False)


def _end_of(future: asyncio.Future[Any]) -> asyncio.Future[None]:
    """Done once that is, however it ended: `asyncio.wait` for one, in less time."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(_future: asyncio.Future[Any]) -> None:
        if not ended.done():  # who waited may have been cancelled
            ended.set_result(None)

    future.add_done_callback(end)
    return ended


async def _go_on(work: Sliced[T], pause: Pause, *, begun: bool) -> T:
    while True:
        if pause is None:
            await turns().next(begun=begun)
        else:
            await _end_of(pause)
        begun = True
        try:
            pause = next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
