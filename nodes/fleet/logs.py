"""The output of local workers: one file each, read in parts.

A file has one run of its worker after the other; a line before each says when it was started, and
one after it how it ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import IO

from nodes.errors import UnknownWorker
from nodes.support.paths import make_private
from nodes.wire import WORKER_ID

PART = 64 * 1024
"""Bytes of a log that are handed out at once."""

MAX_LOG_BYTES = 5_000_000
"""Bytes from which a log is put aside when its worker is started anew."""

MARK = re.compile(r"--- (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.+) ---")
"""The line before a run, and the one after it: when, and what happened."""

STARTED = "started"
"""What the line before a run says."""

_ID = re.compile(WORKER_ID)

LAST_LINES = 3
LAST_LINES_CHARS = 300
"""Lines and characters of a log that go into the reason why a worker did not come up."""


class Logs:
    """A folder of logs.

    Args:
        folder: made, for its owner only, when the first log is opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, worker_id: str) -> Path:
        """Where the output of the worker of that id goes.

        Raises:
            UnknownWorker: that is no id, but a path perhaps.
        """
        if not _ID.fullmatch(worker_id):
            raise UnknownWorker(f"{worker_id[:80]!r} is no worker's id")
        return self._folder / f"{worker_id}.log"

    def open(self, worker_id: str) -> IO[bytes]:
        """The log of a run to write to; a large one is put aside first."""
        make_private(self._folder)
        path = self.file(worker_id)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(_put_aside(path))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _mark(descriptor, STARTED)
        return os.fdopen(descriptor, "ab")

    def size(self, worker_id: str) -> int:
        """How long the log is, in bytes."""
        try:
            return self.file(worker_id).stat().st_size
        except OSError:
            return 0

    def note_end(self, worker_id: str, how: str) -> None:
        """A run ended; where that cannot be written, it is not."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.file(worker_id), os.O_WRONLY | os.O_APPEND)
            try:
                _mark(descriptor, how)
            finally:
                os.close(descriptor)

    def part(self, worker_id: str, after: int = -1) -> tuple[int, str]:
        """A part of a log, at most `PART` bytes.

        Args:
            worker_id: a worker, running or not.
            after: the place where the part before ended, -1 for the end of the log; where that
                is not long, what was put aside of earlier runs stands before it.

        Returns:
            The place where this part ends, and its text.

        Raises:
            OSError: there is no such log.
        """
        with self.file(worker_id).open("rb") as file:
            end = file.seek(0, 2)
            start = max(0, end - PART) if not 0 <= after <= end else after
            file.seek(start)
            part = file.read(PART)
        earlier = b""
        if after < 0 and start == 0:
            with contextlib.suppress(FileNotFoundError):
                earlier = _tail(_put_aside(self.file(worker_id)), PART - len(part))
        return start + len(part), (earlier + part).decode("utf-8", "replace")

    def last_words(self, worker_id: str) -> str:
        """The last lines of the last run, in one line."""
        try:
            _, text = self.part(worker_id)
        except OSError:
            return ""
        said: list[str] = []
        for line in text.splitlines():
            if MARK.fullmatch(line):
                said.clear()
            elif line.strip():
                said.append(line.strip())
        return " | ".join(said[-LAST_LINES:])[-LAST_LINES_CHARS:]


def _put_aside(path: Path) -> Path:
    return path.with_suffix(".log.1")


def _tail(path: Path, most: int) -> bytes:
    """The end of a file, from the beginning of a line on."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - most))
        part = file.read(most)
    return part if len(part) == end else part.partition(b"\n")[2]


def _mark(descriptor: int, what: str) -> None:
    """Writes the line before a run or after it. A full disk keeps no worker from its work."""
    with contextlib.suppress(OSError):
        os.write(descriptor, f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {what} ---\n".encode())
