"""Who keeps a connection when there are more peers than connections. No sockets, no threads."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")


class Keepable(Protocol):
    """What a seat asks of the service that answers on it."""

    keeps_seat: bool


class Seat:
    """One connection, as far as its right to be kept goes; its own thread writes it.

    Attributes:
        since: when it connected or was last answered, by the monotonic clock.
        proved: whether a request of its was ever answered.
        busy: whether a request is being answered now.
        service: what answers it, once there is one.
    """

    __slots__ = ("busy", "proved", "service", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.proved = False
        self.busy = False
        self.service: Keepable | None = None

    def answered(self, now: float) -> None:
        """A request was answered whole."""
        self.since = now
        self.proved = True
        self.busy = False

    def free(self, now: float, settled: float) -> bool:
        """Whether a newcomer may have its place."""
        if self.busy:
            return False
        if not self.proved:
            return True
        kept = self.service is not None and self.service.keeps_seat
        return not kept and now - self.since >= settled


def least(seats: Mapping[T, Seat], now: float, *, settled: float) -> T | None:
    """Whose place a newcomer gets: the longest silent of those who never asked anything
    whole, else of those who have not for a while; None if nobody's.

    Silence costs an attacker nothing, so that refusing the newcomer would give the house to
    whoever came first; asking what a peer has done for its place does not.
    """
    free = [key for key, seat in seats.items() if seat.free(now, settled)]
    return min(free, key=lambda key: (seats[key].proved, seats[key].since), default=None)


def room(wanted: int, part: int) -> int:
    """How many of the connections `wanted` this process can keep with a `part` of its
    descriptors (2 for half of them): a lookup that comes in needs another to go out.
    """
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most // part)
