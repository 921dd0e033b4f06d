"""Latencies counted in buckets: small enough to send, exact enough to compare."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import msgspec

from nodes.routing.histogram import at_rank, bucket_of, middle

PER_OCTAVE = 64
"""Buckets for a factor of two: what is read from them is within 0.6 % of the truth."""


class DurationRange(NamedTuple):
    """Durations of a histogram from `low` up to `high`, in seconds."""

    low: float
    high: float
    calls: int


class Histogram(msgspec.Struct):
    """How often an answer took how long. `total` and `longest` are seconds, and exact."""

    counts: dict[int, int] = msgspec.field(default_factory=dict)
    count: int = 0
    total: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Notes one answer."""
        bucket = bucket_of(seconds, PER_OCTAVE)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def merge(self, other: Histogram) -> None:
        """Notes all that the other one did."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    def percentile(self, q: float) -> float | None:
        """The duration in seconds that a share `q` (0 to 1) stayed under; None of nothing."""
        bucket = at_rank(self.counts, q)
        return None if bucket is None else min(middle(bucket, PER_OCTAVE), self.longest)

    def rows(self, most: int = 16) -> list[DurationRange]:
        """The whole of it in at most so many rows, each as many times longer as the last."""
        if not self.counts:
            return []
        first, last = min(self.counts), max(self.counts)
        width = math.ceil((last - first + 1) / most)
        counted = [0] * math.ceil((last - first + 1) / width)
        for bucket, count in self.counts.items():
            counted[(bucket - first) // width] += count
        ends = [_end(first + width * index) for index in range(len(counted) + 1)]
        return [
            DurationRange(low, high, calls)
            for (low, high), calls in zip(itertools.pairwise(ends), counted, strict=True)
        ]


def _end(bucket: int) -> float:
    return float(2.0 ** (bucket / PER_OCTAVE) * 1e-6)
