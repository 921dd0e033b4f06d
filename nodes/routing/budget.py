"""A token bucket: what may be spent on attempts beyond the first."""

from __future__ import annotations


class Budget:
    """A token bucket. Each lookup pays in a share of a token; each extra attempt costs a whole one.

    So extra attempts stay a fixed share of all lookups, and retries cannot grow into a storm
    (Finagle's RetryBudget; "The Tail at Scale", Dean & Barroso).

    Args:
        share: tokens that one lookup pays in, 0 to 1.
        burst: tokens that the bucket holds at most, and at the start.
        per_s: tokens paid in each second, so that rare lookups may be retried too.

    Attributes:
        spent: tokens taken out so far.
        refused: attempts that found no whole token.
    """

    __slots__ = (
        "_at",
        "_burst",
        "_per_s",
        "_refused_before",
        "_refused_told",
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
        self._refused_told = 0
        self._short = False

    def earn(self, lookups: int = 1) -> None:
        """So many lookups began."""
        self._tokens += self._share * lookups  # `left` takes off what is beyond the burst

    def left(self, now: float) -> float:
        """Tokens in the bucket at `now` (seconds)."""
        elapsed, self._at = max(0.0, now - self._at), now
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_s)
        return self._tokens

    def spend(self, now: float) -> bool:
        """Takes a token; False if there is no whole one."""
        if self.left(now) < 1.0:
            self.refused += 1
            return False
        self._tokens -= 1.0
        self.spent += 1
        return True

    def newly_refused(self) -> int:
        """Attempts that were refused since this was asked last."""
        newly, self._refused_told = self.refused - self._refused_told, self.refused
        return newly

    @property
    def short(self) -> bool:
        """Whether it refused between the last two calls of `ran_out`."""
        return self._short

    def ran_out(self) -> bool:
        """Whether it has begun to refuse since the last call: True once for each shortage. To be
        called at regular intervals.
        """
        refused = self.refused > self._refused_before
        began = refused and not self._short
        self._refused_before, self._short = self.refused, refused
        return began
