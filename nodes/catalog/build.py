"""The catalog builder: writes the records of a dataset to a SQLite file that `cache` provides."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.dataset import Dataset
from nodes.catalog.keys import IndexKey, KeyColumn, differing, fold_key, key_text
from nodes.catalog.model import CatalogInfo, Lookup, Progress
from nodes.catalog.schema_scan import SchemaScan
from nodes.catalog.sources import Sources
from nodes.catalog.spread import (
    MAX_KEYS,
    add_elements,
    create_elements,
    crowded_record,
    sort_elements,
    write_spread,
)
from nodes.catalog.sql_schema import APPLICATION_ID, FORMAT_VERSION, SqlSchema
from nodes.catalog.word_index import add_words, create_words, finish_words
from nodes.errors import DataError

SQLITE_CACHE_KIB = 8192
"""SQLite's page cache, and the memory of each run when it sorts for an index. More is slower:
short runs are sorted within the processor's cache."""
SQLITE_SORTER_THREADS = 3
"""SQLite's helper threads for sorting."""
MAX_SQL_PARAMETERS = 900
"""Values bound by one statement; some builds of SQLite allow only 999."""


def write_catalog(
    dataset: Dataset, path: Path, version: str, *, skip_bad: bool, progress: Progress
) -> None:
    """Write the dataset's catalog to an empty file; on return it is complete and on disk.

    Args:
        dataset: The dataset to read.
        path: The empty file. After an error it may be incomplete, and the caller removes it.
        version: The version of the catalog, see `cache`.
        skip_bad: Leave bad records out instead of failing.
        progress: Called as the build advances.

    Raises:
        DataError: A file is broken, or there are bad records.
        OSError, sqlite3.Error: The catalog cannot be written.
    """
    # The caller holds the lock of the file, so SQLite need not take one.
    with closing(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw&nolock=1", uri=True, isolation_level=None
        )
    ) as db:
        _write_tables(db, dataset, version, skip_bad=skip_bad, progress=progress)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write_tables(
    db: sqlite3.Connection, dataset: Dataset, version: str, *, skip_bad: bool, progress: Progress
) -> None:
    schema = SqlSchema(dataset.lookups.shapes())
    # After a crash nobody opens this temporary file, so it needs no journal and no syncs.
    db.executescript(
        f"PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
        f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}; PRAGMA threads = {SQLITE_SORTER_THREADS};"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"
        f"{schema.create_tables()} BEGIN;"
    )
    create_elements(db)
    for table in schema.words.values():
        create_words(db, table)
    scan = SchemaScan(dataset.reading.types)
    _insert_records(db, dataset, schema, scan, progress)
    if not skip_bad:
        scan.reject_bad_records(dataset)
    lookups = scan.lookups(dataset)
    _convert_numbers_to_text(db, schema, lookups, scan)
    _write_indexes(db, dataset, SqlSchema(lookups), progress)
    info = CatalogInfo(
        path="",  # path and size are filled in when it is opened
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


def _write_indexes(
    db: sqlite3.Connection, dataset: Dataset, schema: SqlSchema, progress: Progress
) -> None:
    steps: list[Callable[[], object]] = [
        partial(db.execute, f"CREATE INDEX {name} ON records ({', '.join(columns)})")
        for columns, name in schema.indexes.items()
    ]
    if schema.spread:
        sort_elements(db)
    for fields in schema.spread:
        _check_keys(db, dataset, schema, fields)
        steps.append(partial(write_spread, db, schema, fields))
    steps += [partial(finish_words, db, table) for table in schema.words.values()]
    for done, step in enumerate(steps):
        progress("index", done, len(steps))
        step()
    progress("index", len(steps), len(steps))


def _check_keys(
    db: sqlite3.Connection, dataset: Dataset, schema: SqlSchema, fields: tuple[str, ...]
) -> None:
    crowded = crowded_record(db, schema, fields)
    if crowded is not None:
        file, number = crowded
        raise DataError(
            f"{dataset.folder}: record {number} of all, in {dataset.files[file]}, holds lists in"
            f" {', '.join(map(quoted, fields))} that go together in more than {MAX_KEYS:,} ways:"
            " let no lookup be on all of them"
        )


def _insert_records(
    db: sqlite3.Connection,
    dataset: Dataset,
    schema: SqlSchema,
    scan: SchemaScan,
    progress: Progress,
) -> None:
    """Insert every usable record, file by file, and add each to the scan."""
    sources = Sources(dataset.folder, dataset.files, dataset.reading, scan.add_bad_record)
    reading = _ReadProgress(progress, sources.size, len(dataset.files))
    for number in range(len(dataset.files)):
        for position in sources.scan(number):
            reading.reached(number, position)
    fields = dataset.fields()
    for number in range(len(dataset.files)):
        for position, records, bodies in sources.read(number):
            first = scan.records + 1
            columns = dict(zip(fields, scan.key_columns(records, fields), strict=True))
            keys = _insert_keys(db, schema, columns, first)
            _insert_rows(db, schema, list(chain.from_iterable(zip(repeat(number), *keys, bodies))))
            reading.reached(number, position)
    for field in sources.types.empty_fields():
        scan.add_field(field, findable=False)
    reading.end()


class _ReadProgress:
    """The progress of files of which some are gone through twice."""

    def __init__(self, progress: Progress, total: int, files: int) -> None:
        self._progress = progress
        self._total = total
        self._positions = [0] * files
        self._done = 0
        progress("read", 0, total)

    def reached(self, number: int, position: int) -> None:
        """So many bytes of that file are done with."""
        self._done += position - self._positions[number]
        self._positions[number] = position
        self._progress("read", min(self._done, self._total), self._total)

    def end(self) -> None:
        """All files are."""
        self._progress("read", self._total, self._total)


def _insert_keys(
    db: sqlite3.Connection, schema: SqlSchema, columns: dict[str, KeyColumn], first: int
) -> list[list[IndexKey]]:
    """Inserts what is found otherwise than by the columns of records; returns those columns.

    Args:
        db: The catalog.
        schema: Its schema.
        columns: The keys of each field, in a batch.
        first: The id of the batch's first record.
    """
    keys: list[list[IndexKey]] = []
    shown: list[list[IndexKey]] = []
    for number, field in enumerate(schema.fields):
        column = columns[field]
        if field in schema.shown:
            folded = list(map(fold_key, column.keys))
            shown.append(list(map(differing, column.keys, folded)))
            keys.append(folded)
        else:
            keys.append(column.keys)
        if column.elements:
            is_folded = field in schema.shown
            add_elements(
                db,
                (
                    (number, first + at, key, differing(element, key))
                    for at, element in column.elements
                    for key in [fold_key(element) if is_folded else element]
                ),
            )
    for searched, table in schema.words.items():
        of_fields = (columns[field].all_keys() for field in searched)
        add_words(db, table, first, map(chain.from_iterable, zip(*of_fields, strict=True)))
    return keys + shown


def _insert_rows(db: sqlite3.Connection, schema: SqlSchema, values: list[IndexKey | bytes]) -> None:
    """Insert rows given as one flat list. Many rows per statement halve the time."""
    width = len(schema.columns) + len(schema.shown) + 2
    step = max(1, MAX_SQL_PARAMETERS // width) * width
    for start in range(0, len(values), step):
        part = values[start : start + step]
        db.execute(schema.insert_records(len(part) // width), part)


def _convert_numbers_to_text(
    db: sqlite3.Connection, schema: SqlSchema, lookups: tuple[Lookup, ...], scan: SchemaScan
) -> None:
    """Convert numbers in text fields to text. Types are known only after the last record."""
    db.create_function("key_text", 1, key_text, deterministic=True)
    text = {
        field
        for lookup in lookups
        for field, kind in zip(lookup.fields, lookup.types, strict=True)
        if kind == "text" and field in schema.columns and scan.key_types[field] - {str}
    }
    for field in sorted(text):
        column = schema.columns[field]
        db.execute(
            f"UPDATE records SET {column} = key_text({column})"  # noqa: S608 - our names of columns
            f" WHERE typeof({column}) IN ('integer', 'real')"
        )
        db.execute(
            "UPDATE elements SET value = key_text(value)"
            " WHERE field = ? AND typeof(value) IN ('integer', 'real')",
            (schema.fields.index(field),),
        )
