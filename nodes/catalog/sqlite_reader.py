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
from nodes.catalog.model import CatalogInfo, Page
from nodes.catalog.paging import PageBuilder
from nodes.catalog.questions import (
    SLICE_RECORDS,
    Questions,
    check_limit,
    prefix_ranges,
)
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION, SqlSchema
from nodes.errors import BadRequest, DataError
from nodes.support.slices import Sliced, finish, single

_HEADER = struct.Struct(">16sH10xI28xI4xI28x")  # magic, page size, pages, user version, application
_PING_STEP_RECORDS = 7919
_SQLITE_MAGIC = b"SQLite format 3\0"
_FAST_TYPES = {"text": str, "integer": int}
_TOP: dict[str, str | bytes] = {"text": b"", "integer": ""}
"""The upper end of all values of a type: to SQLite every number is below every text, and every
text below every blob."""
_DAMAGE_ERRORS = (sqlite3.Error, UnicodeDecodeError, TypeError, IndexError)
"""What reading a damaged file may raise: rows and messages can hold anything then."""


class SqliteCatalog:
    """An open file: cheap to open whatever its size, safe to share between threads."""

    def __init__(self, info: CatalogInfo, descriptor: int) -> None:
        """Take over `descriptor`, whose lock keeps the file from being evicted."""
        self.info = info
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
            info = msgspec.structs.replace(_read_info(where), path=str(where), bytes=size)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(info, descriptor)

    def close(self) -> None:
        """Release the file, which may then be evicted; open readers go on working."""
        self._release()

    def other_version(self, version: str) -> Sliced[SqliteCatalog]:
        """See `nodes.catalog.protocol`: versions lie beside each other under their names, so that
        a worker that started later has the earlier ones as well.
        """
        beside = Path(self.info.path).with_name(f"{version}.db")
        return single(lambda: SqliteCatalog.open(beside))

    def reader(self) -> SqliteReader:
        """A reader with its own connection; one for each thread. Close it after use."""
        return SqliteReader(self.info)


class SqliteReader:
    """A connection to a catalog, for one thread; also a context manager that closes it."""

    def __init__(self, info: CatalogInfo) -> None:
        self._info = info
        self._schema = schema = SqlSchema(lookup.fields for lookup in info.lookups)
        self._statements = {lookup.name: schema.find(lookup.fields) for lookup in info.lookups}
        self._singles = {
            lookup.name: (
                tuple(_FAST_TYPES[kind] for kind in lookup.types),
                self._statements[lookup.name],
            )
            for lookup in info.lookups
            if _FAST_TYPES.keys() >= set(lookup.types)
        }
        self._questions = Questions(info.lookups)
        self._last_pinged = 0
        self._db = _connect(Path(info.path))

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
            rows = self._db.execute(self._statements[lookup], (*values, start, limit + 1))
            return (yield from self._page(rows, limit))
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
            if len(rows) > 1:
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
        kind = self._questions.check_suggestion(field, prefix, limit)
        found: list[str] = []
        try:
            for low, high in prefix_ranges(kind, prefix):
                for value in self._distinct(field, low, _TOP[kind] if high is None else high):
                    found.append(str(value))
                    if len(found) == limit:
                        return found
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
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
        first = self._info.lookups[0]
        # A step by a prime comes to every record in the end.
        self._last_pinged = (self._last_pinged + _PING_STEP_RECORDS) % self._info.records
        keys = ", ".join(self._schema.columns_of(first.fields))
        statement = self._statements[first.name]
        try:
            row = self._db.execute(
                f"SELECT {keys} FROM records WHERE id = ?",  # noqa: S608 - our names of columns
                (self._last_pinged + 1,),
            ).fetchone()
            if row is None:
                raise self._damage_error("a record is gone")
            hit = self._db.execute(statement, (*row, self._last_pinged, 1)).fetchone()
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        if None not in row and (hit is None or hit[0] != self._last_pinged + 1):
            raise self._damage_error("its index has lost a record")

    def _page(self, rows: sqlite3.Cursor, limit: int) -> Sliced[Page]:
        building = PageBuilder(self._info.files, limit)
        while building.take(islice(rows, SLICE_RECORDS)) == SLICE_RECORDS:
            yield None
        rows.close()
        return building.page()

    def _distinct(self, field: str, low: Argument, high: Argument | bytes) -> Iterator[Argument]:
        """Each value in [low, high) once: one index search each, however many records have it."""
        statement = self._schema.next_value(field, inclusive=True)
        following = self._schema.next_value(field, inclusive=False)
        while row := self._db.execute(statement, (low, high)).fetchone():
            statement, low = following, row[0]
            yield low

    def _damage_error(self, why: object) -> DataError:
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
        # All workers share the mapped file; a large page cache would only copy it. SQLite maps
        # as much of the given size as it was compiled to allow.
        for pragma in ("mmap_size = 1099511627776", "cache_size = -256", "query_only = ON"):
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
            if size == page * pages:
                return size
            raise DataError(f"{path} has {size} bytes, not {page * pages}: build it again")
    raise DataError(f"{path} is not a catalog of this version of Rollcall: build it again")


def _read_info(path: Path) -> CatalogInfo:
    db = _connect(path)
    try:
        (text,) = db.execute("SELECT value FROM meta WHERE key = 'info'").fetchone()
        info = msgspec.json.decode(text, type=CatalogInfo)
    except (*_DAMAGE_ERRORS, msgspec.DecodeError) as error:
        raise DataError(f"{path} is damaged: {error}; build the catalog again") from None
    finally:
        db.close()
    if not info.lookups or info.records < 1:
        raise DataError(f"{path} is damaged: it has no records; build the catalog again")
    return info
