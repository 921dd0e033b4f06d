"""The states of a fleet's machines over time: reachable or lost, and since when. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nodes.fleet.machine import Machine


class _Known(NamedTuple):
    lost: str
    since: float


class MachineChange(NamedTuple):
    """A machine was lost, or is back.

    Args:
        name: its name.
        lost: why it cannot be reached, "" if it is back.
    """

    name: str
    lost: str


class MachineStates:
    """Compares machines with what they were when they were looked at before."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self, machines: Iterable[Machine], now: float) -> list[MachineChange]:
        """What has changed since the last look, at `now` (monotonic, seconds)."""
        changes: list[MachineChange] = []
        for machine in machines:
            lost = machine.lost
            known = self._known.get(machine.name)
            if known is None or bool(known.lost) != bool(lost):
                self._known[machine.name] = _Known(lost, now)
                # One that is just met is news only if it cannot be reached.
                if known is not None or lost:
                    changes.append(MachineChange(machine.name, lost))
        return changes

    def since(self, name: str, otherwise: float) -> float:
        """Since when that machine is as it is, monotonic; `otherwise` if it was never seen."""
        known = self._known.get(name)
        return otherwise if known is None else known.since
