"""Rows of a delimited file, in batches; a row that is no CSV is one bad record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from nodes.catalog.readers.dialect import Dialect
from nodes.catalog.readers.lines import line_blocks
from nodes.catalog.readers.records import MAX_RECORD_BYTES, READ_BLOCK_BYTES, TOO_LARGE_REASON
from nodes.catalog.readers.source import Source

Row = list[str]
BLOCK_LINES = 250
"""About how many lines are read at once: more take longer, outside of the processor's cache."""


class RowBatch(NamedTuple):
    """Some rows, and the line that each starts on; a blank line is a row without cells."""

    rows: list[Row]
    numbers: list[int] | range


class RowReader:
    """The rows of one file.

    Each block of lines is read in one call. One that cannot be is read row by row: where a quote
    is not closed, only the line that opens it is bad, and reading goes on with the next.
    """

    def __init__(self, source: Source, dialect: Dialect, *, line_bytes: int, report: bool) -> None:
        """Initialize.

        Args:
            source: The file.
            dialect: How its cells are told apart.
            line_bytes: About how long its lines are.
            report: Whether bad rows are reported; a file that is read twice has them once.
        """
        self._source = source
        self._dialect = dialect
        self._report = report
        self._block_bytes = min(READ_BLOCK_BYTES, BLOCK_LINES * line_bytes)
        # The library's limit is one for the whole process; it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_RECORD_BYTES))

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order."""
        carried: list[str] = []  # the lines of a row that goes on in the next block
        expected = 1
        skipped = self._dialect.named_bytes
        for number, block in line_blocks(
            self._source, report=self._report, block_bytes=self._block_bytes
        ):
            text = block[skipped:] if number == 1 else block
            first = number + (number == 1 and skipped > 0)
            if carried and number != expected:  # a line between them was left out
                yield self._row_by_row(carried, expected - len(carried), ended=True)[0]
                carried = []
            expected = number + block.count(b"\n") + (not block.endswith(b"\n"))
            if carried and b'"' not in text and len(carried) * len(carried[0]) < MAX_RECORD_BYTES:
                carried += io.StringIO(_decoded(text), newline="\n").readlines()
                continue
            batch = None if carried else self._whole_block(text, first)
            if batch is None:
                lines = carried + io.StringIO(_decoded(text), newline="\n").readlines()
                batch, carried = self._row_by_row(lines, first - len(carried), ended=False)
            yield batch
        if carried:
            yield self._row_by_row(carried, expected - len(carried), ended=True)[0]

    def _reader(self, lines: Iterator[str]) -> Iterator[Row]:
        return csv.reader(
            lines,
            strict=True,
            delimiter=self._dialect.delimiter,
            skipinitialspace=self._dialect.skip_blanks,
        )

    def _whole_block(self, text: bytes, number: int) -> RowBatch | None:
        """The rows of a block in which each line is a row; None for another."""
        try:
            rows = list(self._reader(io.StringIO(text.decode(), newline="\n")))
        except (csv.Error, UnicodeDecodeError):
            return None
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        return RowBatch(rows, range(number, number + lines)) if len(rows) == lines else None

    def _row_by_row(
        self, lines: list[str], number: int, *, ended: bool
    ) -> tuple[RowBatch, list[str]]:
        """The rows of some lines, and the lines of the last row if it may go on after them.

        Args:
            lines: The lines.
            number: The number of the first.
            ended: Whether there are no more.
        """
        rows: list[Row] = []
        numbers: list[int] = []
        at = 0
        reader = self._reader(map(lines.__getitem__, range(at, len(lines))))
        began = 0  # the line that this reader began with
        while at < len(lines):
            try:
                row = next(reader)
            except csv.Error:
                line_num: int = reader.line_num  # type: ignore[attr-defined]
                may_go_on = began + line_num >= len(lines) and not ended
                if may_go_on and sum(map(len, lines[at:])) <= MAX_RECORD_BYTES:
                    return RowBatch(rows, numbers), lines[at:]
                self._bad(number + at, self._why(lines, at, began + line_num, ended=ended))
                at += 1
                began = at
                reader = self._reader(map(lines.__getitem__, range(at, len(lines))))
                continue
            end: int = began + reader.line_num  # type: ignore[attr-defined]
            if sum(map(len, lines[at:end])) > MAX_RECORD_BYTES:
                self._bad(number + at, TOO_LARGE_REASON)
            else:
                rows.append(row)
                numbers.append(number + at)
            at = end
        return RowBatch(rows, numbers), []

    def _bad(self, number: int, why: str) -> None:
        if self._report:
            self._source.report_bad(f"{self._source.name}, line {number}", why)

    @staticmethod
    def _why(lines: list[str], at: int, end: int, *, ended: bool) -> str:
        if end - at <= 1 and "\r" in lines[at].rstrip("\r\n"):
            return "it has a CR that ends no line; save the file with LF, or put the cell in quotes"
        if end - at > 1 or (ended and end >= len(lines)):
            return "a quote that opens a cell here is not closed; within a cell, write it twice"
        return "a quote closes a cell, and more follows it; within a cell, write a quote twice"


def _decoded(text: bytes) -> str:
    """The text; bytes that are no UTF-8 are lone surrogates, which no record may have."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "surrogateescape")
