"""The output of local workers: one file each, read in parts.

A file has one run of its worker after the other; a line before each says when it was started, and
one after it how it ended.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nodes.errors import UnknownWorker
from nodes.fleet.log_file import LogFile, put_aside
from nodes.support.event_kinds import EventKind
from nodes.wire import WORKER_ID

PART = 64 * 1024
"""Bytes of a log that are handed out at once."""

MARK = re.compile(r"--- (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (.+) ---")
"""The line before a run, and the one after it: when, and what happened."""

STARTED = "started"
"""What the line before a run says."""

_ID = re.compile(WORKER_ID)

LAST_LINES = 3
LAST_LINES_CHARS = 300
"""Lines and characters of a log that go into the reason why a worker did not come up."""


class Logs:
    """A folder of logs. For many threads.

    Args:
        folder: made, for its owner only, when the first log is opened.
        note: told, in an event, when output begins to be dropped, and when that is over.

    Attributes:
        trouble: why output is dropped now, "" if none is.
    """

    def __init__(
        self, folder: Path, note: Callable[[EventKind, str], None] = lambda _kind, _text: None
    ) -> None:
        self.trouble = ""
        self._folder = folder
        self._note = note
        self._lock = threading.Lock()
        self._files: dict[str, LogFile] = {}
        self._troubled: dict[str, str] = {}

    def file(self, worker_id: str) -> Path:
        """Where the output of the worker of that id goes.

        Raises:
            UnknownWorker: that is no id, but a path perhaps.
        """
        if not _ID.fullmatch(worker_id):
            raise UnknownWorker(f"{worker_id[:80]!r} is no worker's id")
        return self._folder / f"{worker_id}.log"

    def begin(self, worker_id: str) -> LogFile:
        """What a run of that worker is written to, after the line that tells of its start."""
        path = self.file(worker_id)
        with self._lock:
            file = self._files.get(worker_id)
            if file is None:
                heard = functools.partial(self._hear, worker_id)
                file = self._files[worker_id] = LogFile(path, heard)
        file.write(_mark(STARTED))
        return file

    def look(self) -> None:
        """Tries again what could not be written."""
        with self._lock:
            files = list(self._files.values())
        for file in files:
            file.look()

    def forget(self, worker_id: str) -> None:
        """That worker has ended for good."""
        with self._lock:
            file = self._files.pop(worker_id, None)
        if file is not None:
            file.close()
            self._hear(worker_id, "")

    def _hear(self, worker_id: str, why: str) -> None:
        """The log of that worker cannot be written, or can again ("")."""
        with self._lock:
            before = self.trouble
            if why:
                self._troubled[worker_id] = why
            else:
                self._troubled.pop(worker_id, None)
            reason = next(iter(self._troubled.values()), "")
            self.trouble = f"what workers print is dropped: {reason}" if reason else ""
            dropped = sum(file.dropped for file in self._files.values())
        if self.trouble and not before:
            self._note(EventKind.OUTPUT_DROPPED, f"{self.trouble}; it belongs in {self._folder}")
        elif before and not self.trouble:
            kept = "what workers print is kept again"
            self._note(EventKind.OUTPUT_KEPT, f"{kept}; {dropped:,} bytes were dropped so far")

    def printed(self, worker_id: str) -> int:
        """How many bytes a worker has printed, kept or not."""
        with self._lock:
            file = self._files.get(worker_id)
        return 0 if file is None else file.taken

    def note_end(self, worker_id: str, how: str) -> None:
        """A run ended."""
        with self._lock:
            file = self._files.get(worker_id)
        if file is not None:
            file.write(_mark(how))
            file.close()

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
                earlier = _tail(put_aside(self.file(worker_id)), PART - len(part))
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


def _tail(path: Path, most: int) -> bytes:
    """The end of a file, from the beginning of a line on."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - most))
        part = file.read(most)
    return part if len(part) == end else part.partition(b"\n")[2]


def _mark(what: str) -> bytes:
    """The line before a run or after it."""
    return f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {what} ---\n".encode()
