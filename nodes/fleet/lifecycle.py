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
from nodes.fleet.process import Phase, WorkerProcess, ending
from nodes.fleet.restarts import Restarts
from nodes.support.event_kinds import EventKind
from nodes.wire import INSTANCE_VARIABLE, new_instance

START_TIME = 10.0
"""Seconds within which a started worker is expected to register."""


class WorkerObserver(Protocol):
    """Whom the workers register with. `nodes.master.membership.Membership` is one."""

    def reserve(self) -> str:
        """An id for a worker to come."""

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""

    def exited(self, instance: str, why: str) -> None:
        """The process of that instance ended."""

    def dismiss(self, worker_id: str) -> None:
        """An operator is about to end that worker."""

    def draining(self, worker_id: str, why: str) -> None:
        """No new lookups to that worker."""

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened."""


class Lifecycle:
    """Starts a worker's process, waits for its end, decides whether there is to be another.

    Args:
        observer: told what becomes of it.
        command: see `nodes.fleet.supervisor.Supervisor`.
        logs: of all workers.
        lock: over every worker's state.
    """

    def __init__(
        self,
        *,
        observer: WorkerObserver,
        command: Callable[[str], list[str]],
        logs: Logs,
        lock: threading.Condition,
    ) -> None:
        self._observer = observer
        self._command = command
        self._logs = logs
        self._lock = lock

    def run(self, child: WorkerProcess) -> None:
        """Runs one process after the other for `child`, until it is no longer wanted."""
        while child.wanted:
            instance, why = self._run_once(child)
            # Decided before the end is told: who then asks whether a worker is expected
            # must not hear that there is one running.
            wait = self._decide(child, why)
            if instance:
                self._observer.exited(instance, why)
            self._tell(child, wait, why)
            child.wake.wait(wait)

    def _run_once(self, child: WorkerProcess) -> tuple[str, str]:
        """One process, from start to end; returns its instance ("" for none), and how it ended."""
        try:
            process = self._start(child)
        except OSError as error:
            return "", f"cannot be started: {error.strerror}"
        if process is None:
            return "", "not started"
        with process:  # closes its standard input
            unready = self._await_ready(child, process)
            status = process.wait()
        with self._lock:
            registered = child.registered
            child.process = None
            if child.late is not None:
                child.late.cancel()
                child.late = None
        why = unready or ending(status)
        # One that never came up has no better witness than its own last words.
        said = "" if registered else self._logs.last_words(child.id)
        return child.instance, f"{why}; its log ends: {said}" if said else why

    def _await_ready(self, child: WorkerProcess, process: subprocess.Popen[bytes]) -> str:
        """Ends a process that does not register in time; returns why, "" if it did, or ended."""
        end = time.monotonic() + START_TIME
        while not child.registered and child.wanted and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                return ""
        if child.registered or not child.wanted:
            return ""
        process.kill()
        return f"was not ready within {START_TIME:g} s, and was ended"

    def _decide(self, child: WorkerProcess, why: str) -> float | None:
        """Seconds until the next process may start; None if it has died too often."""
        with self._lock:
            if not child.wanted:
                return 0.0
            child.restarts += 1
            wait = 0.0 if child.renewed else child.budget.next(time.monotonic())
            child.become(Phase.CRASH_LOOPING if wait is None else Phase.RESTARTING, why)
            return wait

    def _tell(self, child: WorkerProcess, wait: float | None, why: str) -> None:
        if wait is None:
            text = f"died {Restarts.MOST + 1} times in {Restarts.WINDOW:g} s; last: {why}"
            self._observer.note(
                EventKind.CRASH_LOOPING, child.id, f"{text}; log: {self._logs.file(child.id)}"
            )
        elif child.wanted and not child.renewed:
            self._observer.note(EventKind.RESTARTED, child.id, why)

    def _start(self, child: WorkerProcess) -> subprocess.Popen[bytes] | None:
        with self._lock, self._logs.open(child.id) as log:
            if not child.wanted:
                return None
            child.wake.clear()
            child.renewed = False
            child.frozen = False
            child.registered = False
            child.become(Phase.STARTING, "")
            child.instance = new_instance()
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
