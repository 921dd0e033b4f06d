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
"""Seconds after which a signal is seen to at the latest; see `nodes.cli.common.wait_for`."""

PER_WATCHDOG = 4
"""Signs of life within the time in which one is due."""


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
