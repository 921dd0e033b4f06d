"""Turns at an event loop: work that comes in slices gets one slice an iteration, in fair order."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import ContextVar

from nodes.support.fair_queue import FairQueue

whose_turn: ContextVar[object] = ContextVar("whose_turn", default=None)
"""For whom the work is done that runs in this context: its connection, say."""


class Turns:
    """The turns of one event loop: one of them gets its next slice in each iteration, whoever has
    waited longest, and of the work of one asker the one that was begun.

    However much somebody asks, others wait for one slice of it.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: FairQueue[Callable[[], object]] = FairQueue()
        self._granting = False

    def call(self, whose: object, work: Callable[[], object]) -> None:
        """Has that done when it is the asker's turn."""
        self._put(whose, work, first=False)

    async def next(self, *, begun: bool) -> None:
        """Waits for a turn; `begun` tells whether this work had one before."""
        turn: asyncio.Future[None] = self._loop.create_future()

        def grant() -> None:
            if not turn.done():  # who waited may have been cancelled
                turn.set_result(None)

        # What was begun is brought to its end first, or all of it would be half done, and kept.
        self._put(whose_turn.get(), grant, first=begun)
        await turn

    def _put(self, whose: object, work: Callable[[], object], *, first: bool) -> None:
        self._waiting.put(whose, work, first=first)
        if not self._granting:
            self._granting = True
            self._loop.call_soon(self._grant)

    def _grant(self) -> None:
        try:
            self._waiting.pop()()
        finally:
            self._granting = bool(self._waiting.queues)
            if self._granting:
                self._loop.call_soon(self._grant)


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


def turns() -> Turns:
    """The turns of the event loop that runs."""
    loop = asyncio.get_running_loop()
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns(loop)
    return found
