"""How late the watching process itself runs: no worker is to blame for that."""

from __future__ import annotations

from nodes.support.hysteresis import Hysteresis


class Lag:
    """From late ticks and busy cores, by how much more patience is due.

    Attributes:
        seconds: how late ticks have come lately; rises at once, falls by half in about 2 s.
        stretch: 1.0 on a machine with time to spare, up to `MAX_STRETCH`.
        busy: whether there is none, and that has lasted: what is said to people does not flicker.
    """

    DECAY_PER_TICK = 0.92
    """Of the lag before, what a tick in time leaves; at four ticks a second."""

    BUSY_PERCENT = 90.0
    BUSY_STRETCH = 2.0
    """Percent of all cores from which a process may have to wait for one, and the stretch
    then: six missed probes take a worker out, not three."""

    STRETCH_PER_S = 4.0
    MAX_STRETCH = 5.0

    TOLD_FROM, TOLD_ABOVE = 1.5, 1.25
    """The stretch that makes a machine busy, and the one from which it stays so."""

    TOLD_AFTER_TICKS, TOLD_FOR_TICKS = 4, 12
    """Ticks for which it has to last, and be over: a second, and three."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.busy = False
        self._busy = False
        self._ticks = 0
        self._told = Hysteresis(on_after=self.TOLD_AFTER_TICKS, off_after=self.TOLD_FOR_TICKS)

    def note(self, late: float, busy_percent: float) -> None:
        """A tick came `late` seconds after its time, with the cores that busy since the last."""
        self.seconds = max(late, self.seconds * self.DECAY_PER_TICK, 0.0)
        self._busy = busy_percent >= self.BUSY_PERCENT
        self._ticks += 1
        stretch = self.stretch
        between = self.TOLD_ABOVE <= stretch < self.TOLD_FROM
        self.busy = self._told.note(
            self._ticks, holds=None if between else stretch >= self.TOLD_FROM
        )

    @property
    def stretch(self) -> float:
        """By how many times more missed probes than usual are allowed."""
        wanted = 1.0 + self.STRETCH_PER_S * self.seconds
        return min(self.MAX_STRETCH, max(wanted, self.BUSY_STRETCH if self._busy else 1.0))
