"""Supervision: work that lasts goes on, whatever it raises; that is told, and it waits before it is
done anew.

Every loop, thread and timer that is to last as long as its process runs under one of the shells
here; what they decide is `Supervision`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nodes.support.backoff import Backoff
from nodes.support.os_errors import explain_os_error

T = TypeVar("T")

logger = logging.getLogger("rollcall.supervision")

RESTART_BACKOFF = Backoff(first_s=0.2, longest_s=30.0)
"""Before work that failed is done anew."""

AT_ONCE = Backoff(first_s=0.0)
"""For what is called again and again in any case: it is not left out."""

RECOVERED_AFTER_S = 60.0
"""Seconds without a failure after which the next one is the first."""

TELL_EVERY_S = 10.0
"""Seconds between two failures that are told at least, however they differ."""

Report = Callable[[str], object]
"""Takes what is to be told; from any thread, and without waiting."""


class Supervision:
    """What is told of work that failed, and until when it rests. For one thread at a time.

    Args:
        name: of the work, as the beginning of a sentence.
        report: told of a failure, once as long as it is the same; None for a line in the log.
        backoff: how long it rests; `RESTART_BACKOFF` unless it is given.

    Attributes:
        rests_until: by the clock that failures are noted with.
    """

    def __init__(
        self, name: str, report: Report | None = None, *, backoff: Backoff | None = None
    ) -> None:
        self.rests_until = -math.inf
        self._name = name
        self._report = report
        self._backoff = backoff or RESTART_BACKOFF
        self._failures = 0
        self._failed_at = -math.inf
        self._told = ""
        self._told_at = -math.inf

    def failed(self, error: Exception, now: float) -> float:
        """The work has raised that. Returns the seconds for which it rests.

        Args:
            error: what it raised.
            now: monotonic, in seconds.
        """
        if now - self._failed_at > RECOVERED_AFTER_S:
            self._failures, self._told = 0, ""
        self._failed_at = now
        chance = random.random()  # noqa: S311 - jitter, no secret
        rest_s = self._backoff.wait_s(self._failures, chance)
        self._failures += 1
        self.rests_until = now + rest_s
        # With no memory or no descriptors left, even to tell may fail.
        with contextlib.suppress(Exception):
            self._tell(error, now)
        return rest_s

    def _tell(self, error: Exception, now: float) -> None:
        text = f"{self._name} failed: {explain_failure(error)}; it goes on"
        if text == self._told or now - self._told_at < TELL_EVERY_S:
            return
        self._told, self._told_at = text, now
        if self._report is not None:
            self._report(text)
        if not is_of_system(error):
            logger.error("%s", text, exc_info=error)
        elif self._report is None:
            logger.warning("%s", text)


def is_of_system(error: Exception) -> bool:
    """Whether it is the system's, and not a defect: no memory, no descriptors, a full disk."""
    return isinstance(error, OSError | MemoryError)


def explain_failure(error: Exception) -> str:
    """What went wrong with work that was not expected to fail, in words for people."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError):
        return explain_os_error(error)
    return f"a defect of Rollcall ({type(error).__name__}); its log has more"


def supervise(
    work: Callable[[], object], supervision: Supervision, stopping: threading.Event
) -> None:
    """Does work in this thread to its end, and begins anew whenever it fails, until it is told to
    stop.
    """
    while not stopping.is_set():
        try:
            work()
        except Exception as error:  # noqa: BLE001 - that is what supervision is for
            stopping.wait(supervision.failed(error, time.monotonic()))
        else:
            return


def supervised_thread(
    name: str,
    work: Callable[[], object],
    supervision: Supervision,
    stopping: threading.Event,
) -> threading.Thread:
    """A daemon thread of that name, begun, that does work under supervision; see `supervise`."""
    thread = threading.Thread(
        target=supervise, args=(work, supervision, stopping), name=name, daemon=True
    )
    thread.start()
    return thread


async def supervised(
    work: Callable[[], Awaitable[object]],
    supervision: Supervision,
    stopping: asyncio.Event | None = None,
) -> None:
    """Does work in this task to its end, and begins anew whenever it fails, until it is told to
    stop or cancelled.
    """
    stopping = stopping or asyncio.Event()
    while not stopping.is_set():
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - as above
            rest_s = supervision.failed(error, time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), rest_s)
        else:
            return


def shielded(work: Callable[..., T], supervision: Supervision) -> Callable[..., T | None]:
    """The same work for whoever calls it again and again: it raises nothing. It is left out, and
    None returned, while it rests.
    """

    def call(*args: object) -> T | None:
        now = time.monotonic()
        if now < supervision.rests_until:
            return None
        try:
            return work(*args)
        except Exception as error:  # noqa: BLE001 - as above
            supervision.failed(error, now)
            return None

    return call


class RepeatingTimer:
    """Calls back on an event loop, again and again; the next time is set first, so that none is
    the last.

    Args:
        interval_s: seconds from one call to the next.
        work: called; what it raises is told and no more.
        supervision: of the work.
    """

    def __init__(
        self, interval_s: float, work: Callable[[], object], supervision: Supervision
    ) -> None:
        self._interval_s = interval_s
        self._work = shielded(work, supervision)
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Calls at once, and from then on; called on the loop."""
        self._next = asyncio.get_running_loop().call_later(self._interval_s, self.start)
        self._work()

    def stop(self) -> None:
        """Calls no more; harmless if it never began."""
        if self._next is not None:
            self._next.cancel()
