"""A stream for logs that nobody waits for: a terminal that is stopped, or a pipe that is not read,
holds up a thread of its own and no other.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TextIO

from nodes.support.units import counted

logger = logging.getLogger("rollcall.log")

MAX_LINES = 10_000
"""Lines that wait to be written; what comes while there are as many is dropped and counted."""

FINISH_TIMEOUT_S = 1.0
"""Seconds that the last lines may take to be written, when all is over."""


class BackgroundStream:
    """Writes to another stream; writing to this one takes no time.

    Args:
        stream: the other.
        most: lines that wait at most.
    """

    def __init__(self, stream: TextIO, *, most: int = MAX_LINES) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | threading.Event] = queue.Queue(most)
        self._dropped = 0
        threading.Thread(target=self._keep_writing, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        """Takes a line."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """There is nothing to be done: lines are written as soon as they can be."""

    def finish(self) -> None:
        """Waits until all is written, but not for long; what comes later is not written."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._lines.put(written, timeout=FINISH_TIMEOUT_S)
            written.wait(FINISH_TIMEOUT_S)

    def _keep_writing(self) -> None:
        while not isinstance(line := self._lines.get(), threading.Event):
            with contextlib.suppress(OSError, ValueError):  # closed, or gone
                self._stream.write(line)
                self._stream.flush()
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                said = counted(dropped, "line")
                logger.warning("%s of this log were dropped, as nobody read it", said)
        line.set()
