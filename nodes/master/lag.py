"""How late the watching process itself runs: no worker is to blame for that."""

from __future__ import annotations


class Lag:
    """From late ticks and busy cores, by how much more patience is due.

    Attributes:
        seconds: how late ticks have come lately; rises at once, falls by half in about 2 s.
        stretch: 1.0 on a machine with time to spare, up to `MAX_STRETCH`.
    """

    DECAY_PER_TICK = 0.92
    """Of the lag before, what a tick in time leaves; at four ticks a second."""

    BUSY_PERCENT = 90.0
    BUSY_STRETCH = 2.0
    """Percent of all cores from which a process may have to wait for one, and the stretch
    then: six missed probes take a worker out, not three."""

    STRETCH_PER_S = 4.0
    MAX_STRETCH = 5.0

    def __init__(self) -> None:
        self.seconds = 0.0
        self._busy = False

    def note(self, late: float, busy_percent: float) -> None:
        """A tick came `late` seconds after its time, with the cores that busy since the last."""
        self.seconds = max(late, self.seconds * self.DECAY_PER_TICK, 0.0)
        self._busy = busy_percent >= self.BUSY_PERCENT

    @property
    def stretch(self) -> float:
        """By how many times more missed probes than usual are allowed."""
        wanted = 1.0 + self.STRETCH_PER_S * self.seconds
        return min(self.MAX_STRETCH, max(wanted, self.BUSY_STRETCH if self._busy else 1.0))
