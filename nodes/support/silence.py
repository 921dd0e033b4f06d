"""Silence: for how long nothing was heard of somebody, by one who may have been away himself.

A process that was frozen, or whose machine was asleep, has heard nothing meanwhile, and may not
blame others for that.
"""

from __future__ import annotations

AWAY_S = 1.0
"""By how many seconds a look has to be late for the process that looks to have been away."""


class Silence:
    """Seconds of silence: between two looks, no more count than there should be. No clock: `now` is
    passed in, monotonic, in seconds.

    Args:
        now: when it begins.
        look_every_s: seconds between two looks at most; what is longer counts as that much.
    """

    def __init__(self, now: float, *, look_every_s: float) -> None:
        self._look_every_s = look_every_s
        self._looked_at = now
        self._seconds = 0.0

    def heard(self) -> None:
        """Something was heard; from any thread."""
        self._seconds = 0.0

    def look(self, now: float) -> float:
        """How long it has been silent."""
        self._seconds += min(max(0.0, now - self._looked_at), self._look_every_s)
        self._looked_at = now
        return self._seconds


class Absence:
    """Whether this process was away: what has come meanwhile is read before anybody is judged.

    A look that comes late is left out, and the next one is not: a loop that is always late has more
    to do than it can, and looks all the same.
    """

    def __init__(self) -> None:
        self._left_out = False

    def noticed(self, late_s: float) -> bool:
        """Whether to leave out a look that comes so many seconds after its time."""
        self._left_out = late_s >= AWAY_S and not self._left_out
        return self._left_out
