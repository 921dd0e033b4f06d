"""Places a fleet's workers on its machines, and looks after those whose machine was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from nodes.errors import BadRequest, NotPossible
from nodes.fleet.lifecycle import WorkerObserver
from nodes.fleet.machine import Ability, Machine, Machines
from nodes.fleet.machine_states import MachineChange, MachineStates
from nodes.fleet.placement import Place, away, choose
from nodes.fleet.process import WorkerProcess
from nodes.support.event_kinds import EventKind
from nodes.support.natural import natural_key
from nodes.support.supervision import Supervision, supervised_thread
from nodes.wire import MachineView

MACHINES_EVERY_S = 0.25
"""Seconds between two looks at the machines, where there are several."""

HOME_AFTER_S = 3.0
"""Seconds for which a machine is back before workers go home to it."""


class Placer:
    """Which worker runs on which machine. For many threads.

    Args:
        machines: all that there are.
        workers: the supervisor's, by id.
        lock: over them.
        observer: told of machines that are lost, and of those that are back.
        renew: has a worker leave when its last lookup is answered, and placed anew; told why.
    """

    def __init__(
        self,
        machines: Machines,
        workers: Mapping[str, WorkerProcess],
        lock: threading.Condition,
        *,
        observer: WorkerObserver,
        renew: Callable[[WorkerProcess, str], None],
    ) -> None:
        self._machines = machines
        self._workers = workers
        self._lock = lock
        self._observer = observer
        self._renew = renew
        self._states = MachineStates()
        self._began = time.monotonic()
        self._going_home: tuple[WorkerProcess, str] | None = None
        self._stopped = threading.Event()
        self._states.look(machines.all(), self._began)

    def start(self) -> None:
        """Looks at the machines from now on, if there may be several."""
        if Ability.PLACE in self._machines.abilities:
            supervision = Supervision("the look at the machines", self._note_trouble)
            supervised_thread("machines", self._keep_watching, supervision, self._stopped)

    def stop(self) -> None:
        """Looks no more."""
        self._stopped.set()

    def views(self) -> Sequence[MachineView]:
        """The machines, as they are known now."""
        # Without the lock: whoever has it may wait for the loop that asks this.
        wanted = [one for one in list(self._workers.values()) if one.wanted]
        at = [one.at for one in wanted]
        away = [one.home for one in wanted if one.at not in ("", one.home)]
        now, wall = time.monotonic(), time.time()
        return tuple(
            MachineView(
                name=machine.name,
                lost=machine.lost,
                since=wall - (now - self._states.since(machine.name, self._began)),
                room=machine.room,
                workers=at.count(machine.name),
                away=away.count(machine.name),
            )
            for machine in self._machines.all()
        )

    def _places(self, but: WorkerProcess | None = None) -> list[Place]:
        """The machines for placement, with the lock held; a worker that moves is not counted."""
        # One that is still to be placed, or waits, has its room where it belongs.
        at = [child.at or child.home for child in self._workers.values() if child is not but]
        return [
            Place(one.name, one.room, at.count(one.name), bool(one.lost))
            for one in self._machines.all()
        ]

    def place(self, child: WorkerProcess) -> Machine | None:
        """The machine for its next process; None if there is no room. With the lock held."""
        name = choose(self._places(but=child), child.home)
        child.home = child.home or name or ""
        return next((one for one in self._machines.all() if one.name == name), None)

    def _keep_watching(self) -> None:
        """Tells of machines that are lost or back, and sends workers home, until the end."""
        while not self._stopped.wait(MACHINES_EVERY_S):
            now = time.monotonic()
            for change in self._states.look(self._machines.all(), now):
                self._note_machine(change)
            self._send_home(now)

    def _note_trouble(self, text: str) -> None:
        self._observer.note(EventKind.TROUBLE, "", text)

    def _note_machine(self, change: MachineChange) -> None:
        if not change.lost:
            self._observer.note(EventKind.MACHINE_BACK, "", f"{change.name} can be reached again")
            return
        there = [child.id for child in list(self._workers.values()) if child.at == change.name]
        hit = f"; its workers: {', '.join(sorted(there, key=natural_key))}" if there else ""
        self._observer.note(EventKind.MACHINE_LOST, "", f"{change.name}: {change.lost}{hit}")

    def _send_home(self, now: float) -> None:
        """Has one worker go back to the machine that it belongs on, once the one before is there:
        it leaves where it is when its last lookup is answered.
        """
        if self._going_home is not None and not self._is_back(*self._going_home):
            return
        self._going_home = None
        with self._lock:
            children = {child.id: child for child in self._workers.values() if child.wanted}
            settled = [
                place
                for place in self._places()
                if now - self._states.since(place.name, now) >= HOME_AFTER_S
            ]
            homes = {one: child.home for one, child in children.items() if child.at}
            going = away(homes, {one: children[one].at for one in homes}, settled)
            child = children[going[0]] if going else None
        if child is not None and self._observer.has_registered(child.instance):
            self._going_home = (child, child.instance)
            self._renew(child, f"to go back to {child.home}")

    def _is_back(self, child: WorkerProcess, instance: str) -> bool:
        """Whether another process than that one serves by now, wherever it was placed, or none is
        wanted.
        """
        if not child.wanted:
            return True
        return child.instance != instance and self._observer.has_registered(child.instance)

    def check_room(self, where: str, count: int) -> None:
        """Whether so many more workers can be started on that machine, with the lock held.

        Raises:
            BadRequest: there is no such machine.
            NotPossible: it is lost, or has no room.
        """
        places = {place.name: place for place in self._places()}
        if where not in places:
            known = ", ".join(places)
            raise BadRequest(f"no machine is called {where[:80]!r}; there are {known[:500]}")
        place = places[where]
        if place.lost:
            raise NotPossible(f"{where} cannot be reached now: place them on another machine")
        if place.left < count:
            raise NotPossible(f"{where} has room for {place.left} more, not for {count}")
