"""Signals upon which the console lets go of everything in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

LEAVE_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def heed_signals(leave: Callable[[], None]) -> None:
    """Has `leave` called on the running loop for each of those signals."""
    loop = asyncio.get_running_loop()
    for number in LEAVE_SIGNALS:
        # Where that cannot be had, as on another thread than the first, the default holds.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, leave)
