"""A fair queue: those who ask have turns, and of what one of them asks the first is the first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue of queues, one for each who asks: each turn is another's.

    Attributes:
        queues: what waits, by who asks: whose turn is next comes first, and nobody for whom
            nothing waits. To be read only.
    """

    __slots__ = ("queues",)

    def __init__(self) -> None:
        self.queues: dict[object, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def put(self, whose: object, item: T, *, first: bool = False) -> None:
        """Adds one, behind what that asker has there, or before it."""
        queue = self.queues.setdefault(whose, deque())
        if first:
            queue.appendleft(item)
        else:
            queue.append(item)

    def pop(self) -> T:
        """Takes out the one whose turn it is. Raises `StopIteration` where nothing waits."""
        whose, queue = next(iter(self.queues.items()))
        del self.queues[whose]
        item = queue.popleft()
        if queue:
            self.queues[whose] = queue  # behind all others
        return item

    def pop_all(self) -> list[T]:
        """Takes out all of them, in their order."""
        return [self.pop() for _ in range(len(self))]

    def pop_while(self, over: Callable[[T], bool]) -> list[T]:
        """Takes out those in front of each queue as long as they are `over`."""
        found: list[T] = []
        for whose, queue in list(self.queues.items()):
            while queue and over(queue[0]):
                found.append(queue.popleft())
            if not queue:
                del self.queues[whose]
        return found
