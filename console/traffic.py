"""The built-in load: a process of its own that asks sample lookups, until it is told to stop."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from console.messages import TrafficReported
from nodes.support.structs import ready
from nodes.support.supervision import Supervision, supervised_thread


@ready
class Report(msgspec.Struct, frozen=True):
    """What the load says of its last second. Latency in milliseconds."""

    rate: float
    answered: int
    errors: int
    p99_ms: float


class Traffic:
    """Starts and stops it.

    Args:
        post: takes `TrafficReported` to the screen, from any thread.
        tls: the folder of certificates; None for no TLS.
    """

    def __init__(self, post: Callable[[TrafficReported], bool], *, tls: Path | None = None) -> None:
        self._post = post
        self._tls = [] if tls is None else ["--tls", str(tls)]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Event()
        self.rate = 0

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return self._process is not None and self._process.poll() is None

    def start(self, address: str, rate: int) -> None:
        """Asks `rate` lookups a second of the master at `address`, in place of what ran."""
        self.stop()
        self._stopping = threading.Event()
        self.rate = rate
        # It leaves when its standard input ends: with this process, whatever ends it.
        self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            [
                sys.executable,
                "-P",
                "-m",
                "nodes.cli",
                "traffic",
                str(rate),
                "--master",
                address,
                "--json",
                "--leave-with-stdin",
                *self._tls,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._reader = supervised_thread(
            "traffic",
            partial(self._read, self._process),
            Supervision("listening to the load"),
            self._stopping,
        )

    def stop(self) -> None:
        """Ends it, and returns when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        self._stopping.set()
        process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join(2.0)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            try:
                report = msgspec.json.decode(line, type=Report)
            except msgspec.MsgspecError:
                continue  # a line that is none: nothing to show
            text = f"{report.answered}/s answered, {report.errors} errors"
            self._post(TrafficReported(text, running=True))
        self._post(TrafficReported("", running=self._process is not None and self.running))
