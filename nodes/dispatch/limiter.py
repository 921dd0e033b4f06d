"""So many at once, the others in the order they came."""

from __future__ import annotations

import sys
import threading
from collections import deque


class Limiter:
    """Limiter to do something, for any number of threads; who has waited longest is next.

    There is room for any number until `allow` says otherwise.

    Attributes:
        taken: turns that are under way.
    """

    def __init__(self) -> None:
        self.taken = 0
        self._room = sys.maxsize
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def take(self, timeout: float) -> bool:
        """Waits for a turn, up to `timeout` seconds. `give` it back, unless this is False."""
        with self._lock:
            if not self._waiting and self.taken < self._room:
                self.taken += 1
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout):
            return True
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # given at the last moment

    def give(self) -> None:
        """A turn is over: the next one begins."""
        with self._lock:
            self.taken -= 1
            if self._waiting:
                self._let_in()

    def allow(self, room: int) -> None:
        """So many may have their turn at once from now on; turns under way are not ended."""
        with self._lock:
            self._room = room
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.taken < self._room:
            self.taken += 1
            self._waiting.popleft().release()
