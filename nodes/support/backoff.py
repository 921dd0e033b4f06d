"""Exponential backoff with jitter: how long to wait before something that failed is tried anew."""

from __future__ import annotations

import math
from typing import NamedTuple

MAX_GROWTHS = 64
"""Growths of a wait after which it has long reached any limit; more would overflow."""


class Backoff(NamedTuple):
    """Waits that grow with each attempt. They are jittered, so that many who failed at the same
    moment do not come back at the same moment.

    Attributes:
        first_s: seconds before the first new attempt.
        factor: by how much each wait is longer than the one before.
        longest_s: seconds that no wait exceeds, jitter aside.
        jitter: share of a wait by which it may be shorter or longer.
    """

    first_s: float
    factor: float = 2.0
    longest_s: float = math.inf
    jitter: float = 0.5

    def wait_s(self, attempt: int, chance: float) -> float:
        """Seconds to wait.

        Args:
            attempt: how many waits came before this one.
            chance: a random number from 0 to 1.
        """
        wait = self.first_s * self.factor ** min(attempt, MAX_GROWTHS)
        return min(self.longest_s, wait) * (1.0 + self.jitter * (2.0 * chance - 1.0))
