"""A long-running command as a service: it waits for its end, and tells how it is meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nodes.support.service_manager import ServiceManager
from nodes.transport import LoopThread

TELL_EVERY_S = 1.0
"""Seconds between two looks at what there is to tell."""

LOOK_EVERY_S = 0.25
"""Seconds after which a signal is seen to at the latest. A wait without an end would sleep through
one that comes just before it begins: Python runs handlers between two steps of the main thread, and
there would be none."""

PER_WATCHDOG = 4
"""Signs of life within the time in which one is due."""

STEP_PATIENCE_S = 300.0
"""Seconds that one step of a start may take, which tells nothing meanwhile: an index, of ten
million records say."""


class StartProgress:
    """A start's progress, told to its service manager as it gets on (`nodes.catalog.Progress`).

    Args:
        manager: to be told.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, manager: ServiceManager, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._told: tuple[str, int] | None = None
        self._tell_at = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        if (stage, done) == self._told or now < self._tell_at:
            return
        self._told, self._tell_at = (stage, done), now + TELL_EVERY_S
        share = done * 100 // max(1, total)
        self._manager.starting(f"starting: {stage} {share} %", STEP_PATIENCE_S)


def tell_until(
    settled: threading.Event, manager: ServiceManager, status: Callable[[], str]
) -> None:
    """Waits for that event, and tells a service manager meanwhile how it is.

    Args:
        settled: waited for.
        manager: to be told.
        status: how it is now, in a line.
    """
    while not settled.wait(LOOK_EVERY_S):
        manager.status(status())


def serve_until(
    ending: threading.Event, manager: ServiceManager, loop: LoopThread, status: Callable[[], str]
) -> None:
    """Waits until the command is to end, and keeps its service manager informed: that it is ready,
    how it is, that its loop runs, and that it stops.

    Args:
        ending: set when it is to end.
        manager: to be informed.
        loop: what has to run: signs of life are sent from there and no other place.
        status: how it is now, in a line; it may wait for a few seconds.
    """
    if manager.listens:
        manager.ready(status())
    told_at = beaten_at = time.monotonic()
    every_s = manager.watchdog_s / PER_WATCHDOG if manager.watchdog_s else 0.0
    look_s = min(LOOK_EVERY_S, every_s) if every_s else LOOK_EVERY_S
    while not ending.wait(look_s):
        now = time.monotonic()
        if every_s and now - beaten_at >= every_s:
            beaten_at = now
            loop.post(manager.alive)
        if manager.listens and now - told_at >= TELL_EVERY_S:
            told_at = now
            manager.status(status())
    manager.stopping()
