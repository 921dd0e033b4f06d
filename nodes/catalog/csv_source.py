"""CSV files in, records out: a header line, then one record a line, streamed.

CSV has no types, so a column gets the narrowest that all its cells fit: it is
read twice, once for the types and once for the records.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, shown
from nodes.catalog.records import (
    BATCH_RECORDS,
    BLOCK_BYTES,
    MAX_RECORD_BYTES,
    Batch,
    Record,
    ReportBad,
    Unusable,
    UsableRecords,
    decode_line,
    encode_record,
    encode_records,
)
from nodes.errors import DataError

# Only what JSON would write: "007", "+5" or " 5" carry more than a number does.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

Cell = Callable[[str], object]
Row = list[str]
Rows = Iterator[tuple[int, int, list[Row]]]
"""Batches: the line the first row starts on, the bytes read so far, the rows' cells."""


def read_csv(path: Path, name: str, report_bad: ReportBad) -> Iterator[Batch]:
    """The records of a CSV file; an empty cell is a field the record does not have.

    Args:
        path: the file.
        name: how messages call it.
        report_bad: told of each line with more or fewer cells than the header.

    Raises:
        DataError: the header or the quoting is broken.
    """
    size = path.stat().st_size
    columns = _Columns(name, report_bad)
    # The first reading takes about a quarter of the time.
    for position in columns.scan_types(_rows(path, name)):
        yield position // 4, [], []
    batches = _rows(path, name)
    _header(batches)
    for number, position, rows in batches:
        yield (size + 3 * position) // 4, *columns.records(rows, number)


class _Columns:
    """A file's columns, and the records its rows are."""

    def __init__(self, name: str, report_bad: ReportBad) -> None:
        self._name = name
        self._report_bad = report_bad
        self._fields: Row = []
        self._cells: list[Cell] = []

    def scan_types(self, batches: Rows) -> Iterator[int]:
        """Takes in the header and every column's type; says how many bytes are read."""
        self._fields = _header(batches)
        width = len(self._fields)
        if not width or not all(self._fields) or len(set(self._fields)) != width:
            raise DataError(
                f"{self._name}, line 1: the header must name every column, each differently;"
                f" it is {shown(','.join(self._fields))}"
            )
        self._cells = [int] * width
        for _, position, rows in batches:
            whole = [row for row in rows if len(row) == width]
            for column, texts in enumerate(zip(*whole, strict=True)):
                if self._cells[column] is not str:
                    self._cells[column] = _narrowest_type(texts, self._cells[column])
            yield position

    def records(self, rows: list[Row], number: int) -> UsableRecords:
        """The records of some rows, the first of which starts on line `number`."""
        if plain := self._plain(rows):
            return plain
        if len(rows) == 1:
            return self._record(rows[0], f"{self._name}, line {number}")
        half = len(rows) // 2
        records, bodies = self.records(rows[:half], number)
        more_records, more_bodies = self.records(rows[half:], number + _lines(rows[:half]))
        return records + more_records, bodies + more_bodies

    def _plain(self, rows: list[Row]) -> UsableRecords | None:
        """The quick way through rows with nothing wrong in them; None if anything is."""
        if set(map(len, rows)) != {len(self._fields)}:
            return None
        if all(map(all, rows)):
            # Column by column, and without a step of Python's own for any row.
            columns = map(map, self._cells, zip(*rows, strict=True))
            named = map(zip, repeat(self._fields), zip(*columns, strict=True))
            records: list[Record] = list(map(dict, named))
        else:
            records = [self._made(row) for row in rows]
        bodies = encode_records(records)
        return None if max(map(len, bodies)) > MAX_RECORD_BYTES else (records, bodies)

    def _record(self, row: Row, where: str) -> UsableRecords:
        """The record of a row, if it has one, with what is wrong with it told."""
        if row and len(row) != len(self._fields):
            width = len(self._fields)
            self._report_bad(where, f"it has {len(row)} cells where the header has {width}")
        elif row:
            record = self._made(row)
            try:
                return [record], [encode_record(record)]
            except Unusable as unusable:
                self._report_bad(where, str(unusable))
        return [], []

    def _made(self, row: Row) -> Record:
        cells = zip(self._fields, self._cells, row, strict=True)
        return {field: cell(text) for field, cell, text in cells if text}


def _rows(path: Path, name: str) -> Rows:
    """A file's rows; a blank line is one without cells. The header is a batch of its own."""
    position = 0

    def blocks() -> Iterator[list[str]]:
        nonlocal position
        number = 1
        with path.open("rb") as file:
            while lines := file.readlines(BLOCK_BYTES):
                position += sum(map(len, lines))
                yield _decoded(lines, name, number)
                number += len(lines)

    reader = csv.reader(chain.from_iterable(blocks()), strict=True)
    number, size = 1, 1
    while True:
        rows: list[Row] = []
        try:
            for row in islice(reader, size):
                rows.append(row)
        except csv.Error as error:
            # Where the record starts: a quote left open is seen only at the end of the file.
            number += _lines(rows)
            raise DataError(f"{name}, line {number}: not CSV ({error})") from None
        if not rows:
            return
        yield number, position, rows
        number = reader.line_num + 1
        if any(rows):
            size = BATCH_RECORDS


def _header(batches: Rows) -> Row:
    """The first row that is not blank; the batches go on after it."""
    return next((rows[0] for _, _, rows in batches if rows[0]), [])


def _decoded(lines: list[bytes], name: str, number: int) -> list[str]:
    if number > 1:
        try:
            return list(map(bytes.decode, lines))
        except UnicodeDecodeError:
            pass  # which one it was is found line by line
    return [decode_line(line, name, at) for at, line in enumerate(lines, number)]


def _lines(rows: Sequence[Row]) -> int:
    """How many lines of the file these rows take."""
    return len(rows) + sum(cell.count("\n") for row in rows for cell in row)


def _narrowest_type(texts: Sequence[str], kind: Cell) -> Cell:
    """The narrowest type that fits these cells and those before them, which fit `kind`."""
    distinct = set(texts)
    if kind is int and _plain_integers(distinct):
        return int
    for text in distinct:
        if _INTEGER.fullmatch(text):
            # An integer beyond 64 bits would lose digits as a number: it stays text.
            fits = len(text) < 20 or (len(text) == 20 and text[0] == "-")
            if not fits or not INTEGER_MIN <= int(text) <= INTEGER_MAX:
                return str
        elif _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            kind = _number
        elif text:
            return str
    return kind


def _plain_integers(texts: set[str]) -> bool:
    """Whether all are integers without doubt, which most batches of integers are."""
    try:
        integers = set(map(int, texts))
    except ValueError:
        return False
    fit = min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX
    return fit and set(map(str, integers)) == texts


def _number(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else float(text)
