"""Files in, records out: JSON, JSON Lines and (in `sheets`) CSV.

Records come in batches, each with its compact JSON text: what is done to a
batch at once takes a fraction of the time of doing it to each record. A record
that cannot be used is told to `bad` with its place and the reason, and reading
goes on; a file that cannot be parsed raises `DataError`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from nodes.catalog.arguments import shown
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING, is_nested_within

SUFFIXES = (".json", ".jsonl", ".csv")
MAX_RECORD = 1 << 20  # bytes of one record's JSON text

TOO_DEEP = f"it is nested too deeply, at most {MAX_NESTING} levels are allowed"
BLOCK = 1 << 16  # bytes of the lines that are read together: they fit the processor's cache
BATCH = 500  # records that are read together where there are no lines

Record = dict[str, object]
Usable = tuple[list[Record], list[bytes]]
"""Records, and the compact JSON text of each."""
Batch = tuple[int, list[Record], list[bytes]]
"""How many bytes of the file are done, the next of its records, and their compact JSON texts."""
Bad = Callable[[str, str], None]
"""Is told where a bad record is, and why it is bad."""


def read_records(path: Path, name: str, bad: Bad) -> Iterator[Batch]:
    """The records of one file, in its order.

    `name` is how messages call the file. Raises `DataError` if the file
    cannot be read or parsed; each bad record goes to `bad` instead.
    """
    try:
        match path.suffix.lower():
            case ".json":
                yield from _read_json(path, name, bad)
            case ".jsonl":
                yield from _read_lines(path, name, bad)
            case _:
                from nodes.catalog.csv_source import read_sheet  # noqa: PLC0415 - few need csv

                yield from read_sheet(path, name, bad)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def decode_line(line: bytes, name: str, number: int) -> str:
    """A line as text, without a byte order mark; raises `DataError` if it is not UTF-8."""
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}, line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None


class Unusable(Exception):  # noqa: N818 - turned into a bad record by whoever has its place
    """Why a record cannot be used."""


def encode_record(value: object) -> bytes:
    """A record's compact JSON text, keys in their order; raises `Unusable`."""
    if not isinstance(value, dict | _Repeated | _NotJson):
        raise Unusable(f"a record must be an object, this is {_json_kind(value)}")
    try:
        body = _encode(value)
    except UnicodeEncodeError:
        raise Unusable("it has half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise Unusable(TOO_DEEP) from None
    if not is_nested_within(body, MAX_NESTING):
        raise Unusable(TOO_DEEP)
    if len(body) > MAX_RECORD:
        raise Unusable(f"it takes {len(body)} bytes as JSON, at most {MAX_RECORD} are allowed")
    return body


def encode_records(records: Iterable[Record]) -> list[bytes]:
    """The compact JSON text of each, for records that JSON has a form for."""
    return list(map(_encode, records))


def _read_json(path: Path, name: str, bad: Bad) -> Iterator[Batch]:
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
    for start in range(0, len(members), BATCH):
        records: list[Record] = []
        bodies: list[bytes] = []
        for number, (key, value) in enumerate(members[start : start + BATCH], start + 1):
            try:
                body = encode_record(value)
            except Unusable as unusable:
                named = "" if key is None else f" ({shown(key)})"
                bad(f"{name}, record {number}{named}", str(unusable))
                continue
            assert isinstance(value, dict)  # noqa: S101 - for the type checker
            records.append(value)
            bodies.append(body)
        yield size * min(start + BATCH, len(members)) // len(members), records, bodies


def _members(top: object, name: str) -> Sequence[tuple[str | None, object]]:
    """What a file holds at its top level, each with its key if it has one."""
    if isinstance(top, list):
        return [(None, value) for value in top]
    if isinstance(top, _Repeated):
        return top.pairs
    if isinstance(top, dict):
        return list(top.items())
    raise DataError(
        f"{name}: holds {_json_kind(top)}; it must hold an array of records,"
        " or an object of them keyed by name"
    )


def _read_lines(path: Path, name: str, bad: Bad) -> Iterator[Batch]:
    position, number = 0, 1
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK):
            position += sum(map(len, lines))
            yield position, *_usable(lines, name, number, bad)
            number += len(lines)


def _usable(lines: list[bytes], name: str, number: int, bad: Bad) -> Usable:
    """The records of some lines, the first of which has that number."""
    if plain := _read_plain(lines):
        return plain
    if len(lines) == 1:
        return _read_line(lines[0], name, number, bad)
    # Something is special in one line or a few: halving leaves the most to the quick way.
    half = len(lines) // 2
    records, bodies = _usable(lines[:half], name, number, bad)
    more_records, more_bodies = _usable(lines[half:], name, number + half, bad)
    return records + more_records, bodies + more_bodies


def _read_plain(lines: list[bytes]) -> Usable | None:
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
        text = _encode_lines(records)
    except (ValueError, RecursionError):
        return None
    if not is_nested_within(text, MAX_NESTING, beside=len(records) - 1):
        return None
    if len(records) != len(lines) or b"\\\\" in text or _quotes(text) != _quotes(block):
        return None
    bodies = text.split(b"\n")
    bodies.pop()  # what is after the last line's end
    return None if max(map(len, bodies)) > MAX_RECORD else (records, bodies)


def _quotes(text: bytes) -> int:
    return text.count(b'"') - text.count(b'\\"')


def _read_line(line: bytes, name: str, number: int, bad: Bad) -> Usable:
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
        bad(f"{name}, line {number}", TOO_DEEP)
    except Unusable as unusable:
        bad(f"{name}, line {number}", str(unusable))
    else:
        assert isinstance(value, dict)  # noqa: S101 - for the type checker
        return [value], [body]
    return [], []


class _Repeated:
    """An object in which a key is there twice: fine around records, wrong inside one."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        self.pairs = pairs


class _NotJson:
    """A number that JSON cannot carry: NaN, Infinity, 1e999."""

    def __init__(self, text: str) -> None:
        self.text = text


def _object(pairs: list[tuple[str, object]]) -> Record | _Repeated:
    record = dict(pairs)
    return record if len(record) == len(pairs) else _Repeated(pairs)


def _float(text: str) -> float | _NotJson:
    value = float(text)
    return value if math.isfinite(value) else _NotJson(text)


def _int(text: str) -> int | _NotJson:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts in bounded time
        return _NotJson(text)


def _refuse(value: object) -> object:
    """Called by the encoder for what JSON has no form for: exactly the two classes above."""
    if isinstance(value, _NotJson):
        raise Unusable(f"{value.text[:40]} is not a finite number")
    assert isinstance(value, _Repeated)  # noqa: S101 - for the type checker
    twice, _ = Counter(key for key, _ in value.pairs).most_common(1)[0]
    raise Unusable(f"the field {shown(twice)} is there twice")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_NotJson
)
_decode_lines = msgspec.json.Decoder(Record).decode_lines
_ENCODER = msgspec.json.Encoder(enc_hook=_refuse)
_encode = _ENCODER.encode
_encode_lines = _ENCODER.encode_lines


def _broken(name: str, line: int, error: json.JSONDecodeError) -> DataError:
    return DataError(f"{name}, line {line}, column {error.colno}: not JSON ({error.msg})")


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "text", list: "an array"}
    return kinds.get(type(value), "a number")
