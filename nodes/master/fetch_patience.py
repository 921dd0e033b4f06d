"""How long a worker that fetches a catalog is waited for. No sockets; the clock is passed in."""

from __future__ import annotations

import math


class FetchPatience:
    """Judges a fetch by how far it gets.

    Args:
        now: when it was ordered; monotonic, seconds, as all times.
        stall_s: seconds for which it may get no further.
        most_s: seconds that all of it may take.
    """

    STALL_S = 30.0
    MOST_S = 1800.0

    def __init__(self, now: float, *, stall_s: float = STALL_S, most_s: float = MOST_S) -> None:
        self._ends_at = now + most_s
        self._stall_s = stall_s
        self._furthest = -math.inf
        self._moved_at = now

    def over(self, done: int, now: float) -> bool:
        """Whether one of whose catalog `done` bytes have come is waited for no longer."""
        if done > self._furthest:
            self._furthest, self._moved_at = done, now
        return now >= self._ends_at or now - self._moved_at >= self._stall_s
