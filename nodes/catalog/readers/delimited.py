"""The reader of delimited text (CSV, TSV): a header, then one record in each row.

Cells have no types, so that each column gets the narrowest that all its cells in all files fit: all
such files are read once for the types, and once for the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

from nodes.catalog.arguments import quoted
from nodes.catalog.readers.columns import ColumnTypes, column_names
from nodes.catalog.readers.dialect import find_dialect
from nodes.catalog.readers.records import (
    HALF_CHARACTER_REASON,
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    BadRecordError,
    Batch,
    EncodedRecords,
    Record,
    encode_record,
    encode_records,
)
from nodes.catalog.readers.rows import Row, RowBatch, RowReader
from nodes.catalog.readers.source import Source
from nodes.errors import DataError


def scan_columns(source: Source, types: ColumnTypes, *, usual: str) -> Iterator[int]:
    """Read a file's columns for their types; yields how much of the file's bytes is done with.

    Raises:
        DataError: The file cannot be read.
    """
    table = _Table(source, types)
    for batch in table.batches(usual, report=False):
        table.scan(batch)
        # It takes about a quarter of the time; progress counts it so.
        yield source.position // 4


def read_delimited(source: Source, types: ColumnTypes, *, usual: str) -> Iterator[Batch]:
    """Read a file's records; an empty cell is a field that the record does not have.

    Args:
        source: The file.
        types: The types of its columns, for which it was scanned.
        usual: The delimiter that files of that name usually have.

    Raises:
        DataError: The file cannot be read, or is another by now.
    """
    table = _Table(source, types)
    for batch in table.batches(usual, report=True):
        records, bodies = table.records(batch)
        yield (source.size + 3 * source.position) // 4, records, bodies
    if not table.has_header:
        raise DataError(f"{source.name}: there is no line in it that names the columns")


class _Table:
    """A file's header, and what makes records of its rows."""

    def __init__(self, source: Source, types: ColumnTypes) -> None:
        self._source = source
        self._types = types
        self._null = frozenset(source.options.null)
        self._fields: list[str] = []
        self._converters = types.converters(())

    @property
    def has_header(self) -> bool:
        """Whether there was one."""
        return bool(self._fields)

    def batches(self, usual: str, *, report: bool) -> Iterator[RowBatch]:
        """The rows after the header."""
        with self._source.open() as stream:
            sample = stream.read(READ_BLOCK_BYTES).decode("utf-8", "replace")
        whole = sample[: sample.rfind("\n") + 1] or sample
        dialect = find_dialect(whole, usual=usual, declared=self._source.options.delimiter)
        if report and (note := dialect.note(usual)):
            self._source.note(note)
        line = 1 + bool(dialect.named_bytes)
        line_bytes = max(1, len(whole) // max(1, whole.count("\n")))
        reader = RowReader(self._source, dialect, line_bytes=line_bytes, report=report)
        for batch in reader.batches():
            if self._fields:
                yield batch
                continue
            at = next((at for at, row in enumerate(batch.rows) if any(row)), len(batch.rows))
            line += at
            if at == len(batch.rows):
                continue
            if batch.numbers[at] != line:
                raise DataError(
                    f"{self._source.name}, line {line}: it must name the columns, and is no CSV;"
                    " look at its quotes"
                )
            self._take_header(batch.rows[at], report=report)
            yield RowBatch(batch.rows[at + 1 :], batch.numbers[at + 1 :])

    def _take_header(self, header: Row, *, report: bool) -> None:
        try:
            ",".join(header).encode()
        except UnicodeEncodeError as error:
            why = self._source.not_utf8(error.start + 1)
            raise DataError(f"{self._source.name}: in its first line {why}") from None
        self._fields, notes = column_names(header)
        self._converters = self._types.converters(self._fields)
        for note in notes if report else ():
            self._source.note(note)

    def scan(self, batch: RowBatch) -> None:
        """Take rows into account for the types of the columns."""
        width = len(self._fields)
        rows = batch.rows
        if set(map(len, rows)) != {width}:
            rows = [row for row in rows if len(row) == width]
        if isinstance(batch.numbers, list):  # only these may have bytes that are no UTF-8
            rows = [row for row in rows if _is_text(row)]
        self._types.add(self._fields, self._without_null(rows))

    def records(self, batch: RowBatch) -> EncodedRecords:
        """The records of some rows."""
        rows, numbers = batch
        if not rows:
            return [], []
        if converted := self._convert_rows_fast(self._without_null(rows)):
            return converted
        if len(rows) == 1:
            return self._check_row(rows[0], f"{self._source.name}, line {numbers[0]}")
        half = len(rows) // 2
        records, bodies = self.records(RowBatch(rows[:half], numbers[:half]))
        more_records, more_bodies = self.records(RowBatch(rows[half:], numbers[half:]))
        return records + more_records, bodies + more_bodies

    def _without_null(self, rows: list[Row]) -> list[Row]:
        """The rows, with empty cells for those that stand for no value."""
        if not self._null:
            return rows
        return [["" if cell in self._null else cell for cell in row] for row in rows]

    def _convert_rows_fast(self, rows: list[Row]) -> EncodedRecords | None:
        """The fast path for rows without an error; None if there is one."""
        if set(map(len, rows)) != {len(self._fields)}:
            return None
        try:
            if all(map(all, rows)):
                # Column by column, in C: no Python code runs for a single row.
                columns = map(map, self._converters, zip(*rows, strict=True))
                named = map(zip, repeat(self._fields), zip(*columns, strict=True))
                records: list[Record] = list(map(dict, named))
            else:
                records = [self._convert_row(row) for row in rows]
            bodies = encode_records(records)
        except ValueError:  # a cell of another type, or that is no UTF-8
            return None
        return None if max(map(len, bodies)) > MAX_RECORD_BYTES else (records, bodies)

    def _check_row(self, row: Row, where: str) -> EncodedRecords:
        """The slow path: the record of one row, if it has one, with every check."""
        if not row:  # a blank line
            return [], []
        try:
            if len(row) != len(self._fields):
                width = len(self._fields)
                raise BadRecordError(f"it has {len(row)} cells where the header has {width}")
            (cells,) = self._without_null([row])
            record = self._checked_record(cells)
            return [record], [encode_record(record)]
        except BadRecordError as bad:
            why = str(bad)
        if why == HALF_CHARACTER_REASON:
            why = self._source.not_utf8(_first_undecodable(",".join(row)))
        self._source.report_bad(where, why)
        return [], []

    def _checked_record(self, row: Row) -> Record:
        record: Record = {}
        for field, cell, text in zip(self._fields, self._converters, row, strict=True):
            if not text:
                continue
            try:
                record[field] = cell(text)
            except ValueError:
                if not _is_text([text]):
                    raise BadRecordError(HALF_CHARACTER_REASON) from None
                if self._types.is_declared(field):
                    wanted = self._types.kind(field)
                    raise BadRecordError(
                        f"{quoted(field)} is {quoted(text)}, and [types] in dataset.toml says"
                        f" {wanted}"
                    ) from None
                raise DataError(
                    f"{self._source.name} changed while it was read; try again"
                ) from None
        return record

    def _convert_row(self, row: Row) -> Record:
        cells = zip(self._fields, self._converters, row, strict=True)
        return {field: cell(text) for field, cell, text in cells if text}


def _is_text(row: Sequence[str]) -> bool:
    """Whether no cell has bytes that are no UTF-8."""
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return False
    return True


def _first_undecodable(text: str) -> int:
    """Where the first byte is that is no UTF-8, from 1."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return len(text[: error.start].encode()) + 1
    return 1
