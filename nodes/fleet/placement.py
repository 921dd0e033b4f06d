"""Placement: on which machine the next worker starts, and which workers go home. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """A machine, as far as placement goes.

    Args:
        name: its name.
        room: workers that it takes at most.
        workers: those that are there, or on their way.
        lost: whether it cannot be reached.
    """

    name: str
    room: int
    workers: int
    lost: bool = False

    @property
    def left(self) -> int:
        """How many more may be started there now."""
        return 0 if self.lost else max(0, self.room - self.workers)


def choose(places: Sequence[Place], home: str = "") -> str | None:
    """The machine for one more worker.

    Args:
        places: all machines.
        home: where it was placed first, "" for nowhere yet.

    Returns:
        Its home if there is room; else the machine with most room left, the first among equals;
        None if there is room nowhere.
    """
    usable = {place.name: place for place in places if place.left}
    if home in usable:
        return home
    return max(usable, key=lambda name: usable[name].left, default=None)


def away(homes: Mapping[str, str], at: Mapping[str, str], places: Sequence[Place]) -> list[str]:
    """The workers that may go home: those that are elsewhere, as far as there is room.

    Args:
        homes: where each worker was placed first.
        at: where each is.
        places: all machines.
    """
    left = {place.name: place.left for place in places}
    going: list[str] = []
    for worker, home in homes.items():
        if at.get(worker, home) != home and left.get(home, 0):
            left[home] -= 1
            going.append(worker)
    return going
