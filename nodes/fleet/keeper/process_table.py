"""The workers of one keeper: processes of this machine, started, signalled, listened to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO

from nodes.fleet.keeper.messages import (
    MAX_OUTPUT_BYTES,
    Ended,
    NotStarted,
    Output,
    Signal,
    Start,
    Started,
    WorkerReport,
)
from nodes.fleet.program import OUTPUT_ENDS_WITHIN_S, PROGRAM, program_environment
from nodes.support.supervision import Supervision, supervise


class ProcessTable:
    """Worker processes of one launcher. For many threads.

    Args:
        report: told what becomes of them, on any thread; it must return at once.
        program: what a worker's arguments follow.
    """

    def __init__(
        self, report: Callable[[WorkerReport], None], program: Sequence[str] = PROGRAM
    ) -> None:
        self._report = report
        self._program = program
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._ended = False

    def start(self, start: Start) -> None:
        """Starts a worker, unless all have been ended."""
        with self._lock:
            if self._ended:
                return
            try:
                process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                    [*self._program, *start.arguments],
                    env=program_environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    # As in `nodes.fleet.local_machine`: if the keeper ends while a worker is
                    # frozen, the system wakes it, and it leaves.
                    process_group=0,
                )
            except OSError as error:
                self._report(NotStarted(start.key, f"cannot be started: {error.strerror}"))
                return
            self._running[start.key] = process
            self._report(Started(start.key, process.pid))
        threading.Thread(
            target=self._attend, args=(start, process), name=f"worker-{start.key}", daemon=True
        ).start()

    def signal(self, order: Signal) -> None:
        """Sends a worker a signal; one that has ended gets none."""
        with self._lock:
            process = self._running.get(order.key)
        if process is not None:
            process.send_signal(order.signal)

    def tell(self, secrets: bytes) -> None:
        """Writes more on every worker's standard input."""
        with self._lock:
            running = list(self._running.values())
        for process in running:
            _write(process, secrets)

    def end(self) -> None:
        """Ends every worker at once, and starts no more."""
        with self._lock:
            self._ended = True
            running = list(self._running.values())
        for process in running:
            process.kill()

    def _attend(self, start: Start, process: subprocess.Popen[bytes]) -> None:
        """The thread of one worker, until its end is reported."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - pipes
        reader = threading.Thread(
            target=self._listen, args=(start.key, process.stdout), daemon=True
        )
        reader.start()
        _write(process, start.secrets)
        status = process.wait()
        reader.join(OUTPUT_ENDS_WITHIN_S)
        with contextlib.suppress(OSError):
            process.stdin.close()
        with self._lock:
            del self._running[start.key]
        self._report(Ended(start.key, status))

    def _listen(self, key: int, output: IO[bytes]) -> None:
        """Passes on what a worker prints: one that is not listened to would wait in the end."""

        def listen() -> None:
            while data := os.read(output.fileno(), MAX_OUTPUT_BYTES):
                self._report(Output(key, data))

        with output:
            supervise(listen, Supervision("listening to a worker"), threading.Event())


def _write(process: subprocess.Popen[bytes], secrets: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(OSError, ValueError):  # it has ended
        process.stdin.write(secrets)
        process.stdin.flush()
