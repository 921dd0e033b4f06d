"""What a journal says, for whoever asks: also of masters that ended long ago.

Nothing is written, and nothing is expected of the file: see `nodes.master.journal_file`.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from nodes.errors import DataError
from nodes.master.journal_file import (
    FILE_ERRORS,
    MAX_INTEGER,
    SELECT_EVENTS,
    SELECT_FIGURES,
    SELECT_OLD_FIGURES,
    SELECT_OLDEST_FIGURES,
    check_owned,
    explain_file_error,
    file_identity,
    is_time,
    journal_file,
    steady_now,
)
from nodes.wire import Event, Second

T = TypeVar("T", Event, Second)


def find_journal(port: int, host: str = "127.0.0.1") -> Path:
    """Where the journal is of the master that is dialled at that address: its own, or that of one
    that listens on every address.
    """
    own = journal_file(port, host)
    found = (own, journal_file(port, "0.0.0.0"), journal_file(port, "::"))  # noqa: S104 - a name
    return next((path for path in found if os.path.lexists(path)), own)


def read_events(
    path: Path, *, last_s: float = math.inf, most: int = 1000, own: bool = True
) -> list[Event]:
    """The newest events of a journal, in the order in which they were noted.

    Args:
        path: see `find_journal`.
        last_s: seconds to look back.
        most: how many.
        own: whether it is refused if others than this user can write it.

    Raises:
        DataError: there is no journal, or it cannot be read.
    """
    with JournalReader(path, own=own) as reader:
        return list(reader.newest(Event, last_s, most))


def read_seconds(path: Path, *, last_s: float = math.inf, most: int = 3600) -> list[Second]:
    """The newest figures of a journal; arguments and errors as `read_events`."""
    with JournalReader(path) as reader:
        return list(reader.newest(Second, last_s, most))


def _converted(kind: type[T], rows: Iterable[tuple[object, ...]]) -> Iterator[T]:
    """What the rows say; one that says nothing of that kind was damaged, and is left out."""
    for row in rows:
        try:
            one = msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
        except msgspec.ValidationError:
            continue
        if _is_sound(one):
            yield one


def _is_sound(one: Event | Second) -> bool:
    return is_time(one.at) and (isinstance(one, Second) or 0 < one.number <= MAX_INTEGER)


class JournalReader:
    """A journal that is read, as it was when it was opened.

    Args:
        path: see `find_journal`.
        own: whether it is refused if others than this user can write it.

    Raises:
        DataError: there is no journal, or it cannot be read; so do all that read from it.
    """

    def __init__(self, path: Path, *, own: bool = True) -> None:
        self._path = path
        with self._explained():
            if not os.path.lexists(path):
                raise DataError(f"there is no journal {path}: no master has run on that port here")
            if own:
                check_owned(path)
            file_identity(path)
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(address, uri=True, timeout=1.0)
            try:
                self._db.text_factory = _decoded
                self._db.execute("BEGIN")  # what is asked for in turn fits together
                (self._version,) = self._db.execute("PRAGMA user_version").fetchone()
            except BaseException:
                self._db.close()
                raise

    def newest(self, kind: type[T], last_s: float, most: int) -> Iterator[T]:
        """The newest of a kind, in the order in which they were written.

        Args:
            kind: events, or figures.
            last_s: seconds to look back.
            most: how many.
        """
        with self._explained():
            now = time.time()
            if self._version == 0:  # no master has written to it since an older version did
                steady, order = "at", "at"
            else:
                steady, order, now = "steady", "rowid", steady_now(self._db, now)
            rows = self._db.execute(
                f"{self._select(kind)} WHERE {steady} >= ? ORDER BY {order} DESC LIMIT ?",
                (now - last_s, most),
            ).fetchall()
        return _converted(kind, rows[::-1])

    def between(self, kind: type[T], first: float, last: float) -> Iterator[T]:
        """All of a kind whose times by the wall's clock are between these, one by one, in the order
        in which they were written.

        Args:
            kind: events, or figures.
            first, last: Unix time in seconds, both included.
        """
        order = "at" if self._version == 0 else "rowid"
        with self._explained():
            yield from _converted(
                kind,
                self._db.execute(
                    f"{self._select(kind)} WHERE at BETWEEN ? AND ? ORDER BY {order}",
                    (first, last),
                ),
            )

    def _select(self, kind: type[Event] | type[Second]) -> str:
        if kind is Event:
            return SELECT_EVENTS
        if self._version == 0:
            return SELECT_OLDEST_FIGURES
        return SELECT_OLD_FIGURES if self._version < 3 else SELECT_FIGURES

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FILE_ERRORS as error:
            why = explain_file_error(error)
            raise DataError(f"the journal {self._path} cannot be read: {why}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._db.close()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
