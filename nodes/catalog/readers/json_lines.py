"""The reader of JSON Lines: one record in each line, and each bad line one bad record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO

import msgspec

from nodes.catalog.readers.json_values import DECODER, syntax_reason
from nodes.catalog.readers.lines import line_blocks
from nodes.catalog.readers.records import (
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    TOO_DEEP_REASON,
    BadRecordError,
    Batch,
    EncodedRecords,
    Record,
    encode_lines,
    encode_record,
)
from nodes.catalog.readers.source import Source
from nodes.catalog.readers.uniform_lines import UniformLinesParser
from nodes.support.nesting import MAX_NESTING, is_nested_within


def read_json_lines(source: Source, *, block_bytes: int = READ_BLOCK_BYTES) -> Iterator[Batch]:
    """Read the records of a JSON Lines file.

    Args:
        source: The file.
        block_bytes: About how much is read at once.

    Raises:
        DataError: The file cannot be read.
    """
    uniform = UniformLinesParser()
    for number, block in line_blocks(source, block_bytes=block_bytes):
        if parsed := uniform.parse(block):
            yield source.position, *parsed
        else:
            records, bodies = parse_lines(source, block, number)
            uniform.learn(records)
            yield source.position, records, bodies


def parse_lines(source: Source, block: bytes, number: int) -> EncodedRecords:
    """The records of some lines; `number` is that of the first.

    Most often only a few lines are why they cannot be read all at once. Halving finds them, and
    the rest take the fast path.
    """
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if parsed := _parse_block(block, lines):
        return parsed
    if lines <= 1:
        return _parse_line(source, block, number)
    parts = BytesIO(block).readlines()
    half = lines // 2
    records, bodies = parse_lines(source, b"".join(parts[:half]), number)
    more_records, more_bodies = parse_lines(source, b"".join(parts[half:]), number + half)
    return records + more_records, bodies + more_bodies


def _parse_block(block: bytes, lines: int) -> EncodedRecords | None:
    """The fast path: all lines in one call of msgspec. None if a line may need the slow path.

    msgspec is seven times as fast as json, but it takes a line end for any white space, and it
    drops a duplicate key silently. Two checks make up for that:

    - One record in each line: inside a record, "}" is never followed by "{". So if every line end
      is between these two, no record spans lines, and the number of records must be that of lines.
    - No duplicate key: see `keeps_every_key`.

    Searches for single characters take almost no time, and most often spare the others.
    """
    ends = block.count(b"}\n{") + (block.count(b"}\r\n{") if b"\r" in block else 0)
    if ends != lines - 1 or block[:1] != b"{":
        return None
    try:
        records = _decode_lines(block)
        text = encode_lines(records)
    except (ValueError, RecursionError):
        return None
    if len(records) != lines or not is_nested_within(text, MAX_NESTING, beside=lines - 1):
        return None
    if not keeps_every_key(block, text):
        return None
    bodies = text.split(b"\n")
    bodies.pop()  # the empty rest after the last line end
    too_large = len(text) > MAX_RECORD_BYTES and max(map(len, bodies)) > MAX_RECORD_BYTES
    return None if too_large else (records, bodies)


def keeps_every_key(before: bytes, after: bytes) -> bool:
    """Whether no duplicate key was dropped when JSON text was decoded and encoded again.

    A dropped key would take its quotes with it. So the number of unescaped quotes must be the same.
    Counting them needs no parser as long as no backslash is itself escaped.
    """
    escapes = b"\\" in before
    if escapes and (b"\\\\" in before or b"\\\\" in after):
        return False
    return _count_quotes(before, escapes=escapes) == _count_quotes(after, escapes=escapes)


def _count_quotes(text: bytes, *, escapes: bool) -> int:
    """The number of unescaped quotes."""
    return text.count(b'"') - (text.count(b'\\"') if escapes else 0)


def _parse_line(source: Source, line: bytes, number: int) -> EncodedRecords:
    """The slow path: the record of one line, if it has one, with every check and exact message."""
    try:
        text = line.decode().rstrip("\r\n")
        if not text.strip(" \t\r"):
            return [], []
        value = DECODER.decode(text)
        body = encode_record(value)
    except UnicodeDecodeError as error:
        why = source.not_utf8(error.start + 1)
    except json.JSONDecodeError as error:
        why = f"not JSON at column {error.colno}: {syntax_reason(error)}"
    except RecursionError:
        why = TOO_DEEP_REASON
    except BadRecordError as bad:
        why = str(bad)
    else:
        assert isinstance(value, dict)  # noqa: S101 - for the type checker
        return [value], [body]
    source.report_bad(f"{source.name}, line {number}", why)
    return [], []


_decode_lines = msgspec.json.Decoder(Record).decode_lines
