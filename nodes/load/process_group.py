"""A load's client processes as one group: started, begun together, listened to, stopped."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import msgspec

from nodes.errors import StartError
from nodes.load.client_process import ClientJob
from nodes.load.runner import LoadStats
from nodes.load.schedule import LoadPlan, spread

MAX_PROCESSES = max(8, 4 * (os.cpu_count() or 1))
"""Processes of a load; more clients share them, as threads. The threads of one process share one
core, and each process takes a part of a second of one to start."""

CLIENT_COMMAND = (sys.executable, "-P", "-m", "nodes.load.client_process")


class ProcessGroup:
    """The clients of a plan, in processes of their own, begun together.

    Args:
        plan: what they do.
        work: with what; see `nodes.load.client_process.Job`.
        command: runs `nodes.load.client_process.run_clients`.

    Raises:
        StartError: one of them ended before it was ready.
    """

    def __init__(
        self,
        plan: LoadPlan,
        work: Any,
        *,
        command: Sequence[str] = CLIENT_COMMAND,
    ) -> None:
        self._parts: queue.SimpleQueue[LoadStats] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._began = self._last = 0.0
        try:
            for part in spread(plan.clients, MAX_PROCESSES):
                self._start(command, ClientJob(plan, part.start, len(part), work))
            for process in self._processes:
                self._await_ready(process)
        except BaseException as error:
            self.close()
            if isinstance(error, BrokenPipeError):
                raise StartError("a client process ended at its start") from error
            raise

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def seconds(self) -> float:
        """From the beginning to the last report."""
        return self._last - self._began

    def _start(self, command: Sequence[str], job: ClientJob) -> None:
        # In a group of its own: Ctrl-C in a terminal is for us, and we stop it.
        process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        self._processes.append(process)
        assert process.stdin is not None  # noqa: S101 - for the type checker
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        if process.stdout.readline() != b"ready\n":
            raise StartError(f"a client process ended at its start, with {process.wait()}")

    def run(self, stopping: threading.Event, *, every: float = 0.25) -> Iterator[LoadStats]:
        """Lets them ask; yields what came of it since the last, about each `every` seconds.

        Once `stopping` is set they finish what is under way.

        Raises:
            StartError: one of them ended before it should.
        """
        self._began = self._last = time.monotonic()
        for process in self._processes:
            thread = threading.Thread(target=self._listen, args=(process,), daemon=True)
            self._threads.append(thread)
            assert process.stdin is not None  # noqa: S101 - for the type checker
            process.stdin.write(b"go\n")
            process.stdin.flush()
            thread.start()
        told = False
        while any(thread.is_alive() for thread in self._threads):
            if stopping.is_set() and not told:
                told = True
                self._stop()
            yield self._since(time.monotonic() + every)
        yield self._since(0.0)
        ended = [process.wait() for process in self._processes]
        if any(ended):
            raise StartError(f"a client process ended with {max(ended, key=abs)}")

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        decode = msgspec.json.Decoder(LoadStats).decode
        for line in process.stdout:
            self._parts.put(decode(line))
            self._last = time.monotonic()

    def _since(self, until: float) -> LoadStats:
        """All that comes until then; sooner, when everybody has ended."""
        stats = LoadStats()
        while True:
            try:
                left = max(0.0, until - time.monotonic())
                stats.merge(self._parts.get(timeout=min(left, 0.05)))
            except queue.Empty:
                if time.monotonic() >= until or not any(t.is_alive() for t in self._threads):
                    return stats

    def _stop(self) -> None:
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101 - for the type checker
            process.stdin.close()

    def close(self) -> None:
        """Ends those that have not ended."""
        for process in self._processes:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101 - for the type checker
            assert process.stdout is not None  # noqa: S101 - for the type checker
            process.stdin.close()
            process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
