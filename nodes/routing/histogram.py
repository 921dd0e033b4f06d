"""A windowed histogram: recent rates and percentiles in bounded memory."""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

PER_OCTAVE = 8
"""Buckets for each factor of two, unless said otherwise: figures are right within 9 %."""

LEAST_SPAN_S = 1.0
"""Seconds that a mean is of, at least: what came in less is no rate."""

_OCTAVES = 30  # 1 us to 2^30 us, about 18 minutes


def bucket_of(seconds: float, per_octave: int = PER_OCTAVE) -> int:
    """The histogram bucket of a duration."""
    micros = seconds * 1e6
    if micros <= 1.0:
        return 0
    return min(_OCTAVES * per_octave - 1, int(math.log2(micros) * per_octave))


_ENDS_S = [2.0 ** (bucket / PER_OCTAVE) * 1e-6 for bucket in range(1, _OCTAVES * PER_OCTAVE)]

quick_bucket_of = functools.partial(bisect_right, _ENDS_S)
"""As `bucket_of` with `PER_OCTAVE`, without a function of Python's own."""


def middle(bucket: int, per_octave: int = PER_OCTAVE) -> float:
    """The duration in seconds that stands for a bucket: its geometric mean."""
    return float(2.0 ** ((bucket + 0.5) / per_octave) * 1e-6)


def at_rank(counts: Mapping[int, int], q: float) -> int | None:
    """The bucket in which the quantile `q` (0 to 1) of the counts lies; None without counts."""
    rank = q * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return bucket
    return None


class WindowedHistogram:
    """Counts and latencies of the last `window` whole seconds: one histogram for each second.

    The buckets are spaced logarithmically, as in HdrHistogram: adding is O(1), and memory does
    not grow with traffic.
    """

    __slots__ = ("_seconds", "_window")

    def __init__(self, *, window: int = 10) -> None:
        self._window = window
        self._seconds: dict[int, dict[int, int]] = {}

    def add(self, seconds: float, now: float, count: int = 1) -> None:
        """Notes `count` answers that took `seconds`, at `now` (seconds of a monotonic clock)."""
        counts = self._counts(int(now))
        bucket = quick_bucket_of(seconds)
        counts[bucket] = counts.get(bucket, 0) + count

    def add_all(self, latencies: Iterable[float], second: int) -> None:
        """Notes answers of one second, by the seconds that each took."""
        counts = self._counts(second)
        for bucket, count in Counter(map(quick_bucket_of, latencies)).items():
            counts[bucket] = counts.get(bucket, 0) + count

    def _counts(self, second: int) -> dict[int, int]:
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = {}
            for old in [s for s in self._seconds if s < second - self._window]:
                del self._seconds[old]
        return counts

    def recent(self, now: float) -> list[dict[int, int]]:
        """The counts by bucket, one mapping for each second of the window."""
        newest = int(now)
        oldest = newest - self._window
        return [c for second, c in self._seconds.items() if oldest <= second <= newest]

    def total(self, now: float) -> int:
        """Answers in the window."""
        return sum(sum(counts.values()) for counts in self.recent(now))

    def rate(self, now: float, since: float = -math.inf) -> float:
        """Answers a second: those in the window, over the time that the window spans. Nobody was
        asked before `since`, so that the first seconds are no part of an empty past.
        """
        spans_s = min(self._window + now - int(now), now - since)
        return self.total(now) / max(spans_s, LEAST_SPAN_S)

    def last_second(self, now: float) -> int:
        """Answers in the last whole second."""
        return sum(self._seconds.get(int(now) - 1, {}).values())

    def percentile(self, q: float, now: float) -> float | None:
        """The function `percentile` for this histogram alone."""
        return percentile((self,), q, now)


def merge(histograms: Iterable[WindowedHistogram], now: float) -> dict[int, int]:
    """The recent counts by bucket of all these histograms together."""
    merged: dict[int, int] = {}
    for one in histograms:
        for counts in one.recent(now):
            for bucket, count in counts.items():
                merged[bucket] = merged.get(bucket, 0) + count
    return merged


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The quantile `q` (0 to 1) of counts by bucket, in seconds; None without counts."""
    found = at_rank(counts, q)
    return None if found is None else middle(found)


def percentile(histograms: Iterable[WindowedHistogram], q: float, now: float) -> float | None:
    """The quantile `q` (0 to 1) of the latencies in all these histograms, in seconds.

    None if there were no answers in the window.
    """
    return quantile(merge(histograms, now), q)
