"""What a journal says, for whoever asks: also of masters that ended long ago.

Nothing is written, and nothing is expected of the file: see `nodes.master.journal_file`.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from nodes.errors import DataError
from nodes.master.journal_file import (
    FILE_ERRORS,
    MAX_INTEGER,
    SELECT_EVENTS,
    SELECT_FIGURES,
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
    rows = _read(path, SELECT_EVENTS, "events", last_s, most, own=own)
    return [one for one in _converted(Event, rows) if 0 < one.number <= MAX_INTEGER]


def read_seconds(path: Path, *, last_s: float = math.inf, most: int = 3600) -> list[Second]:
    """The newest figures of a journal; arguments and errors as `read_events`."""
    return _converted(Second, _read(path, SELECT_FIGURES, "figures", last_s, most, own=True))


def _converted(kind: type[T], rows: Iterable[tuple[object, ...]]) -> list[T]:
    """What the rows say; one that says nothing of that kind was damaged, and is left out."""
    found = []
    for row in rows:
        try:
            one = msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
        except msgspec.ValidationError:
            continue
        if is_time(one.at):
            found.append(one)
    return found


def _read(
    path: Path, asked: str, table: str, last_s: float, most: int, *, own: bool
) -> list[tuple[object, ...]]:
    try:
        if not os.path.lexists(path):
            raise DataError(f"there is no journal {path}: no master has run on that port here")
        if own:
            check_owned(path)
        file_identity(path)
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as db:
            db.text_factory = _decoded
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:  # no master has written to it since an older version did
                if table == "figures":
                    asked, table = asked.replace("FROM figures", "FROM seconds"), "seconds"
                steady, order, since = "at", "at", time.time() - last_s
            else:
                steady, order = "steady", "rowid"
                since = steady_now(db, time.time()) - last_s
            rows = db.execute(
                f"{asked} WHERE {steady} >= ? ORDER BY {order} DESC LIMIT ?", (since, most)
            ).fetchall()
    except FILE_ERRORS as error:
        why = explain_file_error(error)
        raise DataError(f"the journal {path} cannot be read: {why}") from error
    return rows[::-1]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
