"""The side process as its launcher sees it: started, heard, and started anew when it ends."""

from __future__ import annotations

import contextlib
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from nodes.fleet.keeper.messages import BadFrameError, read_frame, write_frame
from nodes.fleet.ray.messages import (
    NO_ANSWER,
    Join,
    Joined,
    Leave,
    Refused,
    Reply,
    Request,
    decode_reply,
)
from nodes.support.backoff import Backoff
from nodes.support.paths import make_private
from nodes.support.supervision import Supervision, supervised_thread

AGAIN = Backoff(first_s=0.5, factor=2.0, longest_s=10.0)
"""Waits before a side process that ended is started anew."""

LASTED_S = 30.0
"""Seconds that one must have lasted for the next wait to be the first again."""

LEAVE_WITHIN_S = 8.0
"""Seconds for it to end the keepers and itself."""

MAX_LOG_BYTES = 1_000_000
"""Bytes from which its log begins anew."""

COMMAND = (sys.executable, "-P", "-m", "nodes.fleet.ray.side")

AWAY_S = 5.0
"""Seconds without one that has joined before its machines are said to be out of reach."""

ENDED = "the process that speaks to Ray ended; its log says why"


class SideProcess:
    """Keeps a side process, from its start until it is closed.

    Args:
        first: what each is told first.
        take: takes in what it says.
        ended: called when one has ended, before there is another.
        log: where it writes what goes wrong.
        command: what it is started with.
        leave_within_s: seconds for it to end the keepers and itself.

    Attributes:
        refusal: why the last one that could not join did not, "" once one has.
        settled: that one has joined, or could not.
    """

    def __init__(
        self,
        first: Join,
        take: Callable[[Reply], None],
        *,
        ended: Callable[[], None],
        log: Path,
        command: Sequence[str] = COMMAND,
        leave_within_s: float = LEAVE_WITHIN_S,
    ) -> None:
        self._first = first
        self._take = take
        self._ended = ended
        self._log = log
        self._command = command
        self._leave_within_s = leave_within_s
        self.refusal = ""
        self.settled = threading.Event()
        self._closing = threading.Event()
        self._joined = False
        self._away_since = time.monotonic()
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None

    def start(self) -> None:
        """Starts the first."""
        supervision = Supervision("the way to Ray")
        self._keeper = supervised_thread("ray-side", self._keep, supervision, self._closing)

    @property
    def unreachable(self) -> str:
        """Why Ray cannot be asked now, "" if it can, or will be in a moment."""
        if self._joined or time.monotonic() - self._away_since < AWAY_S:
            return ""
        return self.refusal or NO_ANSWER

    def send(self, request: Request) -> None:
        """Tells it something, without waiting. What one that ends had not heard is lost: the
        next will be told of all that is not confirmed.
        """
        self._requests.put(request)

    def close(self) -> None:
        """Has it end the keepers and itself; ends it where it does not."""
        self._closing.set()
        self._requests.put(Leave())
        self._wait_ended(self._leave_within_s)
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            self._wait_ended(1.0)

    def _wait_ended(self, timeout_s: float) -> None:
        if self._keeper is not None:
            self._keeper.join(timeout_s)

    def _keep(self) -> None:
        """The thread of the side process: one after the other."""
        attempt = 0
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                self._run()
            except OSError as error:
                self._refused(f"the process that speaks to Ray cannot start: {error.strerror}")
            if not self._joined:
                self._refused(self.refusal or ENDED)
            else:
                self._away_since = time.monotonic()
                attempt = 0 if time.monotonic() - began > LASTED_S else attempt
            self._joined = False
            self._ended()
            self._closing.wait(AGAIN.wait_s(attempt, random.random()))  # noqa: S311 - spreads
            attempt += 1

    def _run(self) -> None:
        """One side process, from start to end."""
        make_private(self._log.parent)
        large = self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES
        with self._log.open("wb" if large else "ab") as log:
            process = self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,  # Ctrl-C is the launcher's to pass on
            )
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        requests.put(self._first)
        self._requests = requests
        if self._closing.is_set():
            requests.put(Leave())
        writer = threading.Thread(target=_write, args=(process.stdin, requests), daemon=True)
        writer.start()
        with process.stdout:
            try:
                while frame := read_frame(process.stdout):
                    self._hear(decode_reply(frame))
            except (BadFrameError, msgspec.DecodeError):
                process.kill()
            except BaseException:
                process.kill()  # nobody listens to it any more
                raise
            finally:
                requests.put(None)
        process.wait()
        writer.join(1.0)

    def _hear(self, reply: Reply) -> None:
        if isinstance(reply, Refused):
            self._refused(reply.why)
            return
        if isinstance(reply, Joined):
            self.refusal = ""
            self._joined = True
            self.settled.set()
        self._take(reply)

    def _refused(self, why: str) -> None:
        self.refusal = why
        self.settled.set()


def _write(pipe: IO[bytes], requests: queue.SimpleQueue[Request | None]) -> None:
    """Writes request after request, until None or the pipe's end."""
    with contextlib.suppress(OSError), pipe:
        while (request := requests.get()) is not None:
            write_frame(pipe, request)
            if isinstance(request, Leave):
                return
