"""Forks: what belongs to one process is renewed in a child, by whoever enlisted it.

A forked child begins with a copy of everything but the threads: connections that are the
parent's as well, and locks that nobody is there to release.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewed(Protocol):
    """What belongs to one process."""

    def renew(self) -> None:
        """Begin anew, in a child: take no lock, end nothing that is the parent's, never raise."""


_enlisted: weakref.WeakSet[Renewed] = weakref.WeakSet()


def enlist(one: Renewed) -> None:
    """Have `one` renewed in every child that is forked while it is there."""
    _enlisted.add(one)


def _renew_all() -> None:
    for one in list(_enlisted):  # a copy: to renew one may enlist others
        one.renew()


os.register_at_fork(after_in_child=_renew_all)
