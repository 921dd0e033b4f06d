"""CSV files in, records out: a header line, then one record a line, streamed.

CSV has no types, so a column gets the narrowest that all its cells fit: it is
read twice, once for the types and once for the records.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, shown
from nodes.catalog.sources import Bad, Record, Stored, Unusable, decode_line, encode_record
from nodes.errors import DataError

# Only what JSON would write: "007", "+5" or " 5" carry more than a number does.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")

Cell = Callable[[str], object]


def read_sheet(path: Path, name: str, bad: Bad) -> Iterator[Stored]:
    """The records of a CSV file; an empty cell is a field the record does not have.

    `name` is how messages call the file. Raises `DataError` if the header or
    the quoting is broken; a line with more or fewer cells than the header is
    told to `bad`.
    """
    header, cells = _columns(path, name)
    rows = _rows(path, name)
    next(rows, None)  # the header
    for number, position, row in rows:
        where = f"{name}, line {number}"
        if len(row) != len(header):
            bad(where, f"it has {len(row)} cells where the header has {len(header)}")
            continue
        record: Record = {
            field: cell(text) for field, cell, text in zip(header, cells, row, strict=True) if text
        }
        try:
            yield position, record, encode_record(record)
        except Unusable as unusable:
            bad(where, str(unusable))


def _columns(path: Path, name: str) -> tuple[list[str], list[Cell]]:
    """The header, and how to read each column's cells; the first of the two readings."""
    rows = _rows(path, name)
    _, _, header = next(rows, (1, 0, []))
    if not header or not all(header) or len(set(header)) != len(header):
        raise DataError(
            f"{name}, line 1: the header must name every column, each differently;"
            f" it is {shown(','.join(header))}"
        )
    kinds: list[Cell] = [_integer] * len(header)
    for _, _, row in rows:
        if len(row) == len(header):
            for column, text in enumerate(row):
                if text and kinds[column] is not str:
                    kinds[column] = _narrowest(text, kinds[column])
    return header, kinds


def _rows(path: Path, name: str) -> Iterator[tuple[int, int, list[str]]]:
    """Every row that is not blank: the line it starts on, the bytes read so far, its cells."""
    position = 0

    def lines() -> Iterator[str]:
        nonlocal position
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                position += len(line)
                yield decode_line(line, name, number)

    reader = csv.reader(lines(), strict=True)
    number = 1
    try:
        for row in reader:
            if row:
                yield number, position, row
            number = reader.line_num + 1
    except csv.Error as error:
        # Where the record starts: a quote left open is seen only at the end of the file.
        raise DataError(f"{name}, line {number}: not CSV ({error})") from None


def _narrowest(text: str, kind: Cell) -> Cell:
    """The narrowest type that fits this cell and those before it, which fit `kind`."""
    if _INTEGER.fullmatch(text):
        # An integer beyond 64 bits would lose digits as a number: it stays text.
        fits = len(text) < 20 or (len(text) == 20 and text[0] == "-")
        return kind if fits and INTEGER_MIN <= int(text) <= INTEGER_MAX else str
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return _number
    return str


def _integer(text: str) -> object:
    return int(text)


def _number(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else float(text)
