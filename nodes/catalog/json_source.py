"""The JSON and JSON Lines sources."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.records import (
    BATCH_RECORDS,
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    TOO_DEEP_REASON,
    BadRecordError,
    Batch,
    DuplicateKeys,
    EncodedRecords,
    NonFiniteNumber,
    Record,
    ReportBadRecord,
    decode_line,
    encode_lines,
    encode_record,
    json_type_name,
)
from nodes.catalog.uniform_lines import UniformLinesParser
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING, is_nested_within


def read_json(path: Path, name: str, report_bad_record: ReportBadRecord) -> Iterator[Batch]:
    """Read a JSON file: an array of records, or an object with records as its values.

    Arguments and errors are those of `read_records`.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {number}: not UTF-8; save the file as UTF-8") from None
    try:
        top = _DECODER.decode(text)
    except RecursionError:
        raise DataError(f"{name}: nested too deeply to be read") from None
    except json.JSONDecodeError as error:
        raise _syntax_error(name, error.lineno, error) from None
    size = len(raw)
    del raw, text  # frees a large file's text before its records are encoded
    members = _top_level_values(top, name)
    for start in range(0, len(members), BATCH_RECORDS):
        records: list[Record] = []
        bodies: list[bytes] = []
        for number, (key, value) in enumerate(members[start : start + BATCH_RECORDS], start + 1):
            try:
                body = encode_record(value)
            except BadRecordError as bad:
                named = "" if key is None else f" ({quoted(key)})"
                report_bad_record(f"{name}, record {number}{named}", str(bad))
                continue
            assert isinstance(value, dict)  # noqa: S101 - for the type checker
            records.append(value)
            bodies.append(body)
        yield size * min(start + BATCH_RECORDS, len(members)) // len(members), records, bodies


def _top_level_values(top: object, name: str) -> Sequence[tuple[str | None, object]]:
    """The values in the file's array or object, each with its key or None."""
    if isinstance(top, list):
        return [(None, value) for value in top]
    if isinstance(top, DuplicateKeys):
        return top.pairs
    if isinstance(top, dict):
        return list(top.items())
    raise DataError(
        f"{name}: holds {json_type_name(top)}; it must hold an array of records,"
        " or an object of them keyed by name"
    )


def read_json_lines(
    path: Path,
    name: str,
    report_bad_record: ReportBadRecord,
    *,
    block_bytes: int = READ_BLOCK_BYTES,
) -> Iterator[Batch]:
    """Read a JSON Lines file: one record in each line.

    The other arguments and the errors are those of `read_records`.

    Args:
        block_bytes: About how much is read at once.
    """
    position, number = 0, 1
    uniform = UniformLinesParser()
    with path.open("rb") as file:
        while block := file.read(block_bytes) + file.readline():
            position += len(block)
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            if parsed := uniform.parse(block):
                yield position, *parsed
            else:
                records, bodies = _parse_block(block, lines) or _parse_lines(
                    BytesIO(block).readlines(), name, number, report_bad_record
                )
                uniform.learn(records)
                yield position, records, bodies
            number += lines


def _parse_lines(
    lines: list[bytes], name: str, number: int, report_bad_record: ReportBadRecord
) -> EncodedRecords:
    """The records of some lines that the fast path cannot read all at once.

    Most often only a few lines are the reason. Halving finds them, and the rest take the fast
    path.

    Args:
        lines: The lines.
        name: The file's name in messages.
        number: The number of the first line.
        report_bad_record: Called for each record that cannot be used.
    """
    if len(lines) == 1:
        return _parse_line(lines[0], name, number, report_bad_record)
    half = len(lines) // 2
    first, second = lines[:half], lines[half:]
    records, bodies = _parse_block(b"".join(first), half) or _parse_lines(
        first, name, number, report_bad_record
    )
    more_records, more_bodies = _parse_block(b"".join(second), len(second)) or _parse_lines(
        second, name, number + half, report_bad_record
    )
    return records + more_records, bodies + more_bodies


def _parse_block(block: bytes, lines: int) -> EncodedRecords | None:
    """The fast path: all lines in one call of msgspec. None if a line may need the slow path.

    msgspec is seven times as fast as json, but it takes a line end for any white space, and it
    drops a duplicate key silently. Two checks make up for that:

    - One record in each line: inside a record, "}" is never followed by "{". So if every line end
      is between these two, no record spans lines, and the number of records must be that of lines.
    - No duplicate key: a dropped key would take its quotes with it. So the number of unescaped
      quotes must be the same before decoding and after encoding again. Counting them needs no
      parser as long as no backslash is itself escaped.

    Searches for single characters take almost no time, and most often spare the others.
    """
    escapes = b"\\" in block
    ends = block.count(b"}\n{") + (block.count(b"}\r\n{") if b"\r" in block else 0)
    if ends != lines - 1 or block[:1] != b"{" or (escapes and b"\\\\" in block):
        return None
    try:
        records = _decode_lines(block)
        text = encode_lines(records)
    except (ValueError, RecursionError):
        return None
    if len(records) != lines or not is_nested_within(text, MAX_NESTING, beside=lines - 1):
        return None
    if escapes and b"\\\\" in text:
        return None
    if _count_quotes(text, escapes=escapes) != _count_quotes(block, escapes=escapes):
        return None
    bodies = text.split(b"\n")
    bodies.pop()  # the empty rest after the last line end
    too_large = len(text) > MAX_RECORD_BYTES and max(map(len, bodies)) > MAX_RECORD_BYTES
    return None if too_large else (records, bodies)


def _count_quotes(text: bytes, *, escapes: bool) -> int:
    """The number of unescaped quotes."""
    return text.count(b'"') - (text.count(b'\\"') if escapes else 0)


def _parse_line(
    line: bytes, name: str, number: int, report_bad_record: ReportBadRecord
) -> EncodedRecords:
    """The slow path: the record of one line, if it has one, with every check and exact message."""
    text = decode_line(line, name, number)
    if not text.strip(" \t\r\n"):
        return [], []
    try:
        value = _DECODER.decode(text)
        body = encode_record(value)
    except json.JSONDecodeError as error:
        raise _syntax_error(name, number, error) from None
    except RecursionError:
        report_bad_record(f"{name}, line {number}", TOO_DEEP_REASON)
    except BadRecordError as bad:
        report_bad_record(f"{name}, line {number}", str(bad))
    else:
        assert isinstance(value, dict)  # noqa: S101 - for the type checker
        return [value], [body]
    return [], []


def _parse_object(pairs: list[tuple[str, object]]) -> Record | DuplicateKeys:
    record = dict(pairs)
    return record if len(record) == len(pairs) else DuplicateKeys(pairs)


def _parse_float(text: str) -> float | NonFiniteNumber:
    value = float(text)
    return value if math.isfinite(value) else NonFiniteNumber(text)


def _parse_int(text: str) -> int | NonFiniteNumber:
    try:
        return int(text)
    except ValueError:  # more digits than Python agrees to convert
        return NonFiniteNumber(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_parse_object,
    parse_float=_parse_float,
    parse_int=_parse_int,
    parse_constant=NonFiniteNumber,
)
_decode_lines = msgspec.json.Decoder(Record).decode_lines


def _syntax_error(name: str, line: int, error: json.JSONDecodeError) -> DataError:
    return DataError(f"{name}, line {line}, column {error.colno}: not JSON ({error.msg})")
