"""How long tokens that were replaced are still valid."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Graces:
    """How long old tokens are still valid, by the clock of the wall and by one that is never set:
    whichever says first that one is over, it is over for good.
    """

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def is_over(self, token: str, until: float, *, wall: float, steady: float) -> bool:
        """Whether that token is valid no more.

        Args:
            token: the token.
            until: the Unix time at which its grace ends, as it was when the token was replaced.
            wall: Unix time now.
            steady: seconds now, of a clock that is never set.
        """
        end = min(self._ends.get(token, math.inf), steady + until - wall)
        self._ends[token] = end
        return end <= steady

    def keep(self, tokens: Iterable[str]) -> None:
        """Forgets all others."""
        known = set(tokens)
        for gone in self._ends.keys() - known:
            del self._ends[gone]
