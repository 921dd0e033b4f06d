"""The SQLite file of a catalog: looked at before it is used, and connected to."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

import msgspec

from nodes.catalog.model import CatalogInfo
from nodes.catalog.seal import is_sealed
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION
from nodes.errors import DataError
from nodes.support.ownership import ExposedFileError, check_unaltered

_HEADER = struct.Struct(">16sH10xI28xI4xI28x")  # magic, page size, pages, user version, application
IN_MEMORY_BYTES = 8 << 20
"""A catalog of that size, or smaller, is read into memory as a whole: what becomes of its file then
changes no answer. Each reader has a copy, so that larger ones are read where they lie."""
_PAGE_CACHE_KIB = 2048
"""SQLite's page cache of each reader: the upper levels of every index, and pages of a long answer.
The rest is in the system's cache, which all workers share."""
CAN_COPY = hasattr(sqlite3.Connection, "deserialize")
"""Some builds of SQLite cannot read from memory."""
_SQLITE_MAGIC = b"SQLite format 3\0"
DAMAGE_ERRORS = (sqlite3.Error, UnicodeDecodeError, TypeError, IndexError)
"""What reading a damaged file may raise: rows and messages can hold anything then."""
CHANGED = "its file was changed, and nothing should change it"


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection to the file; no locks, because a catalog never changes."""
    # Not mapped: to read a mapped file that was cut short ends the process.
    return _prepared(path, f"{path.as_uri()}?mode=ro&immutable=1")


def copy(descriptor: int, path: Path, size: int) -> sqlite3.Connection:
    """A connection to a copy in memory of the open file, `size` bytes."""
    try:
        content = os.pread(descriptor, size, 0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    # After the reading: any write before it has broken the seal by now.
    if len(content) != size or not is_sealed(descriptor):
        raise DataError(f"{path} cannot be read: {CHANGED}; build the catalog again")
    return _prepared(path, ":memory:", content)


def _prepared(path: Path, where: str, content: bytes = b"") -> sqlite3.Connection:
    """A connection that is only read from, of any thread; with that content, if there is any."""
    db = None
    try:
        db = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
        if content:
            db.deserialize(content)
        if content:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # nobody else can have it
        for pragma in ("mmap_size = 0", f"cache_size = -{_PAGE_CACHE_KIB}", "query_only = ON"):
            db.execute(f"PRAGMA {pragma}")
    except DAMAGE_ERRORS as error:
        if db is not None:
            db.close()
        raise DataError(f"{path} cannot be opened: {error}") from None
    return db


def check_header(descriptor: int, path: Path) -> int:
    """The file's size in bytes; `DataError` if it is not a complete catalog of this format."""
    status = os.fstat(descriptor)
    try:
        check_unaltered(path, status)
    except ExposedFileError as error:
        raise DataError(f"{error}, or build it again") from None
    size = status.st_size
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


def read_info(db: sqlite3.Connection, path: Path) -> CatalogInfo:
    try:
        (text,) = db.execute("SELECT value FROM meta WHERE key = 'info'").fetchone()
        info = msgspec.json.decode(text, type=CatalogInfo)
    except (*DAMAGE_ERRORS, msgspec.DecodeError) as error:
        raise DataError(f"{path} is damaged: {error}; build the catalog again") from None
    if not info.lookups or info.records < 1:
        raise DataError(f"{path} is damaged: it has no records; build the catalog again")
    return info
