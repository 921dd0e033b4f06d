"""The life of one worker of a fleet: one process after the other, for as long as it is wanted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from nodes.errors import DataError
from nodes.fleet.logs import Logs
from nodes.fleet.machine import Ending, Launch, Machine, RunningWorker
from nodes.fleet.process import WorkerProcess
from nodes.fleet.restarts import Wait
from nodes.routing import ProcessChange, ProcessEvent
from nodes.support.event_kinds import EventKind
from nodes.support.os_errors import explain_os_error
from nodes.support.silence import Silence
from nodes.support.units import duration
from nodes.wire import new_instance

ROOM_EVERY_S = 0.5
"""Seconds between two looks for room by a worker that waits for it."""

MAX_START_S = 1800.0
"""Seconds within which a started worker is to register, however much it has to fetch."""

LOOK_S = 0.2
"""Seconds between two looks at a worker that is to register; at most, unless we were frozen."""

LOST_PAUSE_S = 0.3
"""Seconds before a worker whose machine is lost is placed anew: others may not know of it yet."""


class WorkerObserver(Protocol):
    """Whom workers register with. `nodes.master.fleet_reports.FleetReports` is one."""

    def reserve(self, count: int) -> list[str]:
        """Ids for so many workers to come."""

    def reserve_again(self, worker_id: str) -> bool:
        """The id of a worker that is gone, for one to come; False if another has it by now."""

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""

    def report(self, event: ProcessEvent) -> None:
        """Something happened to the process of a worker."""

    def has_registered(self, instance: str) -> bool:
        """Whether the process of that instance has ever registered."""

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened that is worth an event."""


class Lifecycle:
    """Starts a worker's process, waits for its end, decides whether there is to be another.

    Args:
        observer: told what becomes of it.
        place: picks the machine for a worker, None if none has room; called with the lock held.
        command: see `nodes.fleet.supervisor.Supervisor`.
        logs: of all workers.
        lock: over every worker's process.
        start_timeout_s: seconds after its last word within which a started worker is to register.
    """

    def __init__(
        self,
        *,
        observer: WorkerObserver,
        place: Callable[[WorkerProcess], Machine | None],
        command: Callable[[str, Machine], Sequence[str]],
        logs: Logs,
        lock: threading.Condition,
        start_timeout_s: float,
    ) -> None:
        self._observer = observer
        self._place = place
        self._command = command
        self._logs = logs
        self._lock = lock
        self._start_timeout_s = start_timeout_s

    def run(self, child: WorkerProcess) -> None:
        """Runs one process after the other for `child`, until it is no longer wanted."""
        if child.process is not None:  # this failed, and is done anew: the process goes on
            self._pause(child, self._attend(child, child.process))
        while (machine := self._await_room(child)) is not None:
            ending = self._run_once(child, machine)
            if ending is not None:
                self._pause(child, ending)

    def _await_room(self, child: WorkerProcess) -> Machine | None:
        """The machine for its next process, once there is one; None if it is not wanted."""
        waiting = False
        while True:
            with self._lock:
                if not child.wanted:
                    return None
                child.wake.clear()
                child.renewed = False
                child.machine = machine = self._place(child)
            if machine is not None:
                return machine
            if not waiting:
                waiting = True
                why = "no machine that can be reached has room"
                self._observer.report(ProcessEvent(child.id, ProcessChange.NO_ROOM, why))
            child.wake.wait(ROOM_EVERY_S)

    def _pause(self, child: WorkerProcess, ending: Ending) -> None:
        """Says how a process ended, and waits until the next may be started."""
        ended = ProcessChange.MACHINE_LOST if ending.machine_lost else ProcessChange.EXITED
        with self._lock:
            wait = Wait(0.0, crash_looping=False)
            if child.wanted and not child.renewed:
                lost = Wait(LOST_PAUSE_S, crash_looping=False)
                wait = lost if ending.machine_lost else child.budget.next(time.monotonic())
            child.crash_looping = wait.crash_looping
        if wait.crash_looping:
            ended = ProcessChange.EXITED_TOO_OFTEN
        self._observer.report(
            ProcessEvent(
                child.id, ended, ending.why, instance=child.instance, next_in_s=wait.seconds
            )
        )
        if wait.crash_looping:
            self._note_crash_loop(child.id, ending.why, wait.seconds)
        elif child.wanted and not child.renewed and not ending.machine_lost:
            self._observer.note(EventKind.RESTARTED, child.id, ending.why)
        child.wake.wait(wait.seconds)
        child.crash_looping = False

    def _note_crash_loop(self, worker_id: str, why: str, next_in_s: float) -> None:
        log = self._logs.file(worker_id)
        again = f"next try in {duration(next_in_s)}"
        self._observer.note(
            EventKind.CRASH_LOOPING, worker_id, f"died too often, {again}; last: {why}; log: {log}"
        )

    def _run_once(self, child: WorkerProcess, machine: Machine) -> Ending | None:
        """One process, from start to end; returns how it ended, None if it is not wanted."""
        child.instance = new_instance()
        # Before it is started: it may register as soon as it is.
        prepared = ProcessEvent(
            child.id, ProcessChange.PREPARED, instance=child.instance, machine=machine.name
        )
        self._observer.report(prepared)
        try:
            process = self._start(child, machine)
        except (OSError, DataError) as error:
            lost = machine.lost
            return Ending(lost or f"cannot be started: {explain_os_error(error)}", bool(lost))
        if process is None:
            return None
        self._observer.report(ProcessEvent(child.id, ProcessChange.STARTED, pid=process.pid))
        return self._attend(child, process)

    def _attend(self, child: WorkerProcess, process: RunningWorker) -> Ending:
        """Waits for the end of its process; returns how it ended."""
        unready = self._await_ready(child, process)
        while (ending := process.wait()) is None:
            pass  # it goes on
        process.close()
        with self._lock:
            child.process = None
            if child.late is not None:
                child.late.cancel()
                child.late = None
        return self._explained(child, ending, unready)

    def _explained(self, child: WorkerProcess, ending: Ending, unready: str) -> Ending:
        """How a process ended, with its last words where they say more."""
        why = unready or ending.why
        said = self._logs.last_words(child.id)
        self._logs.note_end(child.id, why)
        # One that never came up has no better witness than its own last words.
        if said and not ending.machine_lost and not self._observer.has_registered(child.instance):
            why = f"{why}; its log ends: {said}"
        return Ending(why, ending.machine_lost)

    def _await_ready(self, child: WorkerProcess, process: RunningWorker) -> str:
        """Ends a process that does not register in time; returns why, "" if it did, or ended.

        One that fetches its records first may take long, and says meanwhile how far it is.
        """
        began = time.monotonic()
        silence = Silence(began, look_every_s=LOOK_S)
        printed = self._logs.printed(child.id)
        while process.wait(LOOK_S / 2) is None:
            if not child.wanted or self._observer.has_registered(child.instance):
                return ""
            now = time.monotonic()
            if (more := self._logs.printed(child.id)) != printed:
                printed = more
                silence.heard()
            if silence.look(now) > self._start_timeout_s or now - began > MAX_START_S:
                process.signal(signal.SIGKILL)
                return f"was not ready within {now - began:.2g} s, and was ended"
        return ""

    def _start(self, child: WorkerProcess, machine: Machine) -> RunningWorker | None:
        launch = Launch(child.id, self._command(child.id, machine), child.instance)
        log = self._logs.begin(child.id)
        with self._lock:
            if not child.wanted:
                return None
            child.process = machine.start(launch, log)
            return child.process
