"""Messages on their way to the other end of a pipe: nobody who has one to send waits for it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import IO

import msgspec

from nodes.fleet.keeper.messages import Alive, Output, write_frame

MAX_WAITING_OUTPUT_BYTES = 1 << 20
"""Bytes of workers' output that wait for the pipe; what is more is dropped."""


class Outbox:
    """Writes messages in order, in a thread of its own. For many threads.

    Args:
        pipe: where to.
        idle_s: seconds of silence after which `Alive` is sent; None for never.
        each_look: called at least that often.
    """

    def __init__(
        self,
        pipe: IO[bytes],
        *,
        idle_s: float | None = None,
        each_look: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipe = pipe
        self._idle_s = idle_s
        self._each_look = each_look
        self._queue: queue.SimpleQueue[msgspec.Struct | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: msgspec.Struct) -> None:
        """Sends a message, at once and without waiting."""
        if isinstance(message, Output):
            with self._lock:
                if self._waiting_bytes + len(message.data) > MAX_WAITING_OUTPUT_BYTES:
                    return
                self._waiting_bytes += len(message.data)
        self._queue.put(message)

    def close(self, timeout_s: float) -> None:
        """Sends what is waiting, if it can be sent in that time, and nothing after it."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        # A message that could not be sent is missed: both ends begin anew, with another pipe.
        with contextlib.suppress(OSError, ValueError), self._pipe:
            while (message := self._next()) is not None:
                write_frame(self._pipe, message)
                if isinstance(message, Output):
                    with self._lock:
                        self._waiting_bytes -= len(message.data)

    def _next(self) -> msgspec.Struct | None:
        try:
            message = self._queue.get(timeout=self._idle_s)
        except queue.Empty:
            message = Alive()
        self._each_look()
        return message
