"""The reader of catalogs in SQLite files: opens one, finds records and suggests values."""

from __future__ import annotations

import os
import sqlite3
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
from nodes.catalog.seal import SEALED_NS, break_seal, is_sealed
from nodes.catalog.sql_schema import SqlSchema
from nodes.catalog.sqlite_file import (
    CAN_COPY,
    CHANGED,
    DAMAGE_ERRORS,
    IN_MEMORY_BYTES,
    check_header,
    connect,
    copy,
    read_info,
)
from nodes.catalog.word_index import check_words
from nodes.errors import BadRequest, DataError
from nodes.support.slices import Sliced, finish, single

_PING_STEP_RECORDS = 7919
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}
"""What SQLite says of a file that is not as it was; other errors of it are not the file's."""
_FAST_TYPES = {"text": str, "integer": int}
_TOP: dict[str, str | bytes] = {"text": b"", "integer": ""}
"""The upper end of all values of a type: to SQLite every number is below every text, and every
text below every blob."""


class SqliteCatalog:
    """An open file: cheap to open whatever its size, safe to share between threads. Once it is
    open, it is read whatever becomes of its path.
    """

    def __init__(
        self, info: CatalogInfo, descriptor: int, db: sqlite3.Connection, *, in_memory: bool
    ) -> None:
        """Take over `descriptor`, whose lock keeps the file from being evicted, and `db`, which is
        a copy in memory or reads from the file.
        """
        self.info = info
        self.descriptor = descriptor
        self._in_memory = in_memory
        self._db: sqlite3.Connection | None = db
        self._release = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: str | Path, *, in_memory_bytes: int = IN_MEMORY_BYTES) -> SqliteCatalog:
        """Open the catalog in a file.

        Args:
            path: of the file.
            in_memory_bytes: see `IN_MEMORY_BYTES`.

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
            size = check_header(descriptor, where)
            in_memory = size <= in_memory_bytes and CAN_COPY
            db = copy(descriptor, where, size) if in_memory else connect(where)
            try:
                info = msgspec.structs.replace(read_info(db, where), path=str(where), bytes=size)
                check_words(db, SqlSchema(info.lookups).words.values())
            except BaseException:
                db.close()
                raise
        except BaseException:
            os.close(descriptor)
            raise
        return cls(info, descriptor, db, in_memory=in_memory)

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

        Raises:
            DataError: the file is missing or damaged.
        """
        db, self._db = self._db, None
        if db is None:
            path = Path(self.info.path)
            size = self.info.bytes
            db = copy(self.descriptor, path, size) if self._in_memory else connect(path)
        return SqliteReader(self.info, os.dup(self.descriptor), db, in_memory=self._in_memory)


class SqliteReader:
    """A connection to a catalog, for one thread; also a context manager that closes it."""

    def __init__(
        self, info: CatalogInfo, descriptor: int, db: sqlite3.Connection, *, in_memory: bool
    ) -> None:
        """Take over the open file, and the connection to it or to a copy of it in memory."""
        self._info = info
        self._descriptor = descriptor
        self._in_memory = in_memory
        self._release = weakref.finalize(self, os.close, descriptor)
        self._schema = schema = SqlSchema(info.lookups)
        self._finders = {
            lookup.name: finder(lookup, schema, info.records) for lookup in info.lookups
        }
        self._singles = {
            lookup.name: (
                tuple(_FAST_TYPES[kind] for kind in lookup.types),
                schema.find_two(lookup.fields),
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
        self._cursor = db.cursor()
        self._sources = tuple((name,) for name in info.files)

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
            self._check_answer()
            return page
        except (OverflowError, UnicodeEncodeError):
            raise BadRequest(f"{usage(shape)}: no record can have such a value") from None
        except DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error

    def find_single(
        self, lookup: str, args: Sequence[Argument]
    ) -> tuple[bytes, tuple[str, ...]] | None:
        """See `nodes.catalog.protocol`."""
        found = self._singles.get(lookup)
        if found is None or found[0] != tuple(map(type, args)):
            return None
        try:
            rows = self._cursor.execute(found[1], args).fetchall()
            # As `_check_answer`, written out: each function more is felt.
            if len(rows) > 1 or not (
                self._in_memory or os.fstat(self._descriptor).st_mtime_ns == SEALED_NS
            ):
                return None
            for file, body in rows:
                return b"%b" % body, self._sources[file]
        except (*DAMAGE_ERRORS, OSError):
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
        except DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        self._check_answer()
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
        except DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        if find and None not in row and (hit is None or hit[0] != self._last_pinged + 1):
            raise self._damage_error("its index has lost a record")
        self._check_file()

    def _check_answer(self) -> None:
        """What was read is as it was built: looked at after the reading, as any write before it
        has broken the seal by now.
        """
        if not self._in_memory:
            self._check_file()

    def _check_file(self) -> None:
        if not is_sealed(self._descriptor):
            raise self._damage_error(CHANGED)

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
