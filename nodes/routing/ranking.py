"""A lazy heap of workers by load: who is first is told in O(log n), however many there are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from nodes.routing.balancer import Key, KeyOf
from nodes.routing.worker import Worker

Entry = tuple[Key, int, Worker]
"""A worker's key, its generation (which decides between equal keys), and itself."""

STALE_SHARE = 2
"""Entries for each worker, stale ones included, above which the heap is made anew."""


class Ranking:
    """A lazy heap: a key that has risen is corrected only once its worker comes first.

    A worker whose key may have fallen is to be told of with `moved`. Its former entry stays in
    the heap, and is dropped when it comes first.

    Args:
        key: of a worker, as it is now; the lowest comes first.
    """

    def __init__(self, key: KeyOf) -> None:
        self._key = key
        self._heap: list[Entry] = []
        self._entries: dict[int, Entry] = {}

    def rebuild(self, workers: Iterable[Worker]) -> None:
        """These workers, and no others, are ranked from now on: each by its key as it is now."""
        key = self._key
        self._heap = [(key(worker), worker.generation, worker) for worker in workers]
        self._entries = {entry[1]: entry for entry in self._heap}
        heapq.heapify(self._heap)

    def moved(self, worker: Worker) -> None:
        """The key of that worker may have fallen; harmless for one that is not ranked."""
        present = self._entries.get(worker.generation)
        if present is None:
            return
        key = self._key(worker)
        if key != present[0]:
            entry = self._entries[worker.generation] = (key, worker.generation, worker)
            heapq.heappush(self._heap, entry)
            if len(self._heap) > STALE_SHARE * len(self._entries):
                self.rebuild([one[2] for one in self._entries.values()])

    def first(self) -> Worker | None:
        """The worker with the lowest key; None if there is none."""
        heap, entries = self._heap, self._entries
        while heap:
            entry = heap[0]
            key, generation, worker = entry
            if entries[generation] is not entry:
                heapq.heappop(heap)
                continue
            now = self._key(worker)
            if now <= key:
                return worker
            heapq.heapreplace(heap, corrected := (now, generation, worker))
            entries[generation] = corrected
        return None
