"""This machine, as a machine of a fleet."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Sequence

from nodes.fleet.keeper.messages import MAX_OUTPUT_BYTES
from nodes.fleet.machine import MAX_WORKERS, Ability, Ending, Launch, Sink
from nodes.fleet.program import OUTPUT_ENDS_WITHIN_S, PROGRAM, describe_end, program_environment
from nodes.wire import INSTANCE_VARIABLE


class LocalMachine:
    """This machine; see `nodes.fleet.machine.Machine`.

    Args:
        name: what it is called, by default its own name.
        room: workers that it takes at most.
        program: what is started, before a launch's arguments.
    """

    host = ""
    tls = ""
    master = ""
    lost = ""

    def __init__(
        self,
        name: str = "",
        room: int = MAX_WORKERS,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.name = name or socket.gethostname()
        self.room = room
        self._program = program

    def start(self, launch: Launch, output: Sink) -> LocalWorkerProcess:
        """Starts a worker."""
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            [*self._program, *launch.arguments],
            env=program_environment(**{INSTANCE_VARIABLE: launch.instance}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Its own group, so that Ctrl-C is ours to pass on; but our session: if we end
            # while it is stopped, the system wakes and ends it (POSIX, orphaned groups).
            process_group=0,
        )
        return LocalWorkerProcess(process, output)


class LocalWorkerProcess:
    """A worker's process here; see `nodes.fleet.machine.RunningWorker`."""

    def __init__(self, process: subprocess.Popen[bytes], output: Sink) -> None:
        self._process = process
        self._output = output
        self.pid = process.pid
        self._listener = threading.Thread(target=self._listen, name=f"out-{self.pid}", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Takes what it prints, always: nobody waits for a log."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with self._process.stdout as pipe:
            while data := os.read(pipe.fileno(), MAX_OUTPUT_BYTES):
                self._output.write(data)

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """Waits for its end, and for the end of what it prints."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._listener.join(OUTPUT_ENDS_WITHIN_S)
        return Ending(describe_end(status))

    def signal(self, number: int) -> None:
        """Signals it. (`Popen` never signals a reused pid.)"""
        self._process.send_signal(number)

    def close(self) -> None:
        """Closes its standard input."""
        if self._process.stdin is not None:
            self._process.stdin.close()


class LocalMachines:
    """This machine alone; see `nodes.fleet.machine.Machines`."""

    abilities = frozenset((Ability.SPAWN, Ability.FREEZE, Ability.LOG))

    def __init__(self, machine: LocalMachine | None = None) -> None:
        self._machine = machine or LocalMachine()

    def all(self) -> Sequence[LocalMachine]:
        """The one."""
        return (self._machine,)

    def close(self) -> None:
        """There is nothing to let go of."""
