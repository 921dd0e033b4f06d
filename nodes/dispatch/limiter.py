"""A FIFO capacity limiter: so many at once, the others in the order they came."""

from __future__ import annotations

import sys
import threading
from collections import deque


class Limiter:
    """A FIFO capacity limiter, for any number of threads: who has waited longest is next.

    Any number may be acquired until `set_total` says otherwise.

    Attributes:
        taken: how many are acquired.
    """

    def __init__(self) -> None:
        self.taken = 0
        self._total = sys.maxsize
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds. To be released, unless this is False."""
        with self._lock:
            if not self._waiting and self.taken < self._total:
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

    def release(self) -> None:
        """One is over: the next may begin."""
        with self._lock:
            self.taken -= 1
            if self._waiting:
                self._let_in()

    def set_total(self, total: int) -> None:
        """So many at once from now on; what is acquired stays so."""
        with self._lock:
            self._total = total
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.taken < self._total:
            self.taken += 1
            self._waiting.popleft().release()
