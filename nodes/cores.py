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

_setting = getattr(os, "sched_setaffinity", None)  # not every system has it
_all: frozenset[int] = frozenset(os.sched_getaffinity(0)) if _setting else frozenset()
_one = random.choice(sorted(_all)) if _all else 0  # noqa: S311 - no secret


def gather() -> None:
    """The calling thread runs on that one core from now on, and what it starts as well."""
    _run_on({_one})


def spread() -> None:
    """The calling thread may run on any core again, and so may what it starts."""
    _run_on(_all)


def _run_on(cores: set[int] | frozenset[int]) -> None:
    # Who takes cores away from a running process has the last word.
    if _setting is not None and len(_all) > 1:
        with contextlib.suppress(OSError):
            _setting(0, cores)
