"""A ticker: how late the event loop runs, measured again and again, and what is done each tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psutil

from nodes.master.lag import Lag

TICK_S = 0.25
TICKS_PER_SECOND = 4
"""Seconds between two ticks, and how many of them are a second."""


class Ticker:
    """Notes how late the loop runs, and calls back.

    Args:
        lag: told how late each tick comes, and how busy the cores are.
        each_tick: called with the time (monotonic, seconds).
        each_second: called about each second.
    """

    def __init__(
        self,
        lag: Lag,
        *,
        each_tick: Callable[[float], None],
        each_second: Callable[[float], None],
    ) -> None:
        self._lag = lag
        self._each_tick = each_tick
        self._each_second = each_second
        self._ticks = 0
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to tick; called on the loop."""
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        """Ends; harmless if it never began."""
        if self._next is not None:
            self._next.cancel()

    def _wait(self) -> None:
        self._due_at = self._loop.time() + TICK_S
        self._next = self._loop.call_at(self._due_at, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._lag.note(now - self._due_at, psutil.cpu_percent(None))
        self._ticks += 1
        self._wait()
        self._each_tick(now)
        if self._ticks % TICKS_PER_SECOND == 0:
            self._each_second(now)
