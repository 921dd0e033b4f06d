"""A ticker: how late this process runs, measured again and again, and a call about each second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil

from nodes.master.lag import Lag

TICK_S = 0.25
TICKS_PER_CALL = 4
"""Seconds between two looks at the clock, and how many of them lie between two calls."""


class Ticker:
    """A thread that notes how late it is woken, and calls back about each second.

    Args:
        lag: told how late each tick comes, and how busy the cores are.
        each_second: called with the time (monotonic, seconds).
    """

    def __init__(self, lag: Lag, each_second: Callable[[float], None]) -> None:
        self._lag = lag
        self._each_second = each_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        """Begins to tick."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; harmless if it never began."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        asked = time.monotonic()
        ticks = 0
        while not self._stopping.wait(TICK_S):
            now = time.monotonic()
            self._lag.note(now - asked - TICK_S, psutil.cpu_percent(None))
            ticks += 1
            if ticks % TICKS_PER_CALL == 0:
                self._each_second(now)
            asked = time.monotonic()
