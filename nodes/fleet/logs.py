"""The output of local workers: one file each, read in parts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

from nodes.errors import UnknownWorker
from nodes.support.paths import make_private
from nodes.wire import WORKER_ID

PART = 64 * 1024
"""Bytes of a log that are handed out at once."""

MAX_LOG_BYTES = 5_000_000
"""Bytes from which a log is put aside when its worker is started anew."""

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
        """The log to write to; a large one is put aside first."""
        make_private(self._folder)
        path = self.file(worker_id)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def part(self, worker_id: str, after: int = -1) -> tuple[int, str]:
        """A part of a log, at most `PART` bytes.

        Args:
            worker_id: a worker, running or not.
            after: the place where the part before ended, -1 for the end of the log.

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
        return start + len(part), part.decode("utf-8", "replace")

    def last_words(self, worker_id: str, after: int = 0) -> str:
        """The last lines that were written behind the place `after`, in one line."""
        try:
            end, text = self.part(worker_id)
        except OSError:
            return ""
        fresh = text.encode()[-max(0, end - after) :].decode("utf-8", "replace")
        lines = [line.strip() for line in fresh.splitlines() if line.strip()]
        return " | ".join(lines[-LAST_LINES:])[-LAST_LINES_CHARS:]
