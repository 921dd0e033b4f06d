"""The steady clock: it is never set, and where the system has such a one, it does not stand still
while the machine is asleep.
"""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_time() -> float:
    """Seconds, since some time or other."""
    return time.clock_gettime(_CLOCK)
