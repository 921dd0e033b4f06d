"""Which workers are slow: told once that has lasted, and until it is over; nobody flickers."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from nodes.routing.balancer import NOISE_S, is_slow, usual_of
from nodes.routing.worker import Worker
from nodes.support.hysteresis import Hysteresis

SLOW_AFTER_S = 0.5
QUICK_AFTER_S = 3.0
"""Seconds for which a worker has to be slow before it is told of, and quick until it is no more."""

NEAR = 0.7
"""Part of the latency that makes a worker slow, above which it is not quick yet."""


class SlowWorkers:
    """Looks at workers several times a second, and remembers. Not thread-safe.

    Attributes:
        generations: of those that are slow.
    """

    def __init__(self) -> None:
        self.generations: frozenset[int] = frozenset()
        self._watched: dict[int, Hysteresis] = {}

    def look(self, workers: Collection[Worker], now: float) -> None:
        """Works out anew which of those that may be sent lookups are slow."""
        before = self._watched
        self._watched = {
            one.generation: before.get(one.generation)
            or Hysteresis(on_after=SLOW_AFTER_S, off_after=QUICK_AFTER_S)
            for one in workers
        }
        self.generations = frozenset(
            worker.generation
            for worker, slow in slowness(workers, now)
            if self._watched[worker.generation].note(now, holds=slow)
        )


def slowness(workers: Collection[Worker], now: float) -> Iterator[tuple[Worker, bool | None]]:
    """Of each worker, whether it is slow at this moment: late now, or hedged away from again and
    again, or much slower than usual; None for one that is not, and not quick either.
    """
    estimates = [worker.latency.estimate(now) for worker in workers]
    usual = usual_of(estimates)
    for worker, estimate in zip(workers, estimates, strict=True):
        if worker.late or worker.lost.is_trend(now) or is_slow(estimate, usual):
            yield worker, True
        elif estimate >= NOISE_S * NEAR and estimate >= 2 * usual * NEAR > 0.0:
            yield worker, None
        else:
            yield worker, False
