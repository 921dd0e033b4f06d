"""The last five minutes of every worker, gathered from snapshots; pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from nodes.wire import ClusterSnapshot

HISTORY_S = 300.0
"""Seconds that are kept."""


class Sample(NamedTuple):
    """One worker in one snapshot. Latency in milliseconds, CPU in percent, memory in bytes."""

    at: float
    lookups_per_s: float
    p99_ms: float
    in_flight: int
    cpu_percent: float
    memory_bytes: int


class History:
    """Samples by worker id, one a second at most, none older than `HISTORY_S`."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}

    def add(self, snapshot: ClusterSnapshot) -> None:
        """Adds a snapshot, and forgets the workers that are no longer in it."""
        present = {worker.id for worker in snapshot.workers}
        for gone in self._samples.keys() - present:
            del self._samples[gone]
        for worker in snapshot.workers:
            samples = self._samples.setdefault(worker.id, deque())
            if samples and snapshot.taken_at < samples[-1].at:
                samples.clear()  # the clock was set back
            if samples and snapshot.taken_at - samples[-1].at < 1.0:
                continue
            samples.append(
                Sample(
                    snapshot.taken_at,
                    worker.lookups_per_s,
                    worker.p99_ms or 0.0,
                    worker.in_flight,
                    worker.cpu_percent,
                    worker.memory_bytes,
                )
            )
            while samples[0].at < snapshot.taken_at - HISTORY_S:
                samples.popleft()

    def samples(self, worker_id: str) -> list[Sample]:
        """A worker's samples, oldest first."""
        return list(self._samples.get(worker_id, ()))
