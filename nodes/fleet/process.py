"""The handle on one worker of a fleet: its present process, and what its supervisor means to do."""

from __future__ import annotations

import threading

from nodes.fleet.machine import Machine, RunningWorker
from nodes.fleet.restarts import Restarts


class WorkerProcess:
    """One worker, across the processes that it is in turn.

    What the worker is, its master knows, from what the supervisor reports.

    Args:
        worker_id: its id.
        home: the machine that it belongs on; "" for the one that it is first placed on.
    """

    def __init__(self, worker_id: str, home: str = "") -> None:
        self.id = worker_id
        self.home = home
        self.machine: Machine | None = None
        """Where its present process runs, or the one before did; None while it waits for room."""
        self.process: RunningWorker | None = None
        self.instance = ""
        """The secret by which its present process is known, whoever else has its pid elsewhere."""
        self.budget = Restarts()
        self.wanted = True
        """Another process is to follow the present one."""
        self.renewed = False
        """Its process was told to leave so that a new one takes its place."""
        self.crash_looping = False
        """It died too often: its next process is a while away, unless an operator says so."""
        self.wake = threading.Event()
        self.thread: threading.Thread | None = None
        self.late: threading.Timer | None = None

    @property
    def at(self) -> str:
        """The name of its machine, "" while it waits for room."""
        return self.machine.name if self.machine is not None else ""

    def send(self, number: int) -> None:
        """Signals its process, if there is one."""
        process = self.process
        if process is not None:
            process.signal(number)
