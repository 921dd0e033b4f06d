"""How long lookups took: counts by fixed buckets, of all time and of the last minute."""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from nodes.wire import DURATION_BOUNDS_S, LookupDurations

LATENCY_BOUNDS_MS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 60_000.0)
"""Upper bounds of the histogram that is shown: of the last minute, and coarser than what is kept.
50 ms is the earliest hedge, 500 ms the longest attempt, and 60 s the longest deadline."""

LATENCY_WINDOW_S = 60
"""Whole seconds that the histogram covers, beside the one that has begun."""

BUCKETS = len(DURATION_BOUNDS_S) + 1

_LAST_SHOWN = len(LATENCY_BOUNDS_MS) - 1
_SHOWN = [
    min(_LAST_SHOWN, bisect_left(LATENCY_BOUNDS_MS, bound * 1000))
    for bound in (*DURATION_BOUNDS_S, math.inf)
]
"""For each bucket that is kept, the one it is part of where it is shown."""

_bucket_of = functools.partial(bisect_left, DURATION_BOUNDS_S)


class Durations:
    """Counts by bucket, and the sum, of lookups since the master began: they never fall."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._sum_s = 0.0

    def add(self, counts: dict[int, int], sum_s: float) -> None:
        """Adds lookups: how many are in which bucket, and the seconds that they took together."""
        self._sum_s += sum_s
        for bucket, count in counts.items():
            self._counts[bucket] += count

    def view(self, name: str) -> LookupDurations:
        """As they are told, under that name."""
        return LookupDurations(name, self._sum_s, tuple(self._counts))


class RecentDurations:
    """A windowed histogram of the same buckets, one count of each for every second."""

    def __init__(self) -> None:
        self._seconds: dict[int, list[int]] = {}

    def add(self, counts: dict[int, int], second: int) -> None:
        """Adds lookups of one second, by how many are in which bucket."""
        sums = self._seconds.get(second)
        if sums is None:
            sums = self._seconds[second] = [0] * BUCKETS
            for old in [one for one in self._seconds if one < second - LATENCY_WINDOW_S]:
                del self._seconds[old]
        for bucket, count in counts.items():
            sums[bucket] += count

    def shown(self, now: float) -> tuple[tuple[float, int], ...]:
        """Each shown bucket's upper bound in milliseconds, and how many lookups are in it."""
        newest = int(now)
        totals = [0] * len(LATENCY_BOUNDS_MS)
        for second, counts in self._seconds.items():
            if newest - LATENCY_WINDOW_S <= second <= newest:
                for bucket, count in zip(_SHOWN, counts, strict=True):
                    totals[bucket] += count
        return tuple(zip(LATENCY_BOUNDS_MS, totals, strict=True))


def by_bucket(latencies: Iterable[float], times: int = 1) -> dict[int, int]:
    """How many of those, by the seconds that each took, are in which bucket; each so many times."""
    counts = Counter(map(_bucket_of, latencies))
    return counts if times == 1 else {bucket: count * times for bucket, count in counts.items()}
