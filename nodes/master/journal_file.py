"""A journal's file: an SQLite database of events and of the figures of each second.

Rows lie in the order in which they were written, and each has its time by a steady clock beside
that of the wall: however the latter is set, nothing is shuffled, and nothing becomes old by it.
Nothing is expected of the file but that it is there: anybody may have changed any byte.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from nodes.support.files import OWNER_ONLY
from nodes.support.os_errors import explain_os_error
from nodes.support.ownership import ExposedFileError, check_unaltered
from nodes.support.paths import address_stem, make_private, state_dir
from nodes.wire import Event, Second

SUFFIX = ".sqlite3"

KEEP_SECONDS = 7 * 86400
"""Seconds whose figures are kept, of those in which the master ran, and the events of that time."""

EVENTS_PER_WRITE = 500
"""Events of one transaction, after which its bytes are looked at."""

APPLICATION_ID = 0x524F4C43
VERSION = 2
"""By which the file says what it is. One of version 0 has its events without a steady time, and
its figures in a table `seconds`, by the time of the wall."""

MAX_INTEGER = 2**63 - 1
LATEST = 253_402_300_799.0
"""What SQLite can hold; and the last second of the year 9999, in Unix time."""

MAX_TEXT_CHARS = 4000
"""Characters of a text that are read; none that is written has as many."""

_PASSING = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_AUTH,
    )
)
"""Errors that the file is not to blame for, by SQLite's numbers."""

_FIGURES = ", ".join(Second.__struct_fields__)

_TABLES = f"""
CREATE TABLE IF NOT EXISTS events (at REAL NOT NULL, number INTEGER NOT NULL,
    kind TEXT NOT NULL, worker TEXT NOT NULL, text TEXT NOT NULL, steady REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS figures (row INTEGER PRIMARY KEY, steady REAL NOT NULL,
    at REAL NOT NULL, lookups_per_s REAL NOT NULL,
    p50_ms REAL, p99_ms REAL, in_flight INTEGER NOT NULL, answered INTEGER NOT NULL,
    errors INTEGER NOT NULL, reroutes INTEGER NOT NULL, hedges INTEGER NOT NULL,
    up INTEGER NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_UPGRADE = f"""
BEGIN;
ALTER TABLE events ADD COLUMN steady REAL NOT NULL DEFAULT 0;
UPDATE events SET steady = at;
{_TABLES}
INSERT INTO figures (steady, {_FIGURES}) SELECT at, {_FIGURES} FROM seconds ORDER BY at;
DROP TABLE seconds;
DROP INDEX IF EXISTS events_at;
COMMIT;
"""  # noqa: S608 - the names of our own fields


class UnusableError(Exception):
    """The file is none that a journal can be written to, nor will be; and why."""


# What SQLite says is decoded, and may quote bytes of the file.
FILE_ERRORS = (sqlite3.Error, OSError, MemoryError, UnicodeDecodeError, UnusableError)
"""What may come of a journal's file."""


class Noted(NamedTuple):
    """An event, and when it was noted, by the steady clock."""

    event: Event
    steady: float


def journal_file(port: int, host: str = "127.0.0.1") -> Path:
    """Where the journal of the master at that address is."""
    return state_dir() / "journal" / f"{address_stem(host, port)}{SUFFIX}"


def is_damage(error: Exception, path: Path) -> bool:
    """Whether the file is to blame: it will be no better when it is tried again."""
    if isinstance(error, UnusableError | UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_READONLY:  # the file may say so of itself
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code & 0xFF not in _PASSING or code == sqlite3.SQLITE_IOERR_SHORT_READ


class JournalFile:
    """A journal that is written. For one thread.

    Args:
        path: the file; it and its folder are made, for their owner only.
        clock: Unix time in seconds.
        steady: seconds of a clock that is never set.
        keep_bytes: that the file may have; the oldest goes first.

    Raises:
        UnusableError: it is something else than a journal.
        one of `FILE_ERRORS`: it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        steady: Callable[[], float],
        keep_bytes: int,
    ) -> None:
        self._path = path
        self._steady = steady
        self._keep_bytes = keep_bytes
        make_private(path.parent)
        check_owned(path)
        self._identity = file_identity(path, create=True)
        self._db = sqlite3.connect(path, timeout=0.5)
        try:
            _prepare(self._db)
            # Where the steady clock is now, for this file: it went on while nobody wrote.
            self._ahead = steady_now(self._db, clock()) - steady()
        except BaseException:
            self._db.close()
            raise

    def is_in_place(self) -> bool:
        """Whether the file is still where it was opened: not removed, nor another in its place."""
        try:
            return file_identity(self._path) == self._identity
        except (OSError, UnusableError):
            return False

    def write(self, batch: Sequence[Noted], second: Second) -> None:
        """Writes all of it, or raises; the oldest goes if that makes it too large.

        Raises:
            one of `FILE_ERRORS`: it cannot be written.
        """
        db, ahead = self._db, self._ahead
        for start in range(0, max(1, len(batch)), EVENTS_PER_WRITE):
            some = batch[start : start + EVENTS_PER_WRITE]
            rows = [_row_of(one.event, one.steady + ahead) for one in some]
            with db:
                db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._bound()
        values = (self._steady() + ahead, *_storable(msgspec.structs.astuple(second)))
        with db:
            db.execute(f"INSERT INTO figures VALUES (NULL, {_marks(values)})", values)  # noqa: S608

    def clean(self) -> None:
        """Deletes what is too old: of what more has been written since, not what a clock says."""
        db = self._db
        with db:
            # Of many: only then there is something to compare with.
            deleted = db.execute(
                "DELETE FROM figures WHERE row <= (SELECT max(row) FROM figures) - ?",
                (KEEP_SECONDS,),
            ).rowcount
            if deleted > 0:
                db.execute(
                    "DELETE FROM events WHERE steady < "
                    "(SELECT steady FROM figures ORDER BY row LIMIT 1)"
                )
        self._bound()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _bound(self) -> None:
        """As long as it is too large, deletes the oldest tenth."""
        db = self._db
        for _ in range(20):
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            (size,) = db.execute("PRAGMA page_size").fetchone()
            if pages * size <= self._keep_bytes:
                return
            with db:
                for table in ("events", "figures"):
                    db.execute(
                        # These two names are all that is put in.
                        f"DELETE FROM {table} WHERE rowid <= (SELECT rowid FROM {table} "  # noqa: S608
                        f"ORDER BY rowid LIMIT 1 OFFSET (SELECT count(*) / 10 FROM {table}))"
                    )
            # As a script: `execute` would take one step of it, which frees one page.
            db.executescript("PRAGMA incremental_vacuum")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Closes it."""
        self._db.close()


def file_identity(path: Path, *, create: bool = False) -> tuple[int, int]:
    """Which file that is. Raises `UnusableError` if it, or one beside it, is no file at all."""
    for beside in (path, *sidecars(path)):
        try:
            status = beside.stat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError("there is something else than a file in its place")
    if create:
        # Not where it is there: to close another descriptor of it would end SQLite's locks.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
    status = path.stat()
    return status.st_dev, status.st_ino


def check_owned(path: Path) -> None:
    """Raises `UnusableError` if others than this user can write the file, or one beside it."""
    for beside in (path, *sidecars(path)):
        with suppress(FileNotFoundError):
            try:
                check_unaltered(beside, beside.stat())
            except ExposedFileError as error:
                which = "it" if beside == path else beside.name
                raise UnusableError(f"{which} {error.why}") from None


def sidecars(path: Path) -> list[Path]:
    """The files that SQLite has beside a database."""
    return [path.with_name(f"{path.name}{tail}") for tail in ("-wal", "-shm", "-journal")]


def _prepare(db: sqlite3.Connection) -> None:
    """Makes sure that it is a whole journal, of this version or made so."""
    (checked,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if checked != "ok":
        raise UnusableError("it is damaged")
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application not in (0, APPLICATION_ID) or version not in (0, VERSION):
        raise UnusableError("it is of another program, or another version of this one")
    if version == 0 and tables not in (set(), {"events", "seconds"}):
        raise UnusableError("it is of another program")
    if not tables:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 4000000")
    if version == 0 and tables:
        db.executescript(_UPGRADE)
    elif version == 0:
        db.executescript(f"BEGIN; {_TABLES} COMMIT;")
    for asked in (SELECT_EVENTS, SELECT_FIGURES):
        db.execute(f"{asked} WHERE steady >= 0 ORDER BY rowid LIMIT 0").fetchall()


SELECT_EVENTS = f"SELECT number, at, kind, worker, substr(text, 1, {MAX_TEXT_CHARS}) FROM events"  # noqa: S608
SELECT_FIGURES = f"SELECT {_FIGURES} FROM figures"  # noqa: S608


def steady_now(db: sqlite3.Connection, wall: float) -> float:
    """What the steady clock of a file shows now: where it was when it was written last, and on by
    what the wall's has gone on; that is not always true, and does no harm.
    """
    last = db.execute("SELECT at, steady FROM figures ORDER BY row DESC LIMIT 1").fetchone()
    if last is None or not all(is_time(one) for one in last):
        return wall
    at, steady = last
    return float(steady + max(0.0, wall - at))


def is_time(value: object) -> bool:
    """Whether that is a time, as far as a file may be believed."""
    return isinstance(value, int | float) and 0.0 <= value <= LATEST


def _storable(values: Iterable[float | None]) -> Iterator[float | None]:
    """Numbers as SQLite can hold them."""
    for value in values:
        if value is None or -MAX_INTEGER <= value <= MAX_INTEGER:
            yield value
        else:  # infinite ones and those that are no numbers as well
            yield MAX_INTEGER if value > 0 else 0


def _row_of(event: Event, steady: float) -> tuple[object, ...]:
    numbers = _storable((event.at, event.number))
    return (*numbers, str(event.kind), event.worker, event.text, steady)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def explain_file_error(error: Exception) -> str:
    """Why a journal's file cannot be used, in words."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, UnicodeDecodeError):
        return "it is damaged"
    return explain_os_error(error)
