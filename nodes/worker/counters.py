"""A worker's counters."""

from __future__ import annotations

import threading


class Counters:
    """Counts the lookups that did not come from the master, which counts its own, and all errors.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.served = 0
        self.in_flight = 0
        self.errors = 0

    def began(self, tasks: int) -> None:
        """So many lookups came in, in one call."""
        with self._lock:
            self.in_flight += tasks

    def ended(self, tasks: int, *, served: bool, error: bool = False) -> None:
        """They were answered (`served`), or failed (`error`), or were refused (neither)."""
        with self._lock:
            self.in_flight -= tasks
            self.served += tasks if served else 0
            self.errors += error
