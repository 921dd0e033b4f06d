"""What may be spent on attempts beyond the first: a token bucket."""

from __future__ import annotations


class Budget:
    """Each lookup pays a share of a token in; each extra attempt takes a whole one out.

    So extra work stays a fixed share of the real work, whatever goes wrong, and retries
    cannot grow into a storm (Finagle's RetryBudget; "The Tail at Scale", Dean & Barroso).

    Args:
        share: tokens that one lookup pays in, 0 to 1.
        burst: tokens that the bucket holds at most, and at the start.
        per_s: tokens that a second pays in, so that the rare lookup may be retried too.
    """

    __slots__ = (
        "_at",
        "_burst",
        "_per_s",
        "_refused_before",
        "_share",
        "_short",
        "_tokens",
        "refused",
        "spent",
    )

    def __init__(self, *, share: float, burst: float, per_s: float = 0.0) -> None:
        self._share = share
        self._burst = burst
        self._per_s = per_s
        self._tokens = burst
        self._at = 0.0
        self.spent = 0
        self.refused = 0
        self._refused_before = 0
        self._short = False

    def earn(self) -> None:
        """A lookup began."""
        self._tokens += self._share  # what is too much goes when they are looked at

    def left(self, now: float) -> float:
        """Tokens there are at `now` (seconds)."""
        elapsed, self._at = max(0.0, now - self._at), now
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_s)
        return self._tokens

    def spend(self, now: float) -> bool:
        """Takes a token. False, and nothing is taken, when there is no whole one."""
        if self.left(now) < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        self.spent += 1
        return True

    def ran_out(self) -> bool:
        """Whether it has refused something since the last look, and had not before that: once
        for as long as it goes on. To be called at regular times.
        """
        refused = self.refused > self._refused_before
        began = refused and not self._short
        self._refused_before, self._short = self.refused, refused
        return began
