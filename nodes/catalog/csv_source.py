"""The CSV source: a header, then one record in each row, streamed.

CSV has no types, so each column gets the narrowest type that all its cells fit. The file is read
twice for that: once for the types, once for the records.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, quoted
from nodes.catalog.records import (
    BATCH_RECORDS,
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    BadRecordError,
    Batch,
    EncodedRecords,
    Record,
    ReportBadRecord,
    decode_line,
    encode_record,
    encode_records,
)
from nodes.errors import DataError

# Numbers as JSON writes them. "007", "+5" or " 5" would lose something as a number: they are text.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

CellConverter = Callable[[str], object]
Row = list[str]
Rows = Iterator[tuple[int, int, list[Row]]]
"""Batches of rows: the line that the first starts on, the bytes read so far, the cells."""


def read_csv(path: Path, name: str, report_bad_record: ReportBadRecord) -> Iterator[Batch]:
    """Read a CSV file; an empty cell is a field that the record does not have.

    Args:
        path: The file.
        name: The file's name in messages.
        report_bad_record: Called for each row with more or fewer cells than the header.

    Raises:
        DataError: the header or the quoting is broken.
    """
    size = path.stat().st_size
    columns = _Columns(name, report_bad_record)
    # The first pass takes about a quarter of the time; progress counts it so.
    for position in columns.scan_types(_rows(path, name)):
        yield position // 4, [], []
    batches = _rows(path, name)
    _header(batches)
    for number, position, rows in batches:
        yield (size + 3 * position) // 4, *columns.records(rows, number)


class _Columns:
    """The columns of a file, which turn its rows into records."""

    def __init__(self, name: str, report_bad_record: ReportBadRecord) -> None:
        self._name = name
        self._report_bad = report_bad_record
        self._fields: Row = []
        self._converters: list[CellConverter] = []

    def scan_types(self, batches: Rows) -> Iterator[int]:
        """Read the header and find every column's type; yields the bytes read so far."""
        self._fields = _header(batches)
        width = len(self._fields)
        if not width or not all(self._fields) or len(set(self._fields)) != width:
            raise DataError(
                f"{self._name}, line 1: the header must name every column, each differently;"
                f" it is {quoted(','.join(self._fields))}"
            )
        self._converters = [int] * width
        for _, position, rows in batches:
            whole = [row for row in rows if len(row) == width]
            for column, texts in enumerate(zip(*whole, strict=True)):
                if self._converters[column] is not str:
                    self._converters[column] = _narrowest_type(texts, self._converters[column])
            yield position

    def records(self, rows: list[Row], number: int) -> EncodedRecords:
        """The records of some rows; `number` is the line that the first starts on."""
        if converted := self._convert_rows_fast(rows):
            return converted
        if len(rows) == 1:
            return self._check_row(rows[0], f"{self._name}, line {number}")
        half = len(rows) // 2
        records, bodies = self.records(rows[:half], number)
        more_records, more_bodies = self.records(rows[half:], number + _count_lines(rows[:half]))
        return records + more_records, bodies + more_bodies

    def _convert_rows_fast(self, rows: list[Row]) -> EncodedRecords | None:
        """The fast path for rows without an error; None if there is one."""
        if set(map(len, rows)) != {len(self._fields)}:
            return None
        if all(map(all, rows)):
            # Column by column, in C: no Python code runs for a single row.
            columns = map(map, self._converters, zip(*rows, strict=True))
            named = map(zip, repeat(self._fields), zip(*columns, strict=True))
            records: list[Record] = list(map(dict, named))
        else:
            records = [self._convert_row(row) for row in rows]
        bodies = encode_records(records)
        return None if max(map(len, bodies)) > MAX_RECORD_BYTES else (records, bodies)

    def _check_row(self, row: Row, where: str) -> EncodedRecords:
        """The slow path: the record of one row, if it has one, with every check."""
        if row and len(row) != len(self._fields):
            width = len(self._fields)
            self._report_bad(where, f"it has {len(row)} cells where the header has {width}")
        elif row:
            record = self._convert_row(row)
            try:
                return [record], [encode_record(record)]
            except BadRecordError as bad:
                self._report_bad(where, str(bad))
        return [], []

    def _convert_row(self, row: Row) -> Record:
        cells = zip(self._fields, self._converters, row, strict=True)
        return {field: cell(text) for field, cell, text in cells if text}


def _rows(path: Path, name: str) -> Rows:
    """The rows of a file in batches, the header alone in its own; a blank line has no cells."""
    position = 0

    def blocks() -> Iterator[list[str]]:
        nonlocal position
        number = 1
        with path.open("rb") as file:
            while lines := file.readlines(READ_BLOCK_BYTES):
                position += sum(map(len, lines))
                yield _decode_lines(lines, name, number)
                number += len(lines)

    reader = csv.reader(chain.from_iterable(blocks()), strict=True)
    number, size = 1, 1
    while True:
        rows: list[Row] = []
        try:
            for row in islice(reader, size):
                rows.append(row)
        except csv.Error as error:
            # The line where the row starts: an open quote shows only at the end of the file.
            number += _count_lines(rows)
            raise DataError(f"{name}, line {number}: not CSV ({error})") from None
        if not rows:
            return
        yield number, position, rows
        number = reader.line_num + 1
        if any(rows):
            size = BATCH_RECORDS


def _header(batches: Rows) -> Row:
    """The first row that is not blank, taken from the batches."""
    return next((rows[0] for _, _, rows in batches if rows[0]), [])


def _decode_lines(lines: list[bytes], name: str, number: int) -> list[str]:
    if number > 1:
        try:
            return list(map(bytes.decode, lines))
        except UnicodeDecodeError:
            pass  # decoded again one by one, to name the line
    return [decode_line(line, name, at) for at, line in enumerate(lines, number)]


def _count_lines(rows: Sequence[Row]) -> int:
    """The number of lines that these rows take in the file."""
    return len(rows) + sum(cell.count("\n") for row in rows for cell in row)


def _narrowest_type(texts: Sequence[str], kind: CellConverter) -> CellConverter:
    """The narrowest type for these cells, at least `kind`, which the cells before need."""
    distinct = set(texts)
    if kind is int and _are_plain_integers(distinct):
        return int
    for text in distinct:
        if _INTEGER.fullmatch(text):
            # An integer of more than 64 bits would lose digits as a number: it stays text.
            fits = len(text) < 20 or (len(text) == 20 and text[0] == "-")
            if not fits or not INTEGER_MIN <= int(text) <= INTEGER_MAX:
                return str
        elif _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            kind = _parse_number
        elif text:
            return str
    return kind


def _are_plain_integers(texts: set[str]) -> bool:
    """A fast test for a column of integers; it may be False for some, never True for others."""
    try:
        integers = set(map(int, texts))
    except ValueError:
        return False
    fit = min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX
    return fit and set(map(str, integers)) == texts


def _parse_number(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else float(text)
