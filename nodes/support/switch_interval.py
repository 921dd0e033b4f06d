"""The switch interval: how long a thread of this process may hold up another."""

from __future__ import annotations

import sys

SWITCH_INTERVAL_S = 0.0005
"""Seconds that one thread may run before another that waits gets its turn. With Python's own 5 ms,
the p99 of lookups was 9 ms where a busy thread shared the process of their event loop."""


def shorten_switch_interval() -> None:
    """Has the threads of this process take short turns, unless they do already."""
    sys.setswitchinterval(min(SWITCH_INTERVAL_S, sys.getswitchinterval()))
