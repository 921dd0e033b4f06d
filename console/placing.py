"""Where the next workers may start, as it is asked: a choice for each machine; pure."""

from __future__ import annotations

from typing import NamedTuple

from console.text import clean, fit
from nodes.support.units import counted, duration
from nodes.wire import ClusterSnapshot, MachineView, by_room, room_left

MAX_NAME_CELLS = 24
"""Cells for the name of a machine."""


class Choice(NamedTuple):
    """A place for workers.

    Attributes:
        where: the machine's name; "" for each where there is most room.
        text: what is shown of it.
        refused: whether it cannot take them.
    """

    where: str
    text: str
    refused: bool = False


def choices(snapshot: ClusterSnapshot | None, count: int) -> list[Choice]:
    """The machines for so many more workers, the one with most room first, those that have none
    last. None where there is nothing to choose.
    """
    if snapshot is None or len(snapshot.machines) < 2 or "place" not in snapshot.abilities:
        return []
    width = min(MAX_NAME_CELLS, max(len(clean(one.name)) for one in snapshot.machines))
    found = [_choice(one, snapshot, count, width) for one in by_room(snapshot.machines)]
    found.sort(key=lambda one: one.refused)
    if count > 1 and sum(map(room_left, snapshot.machines)) >= count:
        found.insert(0, Choice("", "each where there is most room"))
    return found


def _choice(machine: MachineView, snapshot: ClusterSnapshot, count: int, width: int) -> Choice:
    left = room_left(machine)
    room = f"room for {left} more" if left else "no room"
    if machine.lost:
        room = f"lost {duration(snapshot.taken_at - machine.since)} ago"
    name = fit(clean(machine.name), width)
    there = sum(one.machine == machine.name and one.state != "down" for one in snapshot.workers)
    text = f"{name}  {room:<17}  {counted(there, 'worker')} there"
    return Choice(machine.name, text, refused=left < count)
