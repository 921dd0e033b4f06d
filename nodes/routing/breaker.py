"""A circuit breaker: takes a worker that keeps failing out of the rotation for a while."""

from __future__ import annotations

from random import Random

from nodes.support.backoff import Backoff


class Breaker:
    """A circuit breaker (M. Nygard, Release It!).

    It opens after three failures in a row, and lets one call through after a while. If that call
    fails, the wait doubles, from 1 s to 60 s; jitter keeps masters from retrying in step.

    Attributes:
        failures: in a row. As long as there are none, everything is allowed, and only the next
            failure need be reported.
    """

    FAILURES = 3
    BACKOFF = Backoff(first_s=1.0, longest_s=60.0, jitter=0.25)

    __slots__ = ("_opened", "_probing", "_random", "_until", "failures")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.failures = 0
        self._opened = 0
        self._until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether it is open: from the third failure in a row until a call succeeds."""
        return self._opened > 0

    def allows(self, now: float) -> bool:
        """Whether the worker may be sent a lookup at `now` (seconds)."""
        return not self._opened or (now >= self._until and not self._probing)

    def began(self, now: float) -> None:
        """A lookup was sent. If the breaker is open, this lookup decides whether it closes."""
        if self._opened and now >= self._until:
            self._probing = True

    def succeeded(self) -> bool:
        """A lookup was answered. True if this closed an open breaker."""
        closed = self.open
        self.failures = self._opened = 0
        self._probing = False
        return closed

    def failed(self, now: float) -> bool:
        """A lookup failed. True if this opened a closed breaker."""
        self.failures += 1
        was_open = self.open
        if was_open and not self._probing:
            return False  # it was sent before the breaker opened, and says nothing new
        if was_open or self.failures >= self.FAILURES:
            self._until = now + self.BACKOFF.wait_s(self._opened, self._random.random())
            self._opened += 1
            self._probing = False
            return not was_open
        return False

    def released(self) -> None:
        """A lookup ended and says nothing about the worker: the next one decides instead."""
        self._probing = False
