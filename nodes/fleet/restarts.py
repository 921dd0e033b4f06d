"""May a worker that died be started again, and when?"""

from __future__ import annotations

from collections import deque


class Restarts:
    """At most five restarts in ten seconds, after Erlang/OTP's supervisor intensity.

    The first follows at once; those that follow within the window wait longer each, so that
    one that dies at start does not keep a core busy.
    """

    MAX_DEATHS = 5
    WINDOW_S = 10.0
    STEP_S = 0.1

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=self.MAX_DEATHS)

    def next(self, now: float) -> float | None:
        """Seconds to wait before the restart of a worker that died at `now`.

        None when it has died too often: it is crash-looping.
        """
        while self._at and now - self._at[0] > self.WINDOW_S:
            self._at.popleft()
        if len(self._at) == self.MAX_DEATHS:
            return None
        wait = self.STEP_S * len(self._at)
        self._at.append(now)
        return wait

    def clear(self) -> None:
        """Starts afresh, because an operator says so."""
        self._at.clear()
