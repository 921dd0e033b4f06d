"""The places of a server: whom it keeps, who is on probation. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from nodes.transport.eviction import Kept, longest_silent, most_stalled
from nodes.transport.limits import Limits

T = TypeVar("T", bound=Kept)


class Places(Generic[T]):
    """The connections of a server.

    Args:
        limits: how many there may be.
        end: ends one.

    Attributes:
        kept: those that have a place.
        on_probation: those beyond, each with when that ends.
        refused: newcomers that no place was found for, so far.
        given_up: connections that were ended for a newcomer, so far.
    """

    def __init__(self, limits: Limits, end: Callable[[T], None]) -> None:
        self.kept: set[T] = set()
        self.on_probation: dict[T, float] = {}
        self.refused = 0
        self.given_up = 0
        self._limits = limits
        self._end = end

    def make_room(self, now: float, *, scarce: bool) -> bool:
        """Whether one more connection can be kept, if need be in the place of another.

        Args:
            now: monotonic, seconds, as all times.
            scarce: whether descriptors are, and one is to go in any case.
        """
        if not scarce and self._has_room():
            return True
        silent = longest_silent(self.kept, now, tenure_s=self._limits.tenure)
        if silent is None:
            self.refused += 1
            return False
        self.given_up += 1
        self._let_go(silent)
        return True

    def _has_room(self) -> bool:
        limits = self._limits
        if len(self.kept) < limits.connections:
            return True
        trusted = sum(one.trusted for one in self.kept) if limits.trusted else 0
        return len(self.kept) - min(trusted, limits.trusted) < limits.connections

    def try_out(self, connection: T, now: float) -> None:
        """Puts one on probation, in the place of the oldest that is, if there are too many."""
        if len(self.on_probation) >= self._limits.probation:
            self._let_go(next(iter(self.on_probation)))
        self.on_probation[connection] = now + self._limits.probation_s

    def look(self, now: float) -> None:
        """Keeps who has shown that it may be trusted, and ends whose probation is over."""
        for connection, until in list(self.on_probation.items()):
            if connection.trusted:
                del self.on_probation[connection]
                self.kept.add(connection)
            elif now >= until:
                self._let_go(connection)

    def relieve(self, now: float) -> bool:
        """Ends the connection that keeps us waiting with most; whether there was one."""
        slow = most_stalled(self.kept, now, stalled_s=self._limits.stalled)
        if slow is not None:
            self._let_go(slow)
        return slow is not None

    def left(self, connection: T) -> None:
        """One has ended."""
        self.kept.discard(connection)
        self.on_probation.pop(connection, None)

    def _let_go(self, connection: T) -> None:
        self.left(connection)
        self._end(connection)

    def __iter__(self) -> Iterator[T]:
        return iter((*self.kept, *self.on_probation))

    def __len__(self) -> int:
        return len(self.kept) + len(self.on_probation)
