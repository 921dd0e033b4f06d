"""The process of one local worker: one after the other, for as long as it is wanted."""

from __future__ import annotations

import signal
import subprocess
import threading

from nodes.fleet.restarts import Restarts


class WorkerProcess:
    """The handle on one local worker's process, and what its supervisor means to do with it.

    What the worker is, its master knows, from what the supervisor reports.
    """

    def __init__(self, worker_id: str, machine: str) -> None:
        self.id = worker_id
        self.machine = machine
        self.process: subprocess.Popen[bytes] | None = None
        self.instance = ""
        """The secret by which its present process is known, whoever else has its pid elsewhere."""
        self.budget = Restarts()
        self.wanted = True
        """Another process is to follow the present one."""
        self.renewed = False
        """Its process was told to leave so that a new one takes its place."""
        self.crash_looping = False
        """It died too often: no process is started until an operator says so."""
        self.wake = threading.Event()
        self.thread: threading.Thread | None = None
        self.late: threading.Timer | None = None

    def send(self, number: int) -> None:
        """Signals its process, if there is one. (`Popen` never signals a reused pid.)"""
        process = self.process
        if process is not None:
            process.send_signal(number)


def ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
