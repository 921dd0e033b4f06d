"""The readers of tables whose cells have types: Parquet, spreadsheets, SQLite.

The first two need a library each, which an extra installs.
"""

from __future__ import annotations

import datetime
import decimal
import math
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from nodes.catalog.arguments import quoted
from nodes.catalog.readers.columns import column_names
from nodes.catalog.readers.records import (
    BATCH_RECORDS,
    BadRecordError,
    Batch,
    Record,
    encode_record,
)
from nodes.catalog.readers.source import Source
from nodes.errors import DataError


def read_parquet(source: Source) -> Iterator[Batch]:
    """Read a Parquet file, a few hundred rows at a time.

    Raises:
        DataError: It cannot be read, or the library for it is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise _not_installed(source, "Parquet", "parquet") from None
    try:
        with source.path.open("rb") as stream, source.explained():
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
            fields = list(file.schema_arrow.names)
            total = max(1, file.metadata.num_rows)
            done = 0
            for rows in file.iter_batches(batch_size=BATCH_RECORDS, use_threads=False):
                cells = zip(*(column.to_pylist() for column in rows.columns), strict=True)
                yield _batch(source, fields, cells, first=done + 1, share=done / total)
                done += rows.num_rows
    except (pyarrow.ArrowException, ValueError) as error:
        del error  # a library's words
        raise DataError(f"{source.name}: it is damaged, or no Parquet file") from None


def read_spreadsheet(source: Source) -> Iterator[Batch]:
    """Read a sheet of a workbook: the one that `records` names, or the first that has rows.

    Raises:
        DataError: It cannot be read, or the library for it is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415 - an extra
    except ImportError:
        raise _not_installed(source, "spreadsheets", "excel") from None
    try:
        with source.explained(), CalamineWorkbook.from_path(str(source.path)) as book:
            sheet = book.get_sheet_by_name(_sheet(source, book.sheet_names, book))
            rows = ([_empty_is_none(cell) for cell in row] for row in sheet.iter_rows())
            first = next((row for row in rows if any(cell is not None for cell in row)), [])
            fields, notes = column_names([_header_text(cell) for cell in first])
            for note in notes:
                source.note(note)
            total = max(1, sheet.total_height)
            done = 0
            while part := list(_some(rows)):
                whole = [row for row in part if any(cell is not None for cell in row)]
                yield _batch(source, fields, whole, first=done + 1, share=done / total)
                done += len(whole)
    except CalamineError:
        raise DataError(f"{source.name}: it is damaged, locked, or no spreadsheet") from None


def _sheet(source: Source, names: Sequence[str], book: object) -> str:
    wanted = source.options.records
    if wanted and wanted not in names:
        known = ", ".join(map(quoted, names))
        raise DataError(
            f"{source.name}: it has no sheet {quoted(wanted)}, which records in dataset.toml names;"
            f" there are {known}"
        )
    if wanted:
        return wanted
    filled = [one for one in names if book.get_sheet_by_name(one).total_height > 0]  # type: ignore[attr-defined]
    if not filled:
        raise DataError(f"{source.name}: there are no rows in it below a header")
    if len(filled) > 1:
        others = ", ".join(map(quoted, filled[1:20]))
        source.note(
            f"its sheet {quoted(filled[0])} is read, and not {others}; records in dataset.toml"
            " names another"
        )
    return filled[0]


def _some(rows: Iterator[list[object]]) -> Iterator[list[object]]:
    for _ in range(BATCH_RECORDS):
        row = next(rows, None)
        if row is None:
            return
        yield row


def _empty_is_none(cell: object) -> object:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1 << 53:
        return int(cell)  # a workbook has no integers
    return None if cell == "" else cell


def _header_text(cell: object) -> str:
    return "" if cell is None else str(_plain(cell))


def read_sqlite(source: Source) -> Iterator[Batch]:
    """Read a table of a SQLite file: the one that `records` names, or the only one.

    Raises:
        DataError: It cannot be read, or it cannot be told which table to take.
    """
    _check_at_rest(source)
    uri = f"{source.path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            table = _table(source, db)
            name = '"' + table.replace('"', '""') + '"'
            rows = db.execute(f"SELECT * FROM {name}")  # noqa: S608 - quoted, and one of its own
            fields = [column[0] for column in rows.description]
            (total,) = db.execute(f"SELECT max(1, count(*)) FROM {name}").fetchone()  # noqa: S608
            done = 0
            while part := rows.fetchmany(BATCH_RECORDS):
                yield _batch(source, fields, part, first=done + 1, share=done / total)
                done += len(part)
    except (sqlite3.Error, UnicodeDecodeError):
        raise DataError(f"{source.name}: it is damaged, or no SQLite file") from None


def _check_at_rest(source: Source) -> None:
    """What a program has written to such a file may lie beside it, and not in it."""
    for beside in ("-wal", "-journal"):
        path = Path(f"{source.path}{beside}")
        with source.explained():
            if path.exists() and path.stat().st_size:
                raise DataError(
                    f"{source.name}: some of it is in {path.name} yet: end the program that writes"
                    " to it, or have it say PRAGMA wal_checkpoint(TRUNCATE), or give a copy made"
                    " with VACUUM INTO"
                )


def _table(source: Source, db: sqlite3.Connection) -> str:
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
    names = [str(row[0]) for row in db.execute(query + " ESCAPE '\\' ORDER BY rowid")]
    wanted = source.options.records
    if wanted in names:
        return wanted
    known = ", ".join(map(quoted, names[:50])) or "none"
    if wanted:
        raise DataError(
            f"{source.name}: it has no table {quoted(wanted)}, which records in dataset.toml names;"
            f" there are {known}"
        )
    if len(names) != 1:
        raise DataError(
            f"{source.name}: say in dataset.toml which table to take, as"
            f' records = "{names[0] if names else "people"}"; there are {known}'
        )
    return names[0]


def _batch(
    source: Source, fields: list[str], rows: Iterable[Sequence[object]], *, first: int, share: float
) -> Batch:
    """The records of some rows. A cell without a value is a field that its record does not have."""
    records: list[Record] = []
    bodies: list[bytes] = []
    for number, row in enumerate(rows, first):
        try:
            record = {
                field: _plain(cell)
                for field, cell in zip(fields, row, strict=False)
                if not _is_missing(cell)
            }
            bodies.append(encode_record(record))
            records.append(record)
        except BadRecordError as bad:
            source.report_bad(f"{source.name}, record {number}", str(bad))
    return int(source.size * share), records, bodies


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _plain(value: object) -> object:
    """The value as JSON has it.

    Raises:
        BadRecordError: JSON has none such.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if math.isfinite(value):
                return value
            raise BadRecordError(f"{value} is not a finite number")
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta() | decimal.Decimal() | uuid.UUID():
            return str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise BadRecordError("it has bytes that are no UTF-8 text") from None
        case dict():
            return {str(key): _plain(member) for key, member in value.items()}
        case list() | tuple():
            return [_plain(element) for element in value]
    raise BadRecordError(f"it has a value of a kind that JSON has not: {type(value).__name__}")


def _not_installed(source: Source, what: str, extra: str) -> DataError:
    return DataError(
        f"{source.name}: the library that reads {what} is not installed:"
        f" pip install 'rollcall-console[{extra}]'"
    )
