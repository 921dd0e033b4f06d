"""The reader of catalogs in SQLite files: opens one, finds records and suggests values."""

from __future__ import annotations

import os
import sqlite3
import struct
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fcntl import LOCK_SH, flock
from itertools import islice
from pathlib import Path
from types import TracebackType

import msgspec

from nodes.catalog.arguments import Argument, coerce, usage
from nodes.catalog.finding import Runs, finder
from nodes.catalog.model import EXACT, CatalogInfo, Page
from nodes.catalog.paging import PageBuilder
from nodes.catalog.questions import (
    SLICE_RECORDS,
    Questions,
    check_limit,
    prefix_ranges,
)
from nodes.catalog.seal import break_seal, is_sealed
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION, SqlSchema
from nodes.catalog.word_index import check_words
from nodes.errors import BadRequest, DataError
from nodes.support.slices import Sliced, finish, single

_HEADER = struct.Struct(">16sH10xI28xI4xI28x")  # magic, page size, pages, user version, application
_PING_STEP_RECORDS = 7919
_PAGE_CACHE_KIB = 2048
"""SQLite's page cache of each reader: the upper levels of every index, and pages of a long answer.
The rest is in the system's cache, which all workers share."""
_SQLITE_MAGIC = b"SQLite format 3\0"
_FAST_TYPES = {"text": str, "integer": int}
_TOP: dict[str, str | bytes] = {"text": b"", "integer": ""}
"""The upper end of all values of a type: to SQLite every number is below every text, and every
text below every blob."""
_DAMAGE_ERRORS = (sqlite3.Error, UnicodeDecodeError, TypeError, IndexError)
"""What reading a damaged file may raise: rows and messages can hold anything then."""
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
"""What SQLite says of a file that is not as it was; other errors of it are not the file's."""
_CHANGED = "its file was changed, and nothing should change it"


class SqliteCatalog:
    """An open file: cheap to open whatever its size, safe to share between threads. Once it is
    open, it is read whatever becomes of its path.
    """

    def __init__(self, info: CatalogInfo, descriptor: int, db: sqlite3.Connection) -> None:
        """Take over `descriptor`, whose lock keeps the file from being evicted, and `db`."""
        self.info = info
        self.descriptor = descriptor
        self._db: sqlite3.Connection | None = db
        self._release = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: str | Path) -> SqliteCatalog:
        """Open the catalog in a file.

        Raises:
            DataError: it is missing or damaged.
        """
        where = Path(path).absolute()  # the working directory may change before a reader opens it
        try:
            descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{where} cannot be opened: {error.strerror or error}") from None
        try:
            with suppress(OSError):  # without locks on this file system, it is unprotected
                flock(descriptor, LOCK_SH)
            size = _check_header(descriptor, where)
            db = _connect(where)
            try:
                info = msgspec.structs.replace(_read_info(db, where), path=str(where), bytes=size)
                check_words(db, SqlSchema(info.lookups).words.values())
            except BaseException:
                db.close()
                raise
        except BaseException:
            os.close(descriptor)
            raise
        return cls(info, descriptor, db)

    @property
    def is_intact(self) -> bool:
        """Whether the file is open, and as it was built."""
        return self._release.alive and is_sealed(self.descriptor)

    def close(self) -> None:
        """Release the file, which may then be evicted once its readers are closed as well."""
        db, self._db = self._db, None
        if db is not None:
            db.close()
        self._release()

    def other_version(self, version: str) -> Sliced[SqliteCatalog]:
        """See `nodes.catalog.protocol`: versions lie beside each other under their names, so that
        a worker that started later has the earlier ones as well.
        """
        beside = Path(self.info.path).with_name(f"{version}.db")
        return single(lambda: SqliteCatalog.open(beside))

    def reader(self) -> SqliteReader:
        """A reader with its own connection; one for each thread. Close it after use. The first
        needs no path: it has the connection that the catalog was opened with.
        """
        db, self._db = self._db, None
        return SqliteReader(
            self.info, os.dup(self.descriptor), db or _connect(Path(self.info.path))
        )


class SqliteReader:
    """A connection to a catalog, for one thread; also a context manager that closes it."""

    def __init__(self, info: CatalogInfo, descriptor: int, db: sqlite3.Connection) -> None:
        """Take over the open file and the connection to it."""
        self._info = info
        self._descriptor = descriptor
        self._release = weakref.finalize(self, os.close, descriptor)
        self._schema = schema = SqlSchema(info.lookups)
        self._finders = {
            lookup.name: finder(lookup, schema, info.records) for lookup in info.lookups
        }
        self._singles = {
            lookup.name: (
                tuple(_FAST_TYPES[kind] for kind in lookup.types),
                schema.find(lookup.fields),
            )
            for lookup in info.lookups
            if lookup.kind == EXACT
            and not lookup.folded
            and _FAST_TYPES.keys() >= set(lookup.types)
        }
        self._pinged = schema.ping(info.lookups)
        self._questions = Questions(info.lookups)
        self._last_pinged = 0
        self._db = db

    def __enter__(self) -> SqliteReader:
        """The reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the reader."""
        self.close()

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._db.close()
        self._release()

    def find(
        self, lookup: str, args: Sequence[object], *, limit: int = 1000, start: int = 0
    ) -> Page:
        """`find_in_slices`, all of it at once."""
        return finish(self.find_in_slices(lookup, args, limit=limit, start=start))

    def find_in_slices(
        self,
        lookup: str,
        args: Sequence[object],
        *,
        limit: int = 1000,
        start: int = 0,
        within: float = 0.0,  # noqa: ARG002 - a file does not keep anybody waiting
    ) -> Sliced[Page]:
        """See `nodes.catalog.protocol`."""
        shape = self._questions.lookup(lookup)
        values = coerce(shape, args)
        check_limit(limit)
        try:
            runs = self._finders[lookup].runs(self._db, values, start, limit + 1)
            page = yield from self._page(runs, limit)
            self._check_unchanged()
            return page
        except (OverflowError, UnicodeEncodeError):
            raise BadRequest(f"{usage(shape)}: no record can have such a value") from None
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error

    def find_single(
        self, lookup: str, args: Sequence[Argument]
    ) -> tuple[bytes, tuple[str, ...]] | None:
        """See `nodes.catalog.protocol`."""
        found = self._singles.get(lookup)
        if found is None or found[0] != tuple(map(type, args)):
            return None
        try:
            rows = self._db.execute(found[1], (*args, 0, 2)).fetchall()
            if len(rows) > 1 or not is_sealed(self._descriptor):
                return None
            for _, file, body in rows:
                return b"%b" % body, (self._info.files[file],)
        except _DAMAGE_ERRORS:
            return None  # and have it said there
        return b"", ()

    def coerced(self, lookup: str, args: Sequence[object]) -> tuple[Argument, ...]:
        """See `nodes.catalog.protocol`."""
        return self._questions.coerced(lookup, args)

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """`suggest_in_slices`, all of it at once."""
        kind, prefix = self._questions.check_suggestion(field, prefix, limit)
        values = (
            str(value)
            for low, high in prefix_ranges(kind, prefix)
            for value in self._distinct(field, low, _TOP[kind] if high is None else high)
        )
        try:
            found = list(islice(values, limit))
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        self._check_unchanged()
        return found

    def suggest_in_slices(
        self,
        field: str,
        prefix: str,
        *,
        limit: int = 10,
        within: float = 0.0,  # noqa: ARG002 - as above
    ) -> Sliced[list[str]]:
        """See `nodes.catalog.protocol`."""
        return single(lambda: self.suggest(field, prefix, limit=limit))

    def probe_in_slices(self) -> Sliced[str]:
        """See `nodes.catalog.protocol`."""
        yield from ()
        self.ping()
        return ""

    def ping(self) -> None:
        """Check that one record is found by its own keys; each call takes another record.

        Raises:
            DataError: The catalog is damaged.
        """
        # A step by a prime comes to every record in the end.
        self._last_pinged = (self._last_pinged + _PING_STEP_RECORDS) % self._info.records
        read, find = self._pinged
        try:
            row = self._db.execute(read, (self._last_pinged + 1,)).fetchone()
            if row is None:
                raise self._damage_error("a record is gone")
            hit = find and self._db.execute(find, (*row, self._last_pinged, 1)).fetchone()
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        if find and None not in row and (hit is None or hit[0] != self._last_pinged + 1):
            raise self._damage_error("its index has lost a record")
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """What was read is as it was built: looked at after the reading, as any write before it
        has broken the seal by now.
        """
        if not is_sealed(self._descriptor):
            raise self._damage_error(_CHANGED)

    def _page(self, runs: Runs, limit: int) -> Sliced[Page]:
        building = PageBuilder(self._info.files, limit)
        first = True
        for rows in runs:
            if not first:
                yield None
            while building.take(islice(rows, SLICE_RECORDS)) == SLICE_RECORDS:
                yield None
            if building.after is not None:
                break
            first = False
        return building.page()

    def _distinct(self, field: str, low: Argument, high: Argument | bytes) -> Iterator[Argument]:
        """Each value in [low, high) once: one index search each, however many records have it."""
        statement = self._schema.next_value(field, inclusive=True)
        following = self._schema.next_value(field, inclusive=False)
        while row := self._db.execute(statement, (low, high)).fetchone():
            statement, (low, shown) = following, row
            yield low if shown is None else shown

    def _damage_error(self, why: object) -> DataError:
        """What is to be raised; the others that read the file are told as well."""
        code = getattr(why, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in _DAMAGE_CODES and self._release.alive:
            break_seal(self._descriptor)
        return DataError(f"{self._info.path} cannot be read: {why}; build the catalog again")


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection; no locks, because a catalog never changes."""
    db = None
    try:
        db = sqlite3.connect(
            f"{path.as_uri()}?mode=ro&immutable=1",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
        )
        # Not mapped: to read a mapped file that was cut short ends the process.
        for pragma in ("mmap_size = 0", f"cache_size = -{_PAGE_CACHE_KIB}", "query_only = ON"):
            db.execute(f"PRAGMA {pragma}")
    except _DAMAGE_ERRORS as error:
        if db is not None:
            db.close()
        raise DataError(f"{path} cannot be opened: {error}") from None
    return db


def _check_header(descriptor: int, path: Path) -> int:
    """The file's size in bytes; `DataError` if it is not a complete catalog of this format."""
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, _HEADER.size, 0)
    if len(head) == _HEADER.size:
        magic, page, pages, version, application = _HEADER.unpack(head)
        if (magic, application, version) == (_SQLITE_MAGIC, APPLICATION_ID, FORMAT_VERSION):
            if size != page * pages:
                raise DataError(f"{path} has {size} bytes, not {page * pages}: build it again")
            if not is_sealed(descriptor):
                raise DataError(
                    f"{path} was changed after it was built, or copied without its time"
                    " (cp -p keeps it): build it again"
                )
            return size
    raise DataError(f"{path} is not a catalog of this version of Rollcall: build it again")


def _read_info(db: sqlite3.Connection, path: Path) -> CatalogInfo:
    try:
        (text,) = db.execute("SELECT value FROM meta WHERE key = 'info'").fetchone()
        info = msgspec.json.decode(text, type=CatalogInfo)
    except (*_DAMAGE_ERRORS, msgspec.DecodeError) as error:
        raise DataError(f"{path} is damaged: {error}; build the catalog again") from None
    if not info.lookups or info.records < 1:
        raise DataError(f"{path} is damaged: it has no records; build the catalog again")
    return info
