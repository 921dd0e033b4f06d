"""JSON and JSON Lines files in, records out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nodes.catalog.arguments import shown
from nodes.catalog.records import (
    BATCH_RECORDS,
    BLOCK_BYTES,
    MAX_RECORD_BYTES,
    TOO_DEEP,
    Batch,
    NotJsonNumber,
    Record,
    RepeatedFields,
    ReportBad,
    Unusable,
    UsableRecords,
    decode_line,
    encode_lines,
    encode_record,
    json_kind,
)
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING, is_nested_within


def read_json(path: Path, name: str, report_bad: ReportBad) -> Iterator[Batch]:
    """The records of a JSON file: an array of them, or an object of them keyed by name.

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
        raise _broken(name, error.lineno, error) from None
    size = len(raw)
    del raw, text  # a large file's text and its records need not be held at once
    members = _members(top, name)
    for start in range(0, len(members), BATCH_RECORDS):
        records: list[Record] = []
        bodies: list[bytes] = []
        for number, (key, value) in enumerate(members[start : start + BATCH_RECORDS], start + 1):
            try:
                body = encode_record(value)
            except Unusable as unusable:
                named = "" if key is None else f" ({shown(key)})"
                report_bad(f"{name}, record {number}{named}", str(unusable))
                continue
            assert isinstance(value, dict)  # noqa: S101 - for the type checker
            records.append(value)
            bodies.append(body)
        yield size * min(start + BATCH_RECORDS, len(members)) // len(members), records, bodies


def _members(top: object, name: str) -> Sequence[tuple[str | None, object]]:
    """What a file holds at its top level, each with its key if it has one."""
    if isinstance(top, list):
        return [(None, value) for value in top]
    if isinstance(top, RepeatedFields):
        return top.pairs
    if isinstance(top, dict):
        return list(top.items())
    raise DataError(
        f"{name}: holds {json_kind(top)}; it must hold an array of records,"
        " or an object of them keyed by name"
    )


def read_json_lines(path: Path, name: str, report_bad: ReportBad) -> Iterator[Batch]:
    """The records of a file with one in each line; arguments and errors as `read_records`."""
    position, number = 0, 1
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK_BYTES):
            position += sum(map(len, lines))
            yield position, *_usable(lines, name, number, report_bad)
            number += len(lines)


def _usable(lines: list[bytes], name: str, number: int, report_bad: ReportBad) -> UsableRecords:
    """The records of some lines, the first of which has that number."""
    if plain := _read_plain(lines):
        return plain
    if len(lines) == 1:
        return _read_line(lines[0], name, number, report_bad)
    # Something is special in one line or a few: halving leaves the most to the quick way.
    half = len(lines) // 2
    records, bodies = _usable(lines[:half], name, number, report_bad)
    more_records, more_bodies = _usable(lines[half:], name, number + half, report_bad)
    return records + more_records, bodies + more_bodies


def _read_plain(lines: list[bytes]) -> UsableRecords | None:
    """The quick way through lines in which nothing is special; None if anything may be.

    msgspec is seven times as fast as json, but takes line ends for spaces and
    drops a repeated field in silence. Nothing in a record is a "}" with a "{"
    next to it: if that is what is around every line's end, no record goes over
    one, and as many records as lines are one in each. A dropped field shows as
    missing quotes: those that are not escaped are as many in the lines as in
    what is made of them. (Where no backslash is itself escaped, a quote is
    escaped exactly if a backslash is before it.)
    """
    block = b"".join(lines)
    ends = block.count(b"}\n{") + block.count(b"}\r\n{")
    if ends != len(lines) - 1 or block[:1] != b"{" or b"\\\\" in block:
        return None
    try:
        records = _decode_lines(block)
        text = encode_lines(records)
    except (ValueError, RecursionError):
        return None
    if not is_nested_within(text, MAX_NESTING, beside=len(records) - 1):
        return None
    if len(records) != len(lines) or b"\\\\" in text or _quotes(text) != _quotes(block):
        return None
    bodies = text.split(b"\n")
    bodies.pop()  # what is after the last line's end
    return None if max(map(len, bodies)) > MAX_RECORD_BYTES else (records, bodies)


def _quotes(text: bytes) -> int:
    return text.count(b'"') - text.count(b'\\"')


def _read_line(line: bytes, name: str, number: int, report_bad: ReportBad) -> UsableRecords:
    """The record of a line, if it has one, with all that may be wrong with it told."""
    text = decode_line(line, name, number)
    if not text.strip(" \t\r\n"):
        return [], []
    try:
        value = _DECODER.decode(text)
        body = encode_record(value)
    except json.JSONDecodeError as error:
        raise _broken(name, number, error) from None
    except RecursionError:
        report_bad(f"{name}, line {number}", TOO_DEEP)
    except Unusable as unusable:
        report_bad(f"{name}, line {number}", str(unusable))
    else:
        assert isinstance(value, dict)  # noqa: S101 - for the type checker
        return [value], [body]
    return [], []


def _object(pairs: list[tuple[str, object]]) -> Record | RepeatedFields:
    record = dict(pairs)
    return record if len(record) == len(pairs) else RepeatedFields(pairs)


def _float(text: str) -> float | NotJsonNumber:
    value = float(text)
    return value if math.isfinite(value) else NotJsonNumber(text)


def _int(text: str) -> int | NotJsonNumber:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts in bounded time
        return NotJsonNumber(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=NotJsonNumber
)
_decode_lines = msgspec.json.Decoder(Record).decode_lines


def _broken(name: str, line: int, error: json.JSONDecodeError) -> DataError:
    return DataError(f"{name}, line {line}, column {error.colno}: not JSON ({error.msg})")
