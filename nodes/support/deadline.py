"""Deadlines: what is left of the time of a call that takes several steps."""

from __future__ import annotations

SHORTEST_WAIT_S = 0.001
"""Seconds that a step is given at least: to a socket, no time at all means no limit."""


def seconds_left(deadline: float, now: float) -> float:
    """How long the next step may take.

    Args:
        deadline: when the whole call ends, in seconds of a monotonic clock.
        now: by the same clock.

    Returns:
        Seconds, `SHORTEST_WAIT_S` at least: a call whose time is up fails where it waits, as
        one does whose time ends during the wait.
    """
    return max(SHORTEST_WAIT_S, deadline - now)
