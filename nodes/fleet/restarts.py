"""When may a worker that died be started again?"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Wait(NamedTuple):
    """How long to wait before a worker is started again.

    Args:
        seconds: so long.
        crash_looping: whether it died too often.
    """

    seconds: float
    crash_looping: bool


class Restarts:
    """At most five restarts in ten seconds, after Erlang/OTP's supervisor intensity; after that,
    one at a time, at intervals that grow, for ever: what it dies of may be over.

    The first follows at once; those that follow within the window wait longer each, so that
    one that dies at start does not keep a core busy.
    """

    MAX_DEATHS = 5
    WINDOW_S = 10.0
    STEP_S = 0.1

    FIRST_RETRY_S = 60.0
    LONGEST_RETRY_S = 600.0
    GROWTH = 2.0

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=self.MAX_DEATHS)
        self._retries = 0
        self._started_at = 0.0

    def next(self, now: float) -> Wait:
        """How long to wait before the restart of a worker that died at `now`."""
        lived = now - self._started_at
        while self._at and now - self._at[0] > self.WINDOW_S:
            self._at.popleft()
        if self._retries and lived >= self.FIRST_RETRY_S:
            self.clear()  # it was well for a while: this death is a new story
        if self._retries or len(self._at) == self.MAX_DEATHS:
            seconds = min(self.FIRST_RETRY_S * self.GROWTH**self._retries, self.LONGEST_RETRY_S)
            self._retries = min(self._retries + 1, 64)
            wait = Wait(seconds, crash_looping=True)
        else:
            wait = Wait(self.STEP_S * len(self._at), crash_looping=False)
            self._at.append(now)
        self._started_at = now + wait.seconds
        return wait

    def clear(self) -> None:
        """Starts afresh, because an operator says so."""
        self._at.clear()
        self._retries = 0
