"""Hysteresis in time: a condition counts once it has lasted, and until it has been gone a while."""

from __future__ import annotations


class Hysteresis:
    """A switch that does not flicker while what it follows wavers. No clock: `now` is passed in.

    Args:
        on_after: how long the condition has to hold before it counts.
        off_after: how long it has to be gone before it counts no more; both in the unit of `now`.

    Attributes:
        on: whether it counts.
    """

    __slots__ = ("_off_after", "_on_after", "_turning_since", "on")

    def __init__(self, *, on_after: float, off_after: float) -> None:
        self.on = False
        self._on_after = on_after
        self._off_after = off_after
        self._turning_since: float | None = None

    def note(self, now: float, *, holds: bool | None) -> bool:
        """Whether the condition counts, if this is how it is now.

        Args:
            now: when that is.
            holds: None between the threshold from which it holds, and the lower one below which
                it is gone.
        """
        if holds is None or holds is self.on:
            self._turning_since = None
            return self.on
        if self._turning_since is None:
            self._turning_since = now
        if now - self._turning_since >= (self._off_after if self.on else self._on_after):
            self.on = holds
            self._turning_since = None
        return self.on
