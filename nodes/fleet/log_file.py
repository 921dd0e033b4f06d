"""A worker's log as it is written: bounded at every moment, and in nobody's way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nodes.support.files import OWNER_ONLY
from nodes.support.os_errors import explain_os_error
from nodes.support.paths import make_private

MAX_LOG_BYTES = 5_000_000
"""Bytes of a log; what was written before is put aside, as much again, and then forgotten."""

RETRY_EVERY_S = 1.0
"""Seconds after which a log that could not be written is tried again."""


class LogFile:
    """The log of one worker. For many threads; nothing here raises or waits for long.

    Where it cannot be written, what comes is dropped and counted, until it can. Where it was
    removed, it is made anew.

    Args:
        path: where it is; its folder is made, for its owner only.
        troubled: told why nothing can be written, "" once it can, whenever that changes.
        clock: monotonic, seconds.

    Attributes:
        taken: bytes that came, the dropped ones as well.
        dropped: bytes that were dropped.
    """

    def __init__(
        self,
        path: Path,
        troubled: Callable[[str], None] = lambda _why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = 0
        self.dropped = 0
        self._path = path
        self._troubled = troubled
        self._clock = clock
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._trouble = ""
        self._retry_at = 0.0
        self._untold = 0

    def write(self, data: bytes) -> None:
        """Adds to it; what finds no room is dropped."""
        with self._lock:
            left = data
            self.taken += len(data)
            try:
                if not self._trouble or self._clock() >= self._retry_at:
                    left = self._add(data)
            except OSError as error:
                self._fail(error)
            self.dropped += len(left)
            self._untold += len(left)

    def look(self) -> None:
        """Tries again what could not be written, if it is time: who says nothing more is not said
        to be dropped.
        """
        if self._trouble:
            self.write(b"")

    def close(self) -> None:
        """Lets go of the file; whatever is written later opens it again."""
        with self._lock:
            self._close()

    def _add(self, data: bytes) -> bytes:
        """Adds as much as there is room for at once; returns what is left of it."""
        descriptor = self._open(len(data))
        if self._untold:
            self._write_all(descriptor, b"(%d bytes were dropped here)\n" % self._untold)
            self._untold = 0
        left = self._write_all(descriptor, data)
        if self._trouble:
            self._trouble = ""
            self._troubled("")
        return left

    def _write_all(self, descriptor: int, data: bytes) -> bytes:
        while data:
            data = data[os.write(descriptor, data) :]
        return data

    def _open(self, more: int) -> int:
        """The descriptor of the file, in which there is room for so many bytes."""
        if self._descriptor is not None:
            now = os.fstat(self._descriptor)
            if now.st_nlink and now.st_size + more <= MAX_LOG_BYTES:
                return self._descriptor
            self._close()
        make_private(self._path.parent)
        if self._path.exists() and self._path.stat().st_size + more > MAX_LOG_BYTES:
            self._path.replace(put_aside(self._path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, OWNER_ONLY)
        return self._descriptor

    def _fail(self, error: OSError) -> None:
        self._close()
        self._retry_at = self._clock() + RETRY_EVERY_S
        if not self._trouble:
            self._trouble = explain_os_error(error)
            self._troubled(self._trouble)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def put_aside(path: Path) -> Path:
    """Where what was written before is."""
    return path.with_suffix(".log.1")
