"""The machines of a cluster: which there are, what runs on each, where there is room; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nodes.support.natural import natural_key
from nodes.support.units import counted, duration
from nodes.wire.conditions import is_waiting
from nodes.wire.views import ClusterSnapshot, MachineView, WorkerView

WAITING = "waiting"

_ORDER = ("up", WAITING, "starting", "suspect", "unready", "frozen", "draining", "down")
"""Of the states of a machine's workers, as they are counted."""


def machine_names(snapshot: ClusterSnapshot) -> list[str]:
    """The machines of the fleet, and those on which others started workers."""
    fleet = {machine.name for machine in snapshot.machines}
    used = {worker.machine for worker in snapshot.workers if worker.machine}
    return sorted(fleet | used, key=natural_key)


def are_several(snapshot: ClusterSnapshot) -> bool:
    """Whether it must be told on which machine a worker is."""
    return len(machine_names(snapshot)) > 1


def room_left(machine: MachineView) -> int:
    """How many more workers it takes now."""
    return 0 if machine.lost else max(0, machine.room - machine.workers)


def by_room(machines: Sequence[MachineView]) -> list[MachineView]:
    """Those with most room first: there the next worker starts; the first among equals."""
    return sorted(machines, key=room_left, reverse=True)


def machine_text(snapshot: ClusterSnapshot, name: str) -> str:
    """What runs on a machine, and how many more may: "2 up, 1 starting  room for 4 more"; of ""
    the workers that have no machine yet.
    """
    counts = Counter(_state(one) for one in snapshot.workers if one.machine == name)
    states = sorted(counts, key=lambda state: _ORDER.index(state) if state in _ORDER else -1)
    running = ", ".join(f"{counts[state]} {state}" for state in states) or "no workers"
    machine = next((one for one in snapshot.machines if one.name == name), None)
    return "  ".join(part for part in (running, _condition(snapshot, name, machine)) if part)


def _condition(snapshot: ClusterSnapshot, name: str, machine: MachineView | None) -> str:
    if machine is None:
        return "not of this fleet" if name else ""
    if not machine.lost:
        left = room_left(machine)
        return f"room for {left} more" if left else "no room"
    elsewhere = f", {counted(machine.away, 'worker')} elsewhere" if machine.away else ""
    return f"lost {duration(snapshot.taken_at - machine.since)} ago{elsewhere}: {machine.lost}"


def _state(worker: WorkerView) -> str:
    if worker.frozen:
        return "frozen"
    return WAITING if is_waiting(worker) else worker.state
