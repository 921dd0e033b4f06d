"""On which cores a thread of this process runs.

Python's threads take turns (its lock, the GIL, lets one run at a time), and a lookup is several
turns. If the next thread sleeps on another core, each turn wakes that core, which may well take
longer than the turn; on the same core it just goes on. Threads that do nothing but take turns
are therefore better off on one core: half as many lookups again with 8 clients on 2 cores, and
half the latency at the 99th percentile (2026-11-26, Linux, a virtual machine).
"""

from __future__ import annotations

import contextlib
import os
import random

_settable = hasattr(os, "sched_setaffinity")  # not every system has it
_every: set[int] = os.sched_getaffinity(0) if _settable else set()
_one = {random.choice(sorted(_every))} if _settable else set()  # noqa: S311 - no secret


def gather() -> None:
    """The calling thread runs on that one core from now on, and what it starts as well."""
    _run_on(_one)


def spread() -> None:
    """The calling thread may run on any core again, and so may what it starts."""
    _run_on(_every)


def _run_on(cores: set[int]) -> None:
    if _settable:
        # Who takes cores away from a running process has the last word.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)
