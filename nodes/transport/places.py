"""The places of a server: whom it keeps, who waits for a place. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from nodes.transport.eviction import Kept, longest_silent, most_stalled
from nodes.transport.limits import Limits


class Guest(Kept, Protocol):
    """A connection, as far as it is given a place."""

    def keep(self, now: float) -> None:
        """It has a place from now on."""

    def refuse(self, why: str) -> None:
        """It has none, which it is told once it asks for what is for everybody."""


T = TypeVar("T", bound=Guest)


class Places(Generic[T]):
    """The connections of a server. Newcomers have their turns in the order they came: the longest
    silent of those that have a place makes room.

    Args:
        limits: how many there may be.
        end: ends one.

    Attributes:
        kept: those that have a place.
        waiting: those that wait for one, each with since when.
        told: those that were told that there is none, each with when they go unless they turn out
            to be trusted.
        refused: how often that was, so far.
        given_up: connections that were ended for a newcomer, so far.
    """

    def __init__(self, limits: Limits, end: Callable[[T], None]) -> None:
        self.kept: set[T] = set()
        self.waiting: dict[T, float] = {}
        self.told: dict[T, float] = {}
        self.refused = 0
        self.given_up = 0
        self._limits = limits
        self._end = end

    def admit(self, newcomer: T, now: float, *, most: float) -> None:
        """One has begun to speak: it is kept, or waits for its turn, or is told that there are too
        many.

        Args:
            newcomer: the connection.
            now: monotonic, seconds, as all times.
            most: connections that can be kept with the descriptors there are.
        """
        self.waiting[newcomer] = now
        self.give_turns(now, most=most)
        if len(self.waiting) > self._limits.waiting:
            self._refuse(newcomer, now)

    def give_turns(self, now: float, *, most: float) -> None:
        """Keeps those who have waited longest, as far as there is room, and tells those who have
        waited for too long. To be called several times a second while any wait; see `admit`.
        """
        while self.waiting and self._make_room(now, most):
            first = next(iter(self.waiting))
            del self.waiting[first]
            self.kept.add(first)
            first.keep(now)
        for one, since in list(self.waiting.items()):
            if now - since < self._limits.turn:
                break
            self._refuse(one, now)

    def _make_room(self, now: float, most: float) -> bool:
        if len(self.kept) < most and self._has_room():
            return True
        return self.give_up_one(now)

    def give_up_one(self, now: float) -> bool:
        """Ends the longest silent connection; whether there was one that may go."""
        silent = longest_silent(self.kept, now, self._limits)
        if silent is None:
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

    def _refuse(self, one: T, now: float) -> None:
        del self.waiting[one]
        if len(self.told) >= self._limits.probation:
            self._let_go(next(iter(self.told)))
        self.refused += 1
        self.told[one] = now + self._limits.probation_s
        one.refuse(f"all {len(self.kept)} connections are in use; try again in a moment")

    def look(self, now: float) -> None:
        """Keeps who has shown that it may be trusted, and ends whose probation is over."""
        for connection in [one for one in (*self.waiting, *self.told) if one.trusted]:
            self.left(connection)
            self.kept.add(connection)
            connection.keep(now)
        for connection, until in list(self.told.items()):
            if now >= until:
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
        self.waiting.pop(connection, None)
        self.told.pop(connection, None)

    def _let_go(self, connection: T) -> None:
        self.left(connection)
        self._end(connection)

    def __iter__(self) -> Iterator[T]:
        return iter((*self.kept, *self.waiting, *self.told))

    def __len__(self) -> int:
        return len(self.kept) + len(self.waiting) + len(self.told)
