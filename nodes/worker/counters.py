"""What a worker counts."""

from __future__ import annotations

import threading


class Counters:
    """What a worker counts, for many threads: lookups that did not come from its master, which
    counts its own, and all errors.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.served = 0
        self.in_flight = 0
        self.errors = 0

    def began(self, tasks: int) -> None:
        """A lookup came in, or so many together."""
        with self._lock:
            self.in_flight += tasks

    def ended(self, tasks: int, *, served: bool, error: bool = False) -> None:
        """It was answered, or failed, or was refused as a bad request (neither)."""
        with self._lock:
            self.in_flight -= tasks
            self.served += tasks if served else 0
            self.errors += error
