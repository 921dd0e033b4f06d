"""The runner: carries out one client's part of a load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from nodes.load.histogram import Histogram
from nodes.load.schedule import Schedule
from nodes.support.structs import ready

Outcome = tuple[str, str]
"""What came of one lookup: the worker that answered, if that is known, and the code of its error,
if it has one.
"""

MakeCall = Callable[[], Sequence[Outcome]]
"""Makes one call, of one lookup or of a batch."""


@ready
class LoadStats(msgspec.Struct):
    """What came of some calls, each of one lookup or of a batch.

    Attributes:
        latencies: of calls.
        workers: lookups answered, by worker; those of a batch under "".
        errors: lookups that failed, by the code of their error.
        unsent: calls that were due and not made.
    """

    latencies: Histogram = msgspec.field(default_factory=Histogram)
    workers: dict[str, int] = msgspec.field(default_factory=dict)
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    unsent: int = 0

    @property
    def answered(self) -> int:
        """Lookups that got an answer."""
        return sum(self.workers.values())

    @property
    def failed(self) -> int:
        """Lookups that got an error."""
        return sum(self.errors.values())

    def note(self, seconds: float, outcomes: Sequence[Outcome]) -> None:
        """Adds one call."""
        self.latencies.add(seconds)
        for worker, code in outcomes:
            counts, key = (self.errors, code) if code else (self.workers, worker)
            counts[key] = counts.get(key, 0) + 1

    def merge(self, other: LoadStats) -> None:
        """Adds all of another."""
        self.latencies.merge(other.latencies)
        for mine, others in ((self.workers, other.workers), (self.errors, other.errors)):
            for key, count in others.items():
                mine[key] = mine.get(key, 0) + count
        self.unsent += other.unsent


def run_schedule(
    ask: MakeCall,
    schedule: Schedule,
    *,
    stopping: threading.Event,
    every: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[LoadStats]:
    """Asks by the schedule until its end, or until `stopping` is set; reports now and then.

    What is under way is waited for, so a report may be late by a call's time.

    Args:
        ask: makes a call.
        schedule: when each call is due.
        stopping: ends it early.
        every: seconds between two reports, at least; the last one may come sooner.
        clock: a steady one, in seconds.
    """
    stats = LoadStats()
    now = clock()
    report_at = now + every
    while (due := schedule.next(now)) is not None and not stopping.is_set():
        if now >= report_at:
            yield stats
            stats = LoadStats()
            report_at = now + every
        elif due > now:
            stopping.wait(min(due, report_at) - now)
        else:
            outcomes = ask()
            schedule.made()
            stats.note(clock() - due, outcomes)
        now = clock()
    stats.unsent = schedule.unsent(now)
    yield stats
