"""Which workers are slow: told once that has lasted, and until it is over; nobody flickers."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from nodes.routing.balancer import NOISE_S, is_slow, usual_of
from nodes.routing.worker import Worker
from nodes.support.hysteresis import Hysteresis

LATE_FOR_S = 0.5
"""Seconds for which a worker has to be late: all are, now and then, for a moment."""

QUICK_AFTER_S = 3.0
"""Seconds for which a worker has to be quick until it is slow no more."""

NEAR = 0.7
"""Part of the latency that makes a worker slow, above which it is not quick yet."""


class _Pace:
    """What is remembered of one worker."""

    __slots__ = ("late", "slow")

    def __init__(self) -> None:
        self.late = Hysteresis(on_after=LATE_FOR_S, off_after=0.0)
        self.slow = Hysteresis(on_after=0.0, off_after=QUICK_AFTER_S)


class SlowWorkers:
    """Looks at workers several times a second, and remembers. Not thread-safe.

    Attributes:
        generations: of those that are slow.
    """

    def __init__(self) -> None:
        self.generations: frozenset[int] = frozenset()
        self._paces: dict[int, _Pace] = {}

    def look(self, workers: Collection[Worker], now: float) -> None:
        """Works out anew which of those that may be sent lookups are slow."""
        before = self._paces
        self._paces = {one.generation: before.get(one.generation) or _Pace() for one in workers}
        slow = set()
        for worker, is_slow_now in slowness(workers, now):
            pace = self._paces[worker.generation]
            late = pace.late.note(now, holds=worker.late)
            if pace.slow.note(now, holds=late or is_slow_now):
                slow.add(worker.generation)
        self.generations = frozenset(slow)


def slowness(workers: Collection[Worker], now: float) -> Iterator[tuple[Worker, bool | None]]:
    """Of each worker, whether it is slow by what it did of late: hedged away from again and again,
    or much slower than usual; None for one that is not, and not quick either.
    """
    estimates = [worker.latency.estimate(now) for worker in workers]
    usual = usual_of(estimates)
    for worker, estimate in zip(workers, estimates, strict=True):
        if worker.lost.is_trend(now) or is_slow(estimate, usual):
            yield worker, True
        elif estimate >= NOISE_S * NEAR and estimate >= 2 * usual * NEAR > 0.0:
            yield worker, None
        else:
            yield worker, False
