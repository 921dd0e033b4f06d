"""The life of one local worker: one process after the other, for as long as it is wanted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from nodes.fleet.logs import Logs
from nodes.fleet.process import WorkerProcess, ending
from nodes.fleet.restarts import Restarts
from nodes.routing import ProcessChange, ProcessEvent
from nodes.support.event_kinds import EventKind
from nodes.wire import INSTANCE_VARIABLE, new_instance


class WorkerObserver(Protocol):
    """Whom local workers register with. `nodes.master.fleet_reports.FleetReports` is one."""

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
        command: see `nodes.fleet.supervisor.Supervisor`.
        logs: of all workers.
        lock: over every worker's process.
        start_timeout_s: seconds within which a started worker is to register.
    """

    def __init__(
        self,
        *,
        observer: WorkerObserver,
        command: Callable[[str], list[str]],
        logs: Logs,
        lock: threading.Condition,
        start_timeout_s: float,
    ) -> None:
        self._observer = observer
        self._command = command
        self._logs = logs
        self._lock = lock
        self._start_timeout_s = start_timeout_s

    def run(self, child: WorkerProcess) -> None:
        """Runs one process after the other for `child`, until it is no longer wanted."""
        while (why := self._run_once(child)) is not None:
            with self._lock:
                renewed = child.renewed
                wait = 0.0 if renewed or not child.wanted else child.budget.next(time.monotonic())
                child.crash_looping = wait is None
            gave_up = wait is None
            ended = ProcessChange.EXITED_TOO_OFTEN if gave_up else ProcessChange.EXITED
            self._observer.report(ProcessEvent(child.id, ended, why, instance=child.instance))
            if gave_up:
                self._note_crash_loop(child.id, why)
            elif child.wanted and not renewed:
                self._observer.note(EventKind.RESTARTED, child.id, why)
            child.wake.wait(wait)

    def _note_crash_loop(self, worker_id: str, why: str) -> None:
        text = f"died {Restarts.MAX_DEATHS + 1} times in {Restarts.WINDOW_S:g} s; last: {why}"
        log = self._logs.file(worker_id)
        self._observer.note(EventKind.CRASH_LOOPING, worker_id, f"{text}; log: {log}")

    def _run_once(self, child: WorkerProcess) -> str | None:
        """One process, from start to end; returns how it ended, None if it is not wanted."""
        with self._lock:
            if not child.wanted:
                return None
            child.wake.clear()
            child.renewed = False
            child.instance = new_instance()
        # Before it is started: it may register as soon as it is.
        prepared = ProcessEvent(
            child.id, ProcessChange.PREPARED, instance=child.instance, machine=child.machine
        )
        self._observer.report(prepared)
        try:
            process = self._start(child)
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        if process is None:
            return None
        self._observer.report(ProcessEvent(child.id, ProcessChange.STARTED, pid=process.pid))
        with process:  # closes its standard input
            unready = self._await_ready(child, process)
            status = process.wait()
        with self._lock:
            child.process = None
            if child.late is not None:
                child.late.cancel()
                child.late = None
        why = unready or ending(status)
        said = self._logs.last_words(child.id)
        self._logs.note_end(child.id, why)
        if self._observer.has_registered(child.instance):
            return why
        # One that never came up has no better witness than its own last words.
        return f"{why}; its log ends: {said}" if said else why

    def _await_ready(self, child: WorkerProcess, process: subprocess.Popen[bytes]) -> str:
        """Ends a process that does not register in time; returns why, "" if it did, or ended."""
        end = time.monotonic() + self._start_timeout_s
        while time.monotonic() < end:
            if not child.wanted or self._observer.has_registered(child.instance):
                return ""
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                return ""
        if not child.wanted or self._observer.has_registered(child.instance):
            return ""
        process.kill()
        return f"was not ready within {self._start_timeout_s:g} s, and was ended"

    def _start(self, child: WorkerProcess) -> subprocess.Popen[bytes] | None:
        with self._lock, self._logs.open(child.id) as log:
            if not child.wanted:
                return None
            child.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, *self._command(child.id)],
                env={**os.environ, INSTANCE_VARIABLE: child.instance},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own group, so that Ctrl-C is ours to pass on; but our session: if we end
                # while it is stopped, the system wakes and ends it (POSIX, orphaned groups).
                process_group=0,
            )
            return child.process
