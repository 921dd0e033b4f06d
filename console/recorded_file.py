"""A recording that is shown in the place of a cluster, with the events of the journal beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nodes.errors import DataError
from nodes.master.journal_reading import find_journal, read_events
from nodes.master.recording import SUFFIX, Recording
from nodes.wire import Event

MAX_JOURNAL_EVENTS = 20_000
"""Events that are read from the journal at most, the latest."""


class RecordedFile:
    """A recording that is a file; see `console.replay.Source`.

    Args:
        target: its path, or the port of a master of this machine.

    Attributes:
        events: what the journal beside it has, oldest first.

    Raises:
        DataError: it is not there, or nothing of it can be read.
    """

    def __init__(self, target: str) -> None:
        is_port = target.isascii() and target.isdigit()
        path = find_journal(int(target)).with_suffix(SUFFIX) if is_port else Path(target)
        if not is_port and not path.is_file():
            raise DataError(
                f"there is no file {path}: name a recording, or the port of a master of this "
                "machine"
            )
        # What somebody names is looked at, whoever it is from.
        self._recording = Recording.open(path, own=is_port)
        self._span = self._recording.span
        if self._recording.at(self._span[1]) is None:
            self._recording.close()
            raise DataError(f"nothing of {path} can be read: {self._recording.trouble}")
        try:
            self.events: Sequence[Event] = read_events(
                path.with_suffix(".sqlite3"), most=MAX_JOURNAL_EVENTS, own=is_port
            )
        except DataError:
            self.events = ()  # it was copied without its journal

    @property
    def trouble(self) -> str:
        """Why some of it is not shown, "" for nothing."""
        return self._recording.trouble

    def begin(self) -> float:
        """The time of the first snapshot."""
        return self._span[0]

    def end(self) -> float:
        """The time of the last."""
        return self._span[1]

    def cover(self, _first: float, _last: float) -> Recording:
        """All of it."""
        return self._recording

    def close(self) -> None:
        """Lets go of the file."""
        self._recording.close()
