"""A ticker: how late the event loop runs, measured again and again, and what is done each tick."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import psutil

from nodes.master.lag import Lag
from nodes.support.silence import Absence
from nodes.support.supervision import (
    AT_ONCE,
    RepeatingTimer,
    Report,
    Supervision,
    shielded,
)

TICK_S = 0.25
TICKS_PER_SECOND = 4
"""Seconds between two ticks, and how many of them are a second."""


class Ticker:
    """Notes how late the loop runs, and calls back. Each of these goes on whatever another raises.

    Args:
        lag: told how late each tick comes, and how busy the cores are.
        each_tick: called with the time (monotonic, seconds); not in the tick that finds out that
            this process was away.
        each_second: called about each second.
        report: told when one of these failed.
        busy_percent: how busy all cores were since it was asked last.
    """

    def __init__(
        self,
        lag: Lag,
        *,
        each_tick: Callable[[float], None],
        each_second: Callable[[float], None],
        report: Report | None = None,
        busy_percent: Callable[[], float] = lambda: psutil.cpu_percent(None),
    ) -> None:
        def shield(work: Callable[..., None], name: str) -> Callable[..., None]:
            return shielded(work, Supervision(name, report, backoff=AT_ONCE))

        self._lag = lag
        self._each_tick = shield(each_tick, "the look at workers")
        self._each_second = shield(each_second, "the look at the cluster")
        self._busy_percent = shielded(
            busy_percent, Supervision("the look at the cores", report, backoff=AT_ONCE)
        )
        self._ticks = 0
        self._absence = Absence()
        self._due_at = math.inf
        self._timer = RepeatingTimer(
            TICK_S, self._tick, Supervision("the ticker", report, backoff=AT_ONCE)
        )

    def start(self) -> None:
        """Begins to tick; called on the loop."""
        self._timer.start()

    def stop(self) -> None:
        """Ends; harmless if it never began."""
        self._timer.stop()

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        late_s, self._due_at = now - self._due_at, now + TICK_S
        self._lag.note(max(0.0, late_s), self._busy_percent() or 0.0)
        self._ticks += 1
        if not self._absence.noticed(late_s):
            self._each_tick(now)
        if self._ticks % TICKS_PER_SECOND == 0:
            self._each_second(now)
