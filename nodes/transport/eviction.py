"""Who keeps a connection when there are more peers than connections. No sockets, no clock."""

from __future__ import annotations

import math
import os
import resource
import socket
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

from nodes.transport.holdings import Holdings
from nodes.transport.limits import Limits

SPARE_DESCRIPTORS = 64
"""Descriptors that connections leave to all else, files and processes say; an eighth of all, where
this process may have few."""


class Kept(Protocol):
    """A connection, as far as its right to be kept goes.

    Attributes:
        opened_at: when it was made, or got its place; monotonic, seconds, as all times.
        since: when it was made or last heard of.
        proved: whether a request of its was ever answered.
        called: whether one of those was a call: who has just come asks for what to call first.
        busy: whether a request is being answered now, or about to be.
        trusted: whether it is kept however long it is silent.
        stalled_since: since when it keeps us waiting, None if it does not.
        held_bytes: that are held for it.
    """

    @property
    def opened_at(self) -> float: ...

    @property
    def since(self) -> float: ...

    @property
    def proved(self) -> bool: ...

    @property
    def called(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    @property
    def trusted(self) -> bool: ...

    @property
    def stalled_since(self) -> float | None: ...

    @property
    def held_bytes(self) -> int: ...


class Owner(Protocol):
    """Who keeps a connection; a `nodes.transport.server.Server` is one."""

    @property
    def holdings(self) -> Holdings:
        """Bounds what is held for all connections."""

    def connection_closed(self, connection: Kept) -> None:
        """It has ended."""

    def is_gone(self, sock: socket.socket | None) -> bool:
        """Whether its peer has hung up while this process did not run."""


T = TypeVar("T", bound=Kept)


def longest_silent(connections: Iterable[T], now: float, limits: Limits) -> T | None:
    """The connection that goes for a newcomer: the longest silent of those that never asked
    anything whole, else of those that have; None if nobody has to go.

    Silence costs an attacker nothing, so to refuse the newcomer would give all connections to
    whoever came first.

    Args:
        connections: all there are.
        now: monotonic, seconds.
        limits: how long one that was answered has its place for.
    """
    free = [one for one in connections if _may_go(one, now, limits)]
    return min(free, key=lambda one: (one.proved, one.since), default=None)


def _may_go(one: Kept, now: float, limits: Limits) -> bool:
    if one.busy or (one.proved and one.trusted):
        return False
    tenure_s = limits.tenure if one.called else limits.first_call
    return not one.proved or now - one.opened_at >= tenure_s


def most_stalled(connections: Iterable[T], now: float, *, stalled_s: float) -> T | None:
    """The connection that goes when too much is held: of those that keep us waiting, the one that
    most is held for; None if nobody has to go.

    Args:
        connections: all there are.
        now: monotonic, seconds.
        stalled_s: seconds for which each may keep us waiting.
    """
    slow = [
        one
        for one in connections
        if not one.trusted
        and one.stalled_since is not None
        and now - one.stalled_since >= stalled_s
    ]
    return max(slow, key=lambda one: one.held_bytes, default=None)


class Descriptors(NamedTuple):
    """Descriptors that this process has left.

    Attributes:
        left: how many.
        spare: how many of those are left to others than connections that are kept.
    """

    left: float
    spare: int

    @property
    def accept(self) -> bool:
        """Whether there is one for a newcomer, if only to wait for its turn."""
        return self.left > self.spare // 2


def open_descriptors() -> int:
    """How many descriptors this process has open, this look's own included."""
    with os.scandir("/dev/fd") as entries:
        return sum(1 for _ in entries)


def descriptors_left(connections: int) -> Descriptors:
    """How many descriptors this process has left, given how many connections it has at least: what
    it has open altogether is counted only if these are many.
    """
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or connections < most // 8:
        return Descriptors(math.inf, 0)
    spare = min(SPARE_DESCRIPTORS, most // 8)
    try:
        return Descriptors(most - open_descriptors(), spare)
    except OSError:
        return Descriptors(0, spare)  # or the folder could be opened
