"""Building a catalog: dataset in, SQLite file out. Where that belongs is up to `cache`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path

import msgspec

from nodes.catalog.dataset import Dataset
from nodes.catalog.model import CatalogInfo, Lookup, Progress
from nodes.catalog.schema_scan import IndexKey, SchemaScan, key_text
from nodes.catalog.sources import read_records
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION, SqlSchema

SQLITE_CACHE_KIB = 8192
"""SQLite's memory for pages, and for each of the runs it sorts an index from. More is slower:
the rows come in order, and short runs are sorted within the processor's own cache."""
SORTER_THREADS = 3  # threads of SQLite's own that sort beside the one that reads
MAX_PARAMETERS = 900  # values of one statement; some SQLite allow no more than 999


def write_catalog(
    dataset: Dataset, path: Path, version: str, *, skip_bad: bool, progress: Progress
) -> None:
    """Write the dataset's catalog to the empty file at `path`, complete and on disk on return.

    Args:
        dataset: what is read.
        path: of an empty file. After an error it may be half made: it is the caller's to remove.
        version: of the catalog, see `cache`.
        skip_bad: leave bad records out instead of failing.
        progress: told how far it is.

    Raises:
        DataError: a file is broken, or there are bad records.
        OSError, sqlite3.Error: the catalog cannot be written.
    """
    # The file is nobody else's: SQLite need not lock it, the caller has.
    with closing(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw&nolock=1", uri=True, isolation_level=None
        )
    ) as db:
        _fill(db, dataset, version, skip_bad=skip_bad, progress=progress)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _fill(
    db: sqlite3.Connection, dataset: Dataset, version: str, *, skip_bad: bool, progress: Progress
) -> None:
    schema = SqlSchema(dataset.lookups.values())
    # A crash leaves a temporary file that nobody opens: journal and syncs would buy nothing.
    db.executescript(
        f"PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
        f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}; PRAGMA threads = {SORTER_THREADS};"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"
        f"{schema.create_tables()} BEGIN;"
    )
    scan = SchemaScan()
    _read(db, dataset, schema, scan, progress)
    if not skip_bad:
        scan.refuse_bad(dataset)
    lookups = scan.lookups(dataset)
    _unify(db, schema, lookups, scan)
    for done, (columns, name) in enumerate(schema.indexes.items()):
        progress("index", done, len(schema.indexes))
        db.execute(f"CREATE INDEX {name} ON records ({', '.join(columns)})")
    progress("index", len(schema.indexes), len(schema.indexes))
    info = CatalogInfo(
        path="",  # it is where it is found, and as large as it is
        bytes=0,
        name=dataset.name,
        version=version,
        records=scan.records,
        lookups=lookups,
        fields=scan.fields(),
        files=dataset.files,
        skipped=scan.bad_count,
    )
    db.executemany("INSERT INTO files VALUES (?, ?)", enumerate(dataset.files))
    db.execute("INSERT INTO meta VALUES ('info', ?)", (msgspec.json.encode(info),))
    db.execute("COMMIT")


def _read(
    db: sqlite3.Connection,
    dataset: Dataset,
    schema: SqlSchema,
    scan: SchemaScan,
    progress: Progress,
) -> None:
    """Insert every usable record, file by file; the scan sees each on its way."""
    paths = [dataset.folder / name for name in dataset.files]
    total = sum(path.stat().st_size for path in paths)
    before = 0
    progress("read", 0, total)
    for number, (path, name) in enumerate(zip(paths, dataset.files, strict=True)):
        for position, records, bodies in read_records(path, name, scan.note_bad):
            keys = scan.columns(records, schema.fields)
            _insert(db, schema, list(chain.from_iterable(zip(repeat(number), *keys, bodies))))
            progress("read", min(before + position, total), total)
        before += path.stat().st_size
    progress("read", total, total)


def _insert(db: sqlite3.Connection, schema: SqlSchema, values: list[IndexKey | bytes]) -> None:
    """Insert rows given as one list: many with each statement, which halves the time of each."""
    width = len(schema.columns) + 2
    step = max(1, MAX_PARAMETERS // width) * width
    for start in range(0, len(values), step):
        part = values[start : start + step]
        db.execute(schema.insert_records(len(part) // width), part)


def _unify(
    db: sqlite3.Connection, schema: SqlSchema, lookups: tuple[Lookup, ...], scan: SchemaScan
) -> None:
    """Turn the numbers in a text field into text: its type is known only after the last record."""
    db.create_function("key_text", 1, key_text, deterministic=True)
    text = {
        field
        for lookup in lookups
        for field, kind in zip(lookup.fields, lookup.types, strict=True)
        if kind == "text" and len(scan.kinds[field]) > 1
    }
    for column in schema.columns_of(sorted(text)):
        db.execute(
            f"UPDATE records SET {column} = key_text({column})"  # noqa: S608 - our names of columns
            f" WHERE typeof({column}) IN ('integer', 'real')"
        )
