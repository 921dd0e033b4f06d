"""A peak-sensitive moving average of a worker's latency."""

from __future__ import annotations

import math


class PeakEwma:
    """A decaying mean of a worker's latency that rises faster than it falls.

    One slow answer is noise (a busy core, a collection); two in a row are a trend. So each
    sample enters as the smaller of itself and the one before it, and rises count for more
    than falls (Finagle's Peak-EWMA, softened). An estimate nobody refreshes fades, so that
    a worker that was slow is tried again.
    """

    RISE = 0.3
    FALL = 0.1
    FADE = 5.0  # seconds in which an unrefreshed estimate falls to a third

    __slots__ = ("_at", "_last", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0
        self._last = math.inf
        self._at = -math.inf

    def answered(self, seconds: float, now: float) -> None:
        """Notes an answer that took `seconds`."""
        if math.isinf(self._last):
            self._mean = seconds
        else:
            self._blend(min(seconds, self._last), now)
        self._last = seconds
        self._at = now

    def failed(self, penalty: float, now: float) -> None:
        """Notes a failure as an answer that took `penalty` seconds: never as a fast one."""
        self._blend(penalty, now)
        self._last = penalty
        self._at = now

    def _blend(self, sample: float, now: float) -> None:
        mean = self.estimate(now)
        self._mean = mean + (sample - mean) * (self.RISE if sample > mean else self.FALL)

    def estimate(self, now: float) -> float:
        """The latency to expect, in seconds; 0.0 before the first answer."""
        if not self._mean:
            return 0.0
        idle = now - self._at
        return self._mean if idle <= 1.0 else self._mean * math.exp(-(idle - 1.0) / self.FADE)
