"""Forks: what is to be at rest before one, and what is renewed in a child.

A forked child begins with a copy of everything but the threads: connections that are the
parent's as well, and locks that nobody is there to release. Some of these are a library's own:
OpenSSL's, while another thread shakes hands.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Protocol

MAX_WAIT_S = 1.0
"""Seconds that a fork waits, at most, for what is to be at rest."""


class Renewed(Protocol):
    """What belongs to one process."""

    def renew(self) -> None:
        """Begin anew, in a child: take no lock, end nothing that is the parent's, never raise."""


class Resting(Protocol):
    """What runs in a thread of its own, and rests while another thread forks."""

    def rest(self, timeout_s: float) -> None:
        """Come to rest, and stay so until `wake`; called before the fork. Never raises."""

    def wake(self) -> None:
        """Go on; called in the parent. Never raises."""


class _Forks:
    """What this process does around its forks."""

    def __init__(self) -> None:
        self.renewed: weakref.WeakSet[Renewed] = weakref.WeakSet()
        self.resting: weakref.WeakSet[Resting] = weakref.WeakSet()
        self.lock = threading.Lock()
        self._locked = False

    def before(self) -> None:
        """Waits until all is at rest."""
        self._locked = self.lock.acquire(timeout=MAX_WAIT_S)
        for one in list(self.resting):
            one.rest(MAX_WAIT_S)

    def after_in_parent(self) -> None:
        """Lets all go on."""
        for one in list(self.resting):
            one.wake()
        if self._locked:
            self.lock.release()

    def after_in_child(self) -> None:
        """Begins anew."""
        self.lock = threading.Lock()
        for one in list(self.renewed):  # a copy: to renew one may enlist others
            one.renew()


_forks = _Forks()


def enlist(one: Renewed) -> None:
    """Have `one` renewed in every child that is forked while it is there."""
    _forks.renewed.add(one)


def enlist_resting(one: Resting) -> None:
    """Have `one` at rest whenever this process forks while it is there."""
    _forks.resting.add(one)


@contextlib.contextmanager
def held_off() -> Iterator[None]:
    """No fork happens within: for short calls of a library that takes locks of its own."""
    with _forks.lock:
        yield


os.register_at_fork(
    before=_forks.before,
    after_in_parent=_forks.after_in_parent,
    after_in_child=_forks.after_in_child,
)
