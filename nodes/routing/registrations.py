"""Registrations: the latest of each worker's id, tombstones of those that are over included."""

from __future__ import annotations

from collections.abc import Iterator

from nodes.routing.tally import Tally
from nodes.routing.worker import Worker


class Registrations:
    """Those that there are; what each has counted outlives it.

    Attributes:
        tally: of those that are forgotten.
    """

    KEEP_TOMBSTONES_S = 300.0  # seconds
    MAX_TOMBSTONES = 200

    def __init__(self) -> None:
        self._by_id: dict[str, Worker] = {}
        self._live: dict[int, Worker] = {}
        self.tally = Tally()

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._by_id.values()))

    def get(self, worker_id: str) -> Worker | None:
        """The latest registration of that id, a tombstone included."""
        return self._by_id.get(worker_id)

    def has(self, generation: int) -> bool:
        """Whether that registration is not over."""
        return generation in self._live

    def live(self) -> list[Worker]:
        """Every worker that has not been given up, draining ones included."""
        return list(self._live.values())

    def _add(self, worker: Worker) -> None:
        """Takes one in, in the place of an earlier one of its id."""
        self._forget(worker.id)
        self._by_id[worker.id] = worker
        self._live[worker.generation] = worker

    def purge(self, now: float) -> None:
        """Forgets tombstones that are old, and the oldest when there are very many."""
        down = [w for w in self._by_id.values() if not w.live]
        down.sort(key=lambda w: w.since)
        surplus = len(down) - self.MAX_TOMBSTONES
        for index, worker in enumerate(down):
            if index < surplus or now - worker.since > self.KEEP_TOMBSTONES_S:
                self._forget(worker.id)

    def _forget(self, worker_id: str) -> None:
        worker = self._by_id.pop(worker_id, None)
        if worker is not None:
            self.tally.add(worker)
