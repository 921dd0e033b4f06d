"""A peak-sensitive moving average (Peak-EWMA) of a worker's latency."""

from __future__ import annotations

import math


class PeakEwma:
    """A decaying mean of a worker's latency that rises faster than it falls.

    One slow answer is noise (a busy core, a garbage collection); two in a row are a trend. So
    each sample counts as the smaller of itself and the one before it, and the first one alone
    counts for nothing. Rises weigh more than falls, as in Finagle's Peak-EWMA. An estimate
    without new samples fades, so that a worker that was slow is tried again.
    """

    RISE = 0.3
    FALL = 0.1
    """Weights of a sample that is above the mean, and below it."""

    FADE_S = 5.0
    """Seconds in which an estimate without new samples falls to a third."""

    __slots__ = ("_at", "_last", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0
        self._last = math.inf
        self._at = -math.inf

    def answered(self, seconds: float, now: float) -> None:
        """Notes an answer that took `seconds`."""
        sample = min(seconds, self._last)
        if self._mean:
            self._blend(sample, now)
        elif self._last < math.inf:
            self._mean = sample
        self._last = seconds
        self._at = now

    def failed(self, penalty: float, now: float) -> None:
        """Notes a failure as an answer that took `penalty` seconds, so that it never looks fast."""
        self._blend(penalty, now)
        self._last = penalty
        self._at = now

    def _blend(self, sample: float, now: float) -> None:
        mean = self.estimate(now)
        self._mean = mean + (sample - mean) * (self.RISE if sample > mean else self.FALL)

    def estimate(self, now: float) -> float:
        """The latency to expect, in seconds; 0.0 before the second answer."""
        if not self._mean:
            return 0.0
        idle = now - self._at
        return self._mean if idle <= 1.0 else self._mean * math.exp(-(idle - 1.0) / self.FADE_S)
