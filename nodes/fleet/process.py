"""One local worker, across the processes that it is in turn."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from enum import StrEnum
from typing import NamedTuple

from nodes.fleet.restarts import Restarts


class Phase(StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    CRASH_LOOPING = "crash-looping"
    STOPPING = "stopping"


class ProcessView(NamedTuple):
    """One local worker as its launcher sees it. `since` is on the monotonic clock."""

    id: str
    pid: int
    phase: Phase
    why: str
    since: float
    restarts: int
    frozen: bool


class WorkerProcess:
    """One worker that is wanted, across all the processes that it is in turn."""

    def __init__(self, worker_id: str, now: float) -> None:
        self.id = worker_id
        self.process: subprocess.Popen[bytes] | None = None
        self.instance = ""
        """The secret by which its present process is known, whoever else has its pid elsewhere."""
        self.phase = Phase.STARTING
        self.why = ""
        self.since = now
        self.restarts = 0
        self.frozen = False
        self.registered = False
        """Its present process has registered with the master."""
        self.budget = Restarts()
        self.wanted = True
        self.renewed = False
        """Its process was told to leave so that a new one takes its place."""
        self.wake = threading.Event()
        self.thread: threading.Thread | None = None
        self.late: threading.Timer | None = None

    def become(self, phase: Phase, why: str) -> None:
        """Enters a phase, for the reason `why`."""
        self.phase = phase
        self.why = why
        self.since = time.monotonic()

    def send(self, number: int) -> None:
        """Signals its process, if there is one. (`Popen` never signals a reused pid.)"""
        process = self.process
        if process is not None:
            process.send_signal(number)

    def view(self) -> ProcessView:
        """What others may see of it."""
        pid = self.process.pid if self.process is not None else 0
        return ProcessView(
            self.id, pid, self.phase, self.why, self.since, self.restarts, self.frozen
        )


def ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
