"""Blocks of whole lines, the unit in which text is read; a line over the limit is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nodes.catalog.readers.records import (
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    TOO_LARGE_REASON,
)
from nodes.catalog.readers.source import ByteStream, Source


class LineBlock(NamedTuple):
    """Some lines of a file: the number of the first, and their text with every line end."""

    number: int
    text: bytes

    @property
    def lines(self) -> int:
        """How many there are; the last of a file may lack its end."""
        return self.text.count(b"\n") + (not self.text.endswith(b"\n"))


def line_blocks(
    source: Source, *, report: bool = True, block_bytes: int = READ_BLOCK_BYTES
) -> Iterator[LineBlock]:
    """Read a file in blocks of whole lines.

    Args:
        source: The file.
        report: Whether a line over the limit is reported; a file that is read twice has it once.
        block_bytes: About how much is read at once.
    """
    number = 1
    with source.open() as stream:
        while text := stream.read(block_bytes):
            if not text.endswith(b"\n"):
                text += stream.readline(MAX_RECORD_BYTES + 1)
            start = text.rfind(b"\n", 0, -1) + 1
            if len(text) - start - text.endswith(b"\n") <= MAX_RECORD_BYTES:
                block = LineBlock(number, text)
                yield block
                number += block.lines
                continue
            # What comes before the line is whole; of the line itself no more is kept.
            if start:
                block = LineBlock(number, text[:start])
                yield block
                number += block.lines
            if not text.endswith(b"\n"):
                del text
                _skip_line(stream)
            if report:
                source.report_bad(f"{source.name}, line {number}", TOO_LARGE_REASON)
            number += 1


def _skip_line(stream: ByteStream) -> None:
    while (rest := stream.readline(READ_BLOCK_BYTES)) and not rest.endswith(b"\n"):
        pass
