"""What happened, kept on disk: a master's events and its figures of each second."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from nodes.errors import DataError
from nodes.master.recorder import Recorder
from nodes.routing import State
from nodes.support.os_errors import explain_os_error
from nodes.support.paths import make_private, state_dir
from nodes.wire import ClusterSnapshot, Event, Second

logger = logging.getLogger("rollcall.journal")

WRITE_EVERY_S = 1.0
"""Seconds between two writes."""

MAX_WAITING_EVENTS = 10_000
"""Events that wait to be written at most; more are counted as dropped."""

KEEP_DAYS = 7.0
KEEP_BYTES = 50_000_000
CLEAN_EVERY_S = 600.0
"""Days and bytes that are kept, and seconds between two looks at what is too old."""

MAX_RETRY_S = 30.0
"""Seconds after which a journal that cannot be written is tried again at the latest."""

_TABLES = """
CREATE TABLE IF NOT EXISTS events (at REAL NOT NULL, number INTEGER NOT NULL,
    kind TEXT NOT NULL, worker TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS seconds (at REAL PRIMARY KEY, lookups_per_s REAL NOT NULL,
    p50_ms REAL, p99_ms REAL, in_flight INTEGER NOT NULL, answered INTEGER NOT NULL,
    errors INTEGER NOT NULL, reroutes INTEGER NOT NULL, hedges INTEGER NOT NULL,
    up INTEGER NOT NULL) WITHOUT ROWID;
"""


def second_of(snapshot: ClusterSnapshot) -> Second:
    """The figures of a snapshot that are written down."""
    return Second(
        at=snapshot.taken_at,
        lookups_per_s=snapshot.lookups_per_s,
        p50_ms=snapshot.p50_ms,
        p99_ms=snapshot.p99_ms,
        in_flight=snapshot.in_flight,
        answered=snapshot.answered,
        errors=snapshot.errors,
        reroutes=snapshot.reroutes,
        hedges=snapshot.hedges,
        up=sum(worker.state == State.UP for worker in snapshot.workers),
    )


def journal_file(port: int) -> Path:
    """Where the journal of the master on that port is."""
    return state_dir() / "journal" / f"{port}.sqlite3"


class Journal:
    """Writes in a thread of its own; nothing that happens to the file disturbs the caller.

    Args:
        path: the file; it and its folder are made, for their owner only.
        take_snapshot: takes one of now; asked each second.
        recorder: is given each snapshot; None for no recording.
        clock: Unix time in seconds.
        keep_bytes: that the file may have; the oldest goes first.
        write_every_s: seconds between two writes.

    Attributes:
        trouble: why nothing can be written at present, "" when it can.
        dropped: events lost to trouble.
    """

    def __init__(
        self,
        path: Path,
        take_snapshot: Callable[[], ClusterSnapshot],
        *,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.time,
        keep_bytes: int = KEEP_BYTES,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        self.path = path
        self.trouble = ""
        self.dropped = 0
        self._take_snapshot = take_snapshot
        self._recorder = recorder
        self._clock = clock
        self._keep_bytes = keep_bytes
        self._write_every_s = write_every_s
        self._cleaned = 0.0
        self._waiting: queue.Queue[Event] = queue.Queue(MAX_WAITING_EVENTS)
        self._stopping = threading.Event()
        self._db: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def note(self, event: Event) -> None:
        """Takes an event down; returns at once, whatever the state of the disk."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    @property
    def losses(self) -> str:
        """What its reader will miss, in words: the trouble it is in, the events it has lost; and
        the same of the recording.
        """
        lost = f"{self.dropped} event(s) are missing from the journal" if self.dropped else ""
        recording = "" if self._recorder is None else self._recorder.losses
        return "; ".join(part for part in (self.trouble, lost, recording) if part)

    def close(self) -> None:
        """Writes what waits, if it can be written, and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        batch: list[Event] = []
        wait = self._write_every_s
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(wait)
            batch += self._taken(MAX_WAITING_EVENTS - len(batch))
            snapshot = self._take_snapshot()
            if self._recorder is not None:
                self._recorder.add(snapshot)
            try:
                self._write(batch, second_of(snapshot))
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
                wait = min(MAX_RETRY_S, wait * 2)
            else:
                if self.trouble:
                    logger.warning("the journal is written again")
                self.trouble = ""
                batch = []
                wait = self._write_every_s
        if self._recorder is not None:
            self._recorder.close()
        self._let_go()

    def _taken(self, most: int) -> list[Event]:
        taken: list[Event] = []
        while len(taken) < most:
            try:
                taken.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return taken

    def _write(self, batch: list[Event], second: Second) -> None:
        db = self._db or self._open()
        now = self._clock()
        with db:
            db.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                [(event.at, event.number, event.kind, event.worker, event.text) for event in batch],
            )
            db.execute(
                "INSERT OR REPLACE INTO seconds VALUES (?,?,?,?,?,?,?,?,?,?)",
                msgspec.structs.astuple(second),
            )
        if not 0 <= now - self._cleaned < CLEAN_EVERY_S:
            self._clean(db, now)
            self._cleaned = now

    def _open(self) -> sqlite3.Connection:
        make_private(self.path.parent)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        # A lock that somebody holds is waited for here, where nobody waits for us.
        db = sqlite3.connect(self.path, timeout=0.5)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_TABLES)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _clean(self, db: sqlite3.Connection, now: float) -> None:
        """Deletes what is too old and, as long as it is too much, the oldest tenth."""
        before = now - KEEP_DAYS * 86400.0
        with db:
            db.execute("DELETE FROM events WHERE at < ?", (before,))
            db.execute("DELETE FROM seconds WHERE at < ?", (before,))
        for _ in range(20):
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            (size,) = db.execute("PRAGMA page_size").fetchone()
            if pages * size <= self._keep_bytes:
                break
            with db:
                for table in ("events", "seconds"):
                    db.execute(
                        # These two names are all that is put in.
                        f"DELETE FROM {table} WHERE at <= (SELECT at FROM {table} "  # noqa: S608
                        "ORDER BY at "
                        f"LIMIT 1 OFFSET (SELECT count(*) / 10 FROM {table}))"
                    )
            # As a script: `execute` would take one step of it, which frees one page.
            db.executescript("PRAGMA incremental_vacuum")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        trouble = f"the journal {self.path} cannot be written: {explain_os_error(error)}"
        if trouble != self.trouble:
            logger.warning("%s; lookups are not affected", trouble)
        self.trouble = trouble
        self._let_go()
        # A lock or a full disk is an OperationalError, and passes; this does not.
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            self._put_aside()

    def _put_aside(self) -> None:
        try:
            self.path.replace(self.path.with_suffix(".damaged"))
            for tail in ("-wal", "-shm"):
                self.path.with_name(self.path.name + tail).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the damaged journal cannot be put aside: %s", explain_os_error(error))

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = None


def read_events(path: Path, *, since: float = 0.0, most: int = 1000) -> list[Event]:
    """The newest events of a journal.

    Args:
        path: see `journal_file`.
        since: Unix time in seconds; older ones are left out.
        most: how many.

    Raises:
        DataError: there is no journal, or it cannot be read.
    """
    rows = _read(path, "number, at, kind, worker, text FROM events", since, most)
    return [msgspec.convert(_named(Event, row), Event) for row in rows]


def read_seconds(path: Path, *, since: float = 0.0, most: int = 3600) -> list[Second]:
    """The newest figures of a journal; arguments and errors as `read_events`."""
    fields = ", ".join(Second.__struct_fields__)
    rows = _read(path, f"{fields} FROM seconds", since, most)
    return [msgspec.convert(_named(Second, row), Second) for row in rows]


def _named(kind: type[msgspec.Struct], row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(kind.__struct_fields__, row, strict=True))


def _read(path: Path, what: str, since: float, most: int) -> list[tuple[object, ...]]:
    if not path.is_file():
        raise DataError(f"there is no journal {path}: no master has run on that port here")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                f"SELECT {what} WHERE at >= ? ORDER BY at DESC, 1 DESC LIMIT ?", (since, most)
            ).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"the journal {path} cannot be read: {error}") from error
    return rows[::-1]
