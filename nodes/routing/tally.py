"""A tally: what the workers of each id have done in registrations that are forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nodes.routing.worker import Worker

MAX_IDS = 1024
"""Ids that are remembered, those that went last: a worker may ask for any."""


class WorkerCounts(NamedTuple):
    """What one registration, or several together, have counted; see `WorkerView`."""

    served: int = 0
    attempts: int = 0
    hedged_away: int = 0
    rerouted_away: int = 0
    errors: int = 0

    def plus(self, other: WorkerCounts) -> WorkerCounts:
        """Both together."""
        return WorkerCounts(*(one + more for one, more in zip(self, other, strict=True)))


def counts_of(worker: Worker) -> WorkerCounts:
    """What a registration has counted."""
    return WorkerCounts(
        worker.served + worker.direct.served,
        worker.attempts,
        worker.lost.hedged_away,
        worker.lost.rerouted_away,
        worker.errors,
    )


def direct_lookups(instance: str, workers: Iterable[Worker]) -> int | None:
    """Direct lookups of that process that count with a registration of its own among those; None
    if there is none.
    """
    for worker in workers:
        if worker.instance == instance and worker.direct_before is not None:
            return worker.direct_before + worker.direct.served
    return None


class Tally:
    """Counts by id, of the registrations that the registry has no more."""

    def __init__(self) -> None:
        self._sums: dict[str, WorkerCounts] = {}
        self._last: dict[str, Worker] = {}

    def add(self, worker: Worker) -> None:
        """That registration is forgotten. What it was sent may fail after this, and still counts:
        it is looked at again when the next of its id is forgotten.
        """
        self._sums[worker.id] = self.of(worker.id)
        self._last.pop(worker.id, None)
        self._last[worker.id] = worker
        if len(self._last) > MAX_IDS:
            oldest = next(iter(self._last))
            del self._last[oldest], self._sums[oldest]

    def of(self, worker_id: str) -> WorkerCounts:
        """What all forgotten registrations of that id have counted."""
        sums, last = self._sums.get(worker_id, WorkerCounts()), self._last.get(worker_id)
        return sums if last is None else sums.plus(counts_of(last))
