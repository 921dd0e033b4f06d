"""Who keeps a connection when there are more peers than connections. No sockets, no clock."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Kept(Protocol):
    """A connection, as far as its right to be kept goes.

    Attributes:
        since: when it connected or was last heard of; monotonic, seconds.
        proved: whether a request of its was ever answered.
        busy: whether a request is being answered now.
        trusted: whether it is kept however long it is silent.
    """

    @property
    def since(self) -> float: ...

    @property
    def proved(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    @property
    def trusted(self) -> bool: ...


class Owner(Protocol):
    """Who keeps a connection; a `nodes.transport.server.Server` is one."""

    def connection_closed(self, connection: Kept) -> None:
        """It has ended."""

    def is_gone(self, sock: socket.socket | None) -> bool:
        """Whether its peer has hung up while this process did not run."""


T = TypeVar("T", bound=Kept)


def longest_silent(connections: Iterable[T], now: float, *, settled_s: float) -> T | None:
    """The connection that goes for a newcomer: the longest silent of those that never asked
    anything whole, else of those that have not for a while; None if nobody has to go.

    Silence costs an attacker nothing, so to refuse the newcomer would give all connections to
    whoever came first.

    Args:
        connections: all there are.
        now: monotonic, seconds.
        settled_s: seconds for which one that was answered may be silent.
    """
    free = [one for one in connections if _may_go(one, now, settled_s)]
    return min(free, key=lambda one: (one.proved, one.since), default=None)


def _may_go(one: Kept, now: float, settled_s: float) -> bool:
    if one.busy:
        return False
    return not one.proved or (not one.trusted and now - one.since >= settled_s)


def affordable(wanted: int, part: int) -> int:
    """How many of the connections `wanted` this process can keep with a `part` of its
    descriptors (2 for half of them): a lookup that comes in needs another to go out.
    """
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most // part)
