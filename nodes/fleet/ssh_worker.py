"""A worker's process on a machine that ssh reaches."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

from nodes.fleet.local_machine import describe_end
from nodes.fleet.machine import Ending

SSH_FAILED = 255
"""The exit code of ssh when there is no connection, or none any more."""

NOT_FOUND = 127
"""The exit code of a shell that does not find the program."""

SIGNAL_TIMEOUT_S = 5.0
"""Seconds that a signal's way to the other machine may take."""

KILLED_WITHIN_S = 2.0
"""Seconds after which a killed worker is no longer waited for: its connection is ended."""

SCRIPT = """\
exec 3<&0
{ cat; kill -CONT 0; } <&3 2>/dev/null |
    sh -c 'echo "worker $$"; exec "$@" 2>&1' sh "$@" 3<&- &
wait $!
status=$?
[ $status -ne 255 ] || status=254
exit $status
"""
"""Runs a worker there. It says its pid first. ssh has no other code for a lost connection than for
a process that a signal ended: so the shell waits for the worker, and has a code for each. When the
connection ends, so does the worker's standard input, and a worker that was frozen goes on to notice.
"""

_SAID_PID = re.compile(rb"worker (\d{1,10})\n")
_READ_BYTES = 65536


class SshWorker:
    """A worker elsewhere; see `nodes.fleet.machine.RunningWorker`.

    Args:
        process: the ssh that runs `SCRIPT`; what the script writes is read here.
        output: where that goes on to, a descriptor of this one's own.
        command: ssh's command line up to what is to be run there.
        why_lost: why the machine cannot be reached, where that is known.
        python: what is started there, for a message.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: int,
        *,
        command: Sequence[str],
        why_lost: Callable[[], str],
        python: str,
    ) -> None:
        self._process = process
        self._output = output
        self._command = command
        self._why_lost = why_lost
        self._python = python
        self.pid = 0
        self._reader = threading.Thread(target=self._copy, name="ssh-output", daemon=True)
        self._reader.start()

    def _copy(self) -> None:
        """Passes on what the worker writes, but for its pid."""
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        source = self._process.stdout
        with os.fdopen(self._output, "wb", buffering=0) as output, source:
            first = source.readline(_READ_BYTES)
            said = _SAID_PID.fullmatch(first)
            if said is not None:
                self.pid = int(said[1])
                first = b""
            with contextlib.suppress(OSError):  # a full disk keeps no worker from its work
                output.write(first)
            while part := os.read(source.fileno(), _READ_BYTES):
                with contextlib.suppress(OSError):
                    output.write(part)

    def tell(self, line: bytes) -> None:
        """Writes a line to its standard input."""
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                stdin.write(line)
                stdin.flush()

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """Waits for its end."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(1.0)  # its last words are in the log before its end is told
        if status == SSH_FAILED or status < 0:
            return Ending(self._why_lost() or "the connection to its machine ended", True)
        if status == NOT_FOUND:
            return Ending(f"{self._python} is not there: correct 'python' in the file of machines")
        return Ending(describe_end(128 - status if 128 < status < 160 else status))

    def signal(self, number: int) -> None:
        """Has it signalled, by a connection beside that which it came by."""
        if self._process.poll() is None:
            threading.Thread(target=self._signal, args=(number,), daemon=True).start()

    def _signal(self, number: int) -> None:
        if self.pid:
            done = subprocess.Popen(  # noqa: S603 - no shell here, and numbers there
                [*self._command, f"kill -{int(number)} {self.pid}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                done.wait(SIGNAL_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                done.kill()
                done.wait()
        elif number == signal.SIGTERM:
            self._end_input()  # it has hardly begun, and leaves with its standard input
        if number == signal.SIGKILL:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_WITHIN_S if self.pid else 0.0)
                return
            self._process.kill()

    def _end_input(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def close(self) -> None:
        """Closes its standard input."""
        self._end_input()
