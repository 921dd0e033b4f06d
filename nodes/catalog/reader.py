"""The catalog reader: opens a catalog, finds records and suggests values."""

from __future__ import annotations

import os
import re
import sqlite3
import struct
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fcntl import LOCK_SH, flock
from pathlib import Path
from types import TracebackType

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, MAX_TEXT_CHARS, Argument, coerce, quoted, usage
from nodes.catalog.model import CatalogInfo, Lookup, Page
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION, SqlSchema
from nodes.errors import BadRequest, DataError
from nodes.support.slices import Sliced, finish

MAX_PAGE_RECORDS = 10_000
MAX_SUGGESTIONS = 100
MAX_PAGE_BYTES = 512 << 10
"""A page ends before its body exceeds this, except that it has at least one record. Whoever passes
a page of that size on is not held up by it for more than 5 ms, however deep its records nest."""

SLICE_RECORDS = 250
"""Records of a page that are read without a break: about a millisecond's work."""

_HEADER = struct.Struct(">16sH10xI28xI4xI28x")  # magic, page size, pages, user version, application
_PING_STEP_RECORDS = 7919
_SQLITE_MAGIC = b"SQLite format 3\0"
_FAST_TYPES = {"text": str, "integer": int}
_DAMAGE_ERRORS = (sqlite3.Error, UnicodeDecodeError, TypeError, IndexError)
"""What reading a damaged file may raise: rows and messages can hold anything then."""


class Catalog:
    """An open catalog: cheap to open whatever its size, safe to share between threads."""

    def __init__(self, info: CatalogInfo, descriptor: int) -> None:
        """Take over `descriptor`, whose lock keeps the file from being evicted."""
        self.info = info
        self._release = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: str | Path) -> Catalog:
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

    def reader(self) -> Reader:
        """A reader with its own connection; one for each thread. Close it after use."""
        return Reader(self.info)


class Reader:
    """A connection to a catalog, for one thread; also a context manager that closes it."""

    def __init__(self, info: CatalogInfo) -> None:
        self._info = info
        self._schema = schema = SqlSchema(lookup.fields for lookup in info.lookups)
        self._lookups = {
            lookup.name: (lookup, schema.find(lookup.fields)) for lookup in info.lookups
        }
        self._singles = {
            name: (tuple(_FAST_TYPES[kind] for kind in lookup.types), statement)
            for name, (lookup, statement) in self._lookups.items()
            if _FAST_TYPES.keys() >= set(lookup.types)
        }
        self._types = {
            field: kind
            for lookup in info.lookups
            for field, kind in zip(lookup.fields, lookup.types, strict=True)
        }
        self._last_pinged = 0
        self._db = _connect(Path(info.path))

    def __enter__(self) -> Reader:
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
        self, lookup: str, args: Sequence[object], *, limit: int = 1000, start: int = 0
    ) -> Sliced[Page]:
        """Find the records whose fields equal `args`, in the order of the files.

        Args:
            lookup: The lookup's name.
            args: A value for each of its fields; see `coerce`.
            limit: The most records on the page, 1 to `MAX_PAGE_RECORDS`. A page is also
                limited to `MAX_PAGE_BYTES`.
            start: `after` of the page before, 0 for the first page.

        Raises:
            BadRequest: There is no such lookup, or the arguments are wrong.
            DataError: The catalog is damaged.
        """
        shape, statement = self._find_lookup(lookup)
        values = coerce(shape, args)
        if type(limit) is not int or not 1 <= limit <= MAX_PAGE_RECORDS:
            raise BadRequest(f"limit must be an integer from 1 to {MAX_PAGE_RECORDS}")
        try:
            rows = self._db.execute(statement, (*values, start, limit + 1))
            return (yield from self._page(rows, limit))
        except (OverflowError, UnicodeEncodeError):
            raise BadRequest(f"{usage(shape)}: no record can have such a value") from None
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error

    def find_single(
        self, lookup: str, args: Sequence[Argument]
    ) -> tuple[bytes, tuple[str, ...]] | None:
        """The fast path of `find`, for a lookup that finds one record or none.

        Args:
            lookup: The lookup's name.
            args: Texts of at most `MAX_TEXT_CHARS` and integers of 64 bits.

        Returns:
            What the page has within its brackets, and the names of its files; None if `find` has
            to look.
        """
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
        """A lookup's arguments as `find` takes them. Raises `BadRequest` as it does."""
        return coerce(self._find_lookup(lookup)[0], args)

    def _find_lookup(self, name: str) -> tuple[Lookup, str]:
        found = self._lookups.get(name)
        if found is None:
            known = ", ".join(usage(shape) for shape in self._info.lookups)
            raise BadRequest(f"there is no lookup {quoted(name)}; there are {known[:500]}")
        return found

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """Suggest distinct values of a lookup's field that start with `prefix`, in order.

        Case matters. Integers from 0 up are matched by their digits; a field of other numbers
        has no suggestions.

        Args:
            field: A field that a lookup is on.
            prefix: The beginning of the values, "" for all.
            limit: The most values, 1 to `MAX_SUGGESTIONS`.

        Raises:
            BadRequest: No lookup is on that field, or an argument is wrong.
            DataError: The catalog is damaged.
        """
        if field not in self._types:
            raise BadRequest(
                f"there are no suggestions for {quoted(field)};"
                f" there are for {', '.join(self._types)[:500]}"
            )
        if type(prefix) is not str or len(prefix) > MAX_TEXT_CHARS:
            raise BadRequest(f"the prefix must be a text of at most {MAX_TEXT_CHARS} characters")
        if type(limit) is not int or not 1 <= limit <= MAX_SUGGESTIONS:
            raise BadRequest(f"limit must be an integer from 1 to {MAX_SUGGESTIONS}")
        found: list[str] = []
        try:
            for low, high in _prefix_ranges(self._types[field], prefix):
                for value in self._distinct(field, low, high):
                    found.append(str(value))
                    if len(found) == limit:
                        return found
        except UnicodeEncodeError:
            raise BadRequest(f"not valid Unicode: {quoted(prefix)}") from None
        except _DAMAGE_ERRORS as error:
            raise self._damage_error(error) from error
        return found

    def ping(self) -> None:
        """Check that one record is found by its own keys; each call takes another record.

        Raises:
            DataError: The catalog is damaged.
        """
        first = self._info.lookups[0]
        # A step by a prime comes to every record in the end.
        self._last_pinged = (self._last_pinged + _PING_STEP_RECORDS) % self._info.records
        keys = ", ".join(self._schema.columns_of(first.fields))
        _, statement = self._lookups[first.name]
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
        bodies: list[bytes] = []
        files: dict[int, str] = {}
        size = last = 0
        after = None
        for number, file, body in rows:
            size += len(body) + 1
            if len(bodies) == limit or (bodies and size > MAX_PAGE_BYTES):
                after = last
                break
            bodies.append(body)
            if file not in files:
                files[file] = self._info.files[file]
            last = number
            if not len(bodies) % SLICE_RECORDS:
                yield
        rows.close()
        return Page(b"[%b]" % b",".join(bodies), len(bodies), after, tuple(files.values()))

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


def _prefix_ranges(kind: str, prefix: str) -> Iterator[tuple[Argument, Argument | bytes]]:
    """The ranges [low, high) in which a field's values start with `prefix`.

    To SQLite every number is below every text, and every text below every blob:
    "" and b"" are the upper ends of all numbers and of all texts.
    """
    if kind == "text":
        yield prefix, _next_prefix(prefix)
    elif kind == "integer" and not prefix:
        yield -(2**63), ""
    elif kind == "integer" and re.fullmatch(r"0|[1-9][0-9]{0,18}", prefix):
        low, high = int(prefix), int(prefix) + 1
        while low <= INTEGER_MAX:
            yield low, high if high <= INTEGER_MAX else ""
            if not low:
                return
            low, high = low * 10, high * 10


def _next_prefix(prefix: str) -> str | bytes:
    """The smallest text above every text that starts with `prefix`."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Skips the surrogates, which are no characters.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return b""
