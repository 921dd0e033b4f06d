"""Records on their way from a file to a catalog: in batches, each with its compact JSON text.

What is done to a batch at once takes a fraction of the time of doing it to each record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from nodes.catalog.arguments import shown
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING, is_nested_within

MAX_RECORD_BYTES = 1 << 20  # bytes of one record's JSON text
BLOCK_BYTES = 1 << 16  # bytes of the lines that are read together: they fit the processor's cache
BATCH_RECORDS = 500  # records that are read together where there are no lines

TOO_DEEP = f"it is nested too deeply, at most {MAX_NESTING} levels are allowed"
Record = dict[str, object]
UsableRecords = tuple[list[Record], list[bytes]]
"""Records, and the compact JSON text of each."""
Batch = tuple[int, list[Record], list[bytes]]
"""How many bytes of the file are done, the next of its records, and their compact JSON texts."""
ReportBad = Callable[[str, str], None]
"""Is told where a bad record is, and why it is bad."""


class Unusable(Exception):  # noqa: N818 - turned into a bad record by whoever has its place
    """Why a record cannot be used."""


def encode_record(value: object) -> bytes:
    """A record's compact JSON text, keys in their order.

    Raises:
        Unusable: it is no record, too large, or holds what JSON has no form for.
    """
    if not isinstance(value, dict | RepeatedFields | NotJsonNumber):
        raise Unusable(f"a record must be an object, this is {json_kind(value)}")
    try:
        body = _encode(value)
    except UnicodeEncodeError:
        raise Unusable("it has half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise Unusable(TOO_DEEP) from None
    if not is_nested_within(body, MAX_NESTING):
        raise Unusable(TOO_DEEP)
    if len(body) > MAX_RECORD_BYTES:
        raise Unusable(
            f"it takes {len(body)} bytes as JSON, at most {MAX_RECORD_BYTES} are allowed"
        )
    return body


def encode_records(records: Iterable[Record]) -> list[bytes]:
    """The compact JSON text of each, for records that JSON has a form for."""
    return list(map(_encode, records))


class RepeatedFields:
    """An object in which a key is there twice: fine around records, wrong inside one."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        self.pairs = pairs


class NotJsonNumber:
    """A number that JSON cannot carry: NaN, Infinity, 1e999."""

    def __init__(self, text: str) -> None:
        self.text = text


def _refuse(value: object) -> object:
    """Called by the encoder for what JSON has no form for: exactly the two classes above."""
    if isinstance(value, NotJsonNumber):
        raise Unusable(f"{value.text[:40]} is not a finite number")
    assert isinstance(value, RepeatedFields)  # noqa: S101 - for the type checker
    twice, _ = Counter(key for key, _ in value.pairs).most_common(1)[0]
    raise Unusable(f"the field {shown(twice)} is there twice")


_ENCODER = msgspec.json.Encoder(enc_hook=_refuse)
_encode = _ENCODER.encode
encode_lines = _ENCODER.encode_lines
"""Records as JSON Lines."""


def decode_line(line: bytes, name: str, number: int) -> str:
    """A line as text, without a byte order mark.

    Args:
        line: with its end.
        name: how messages call the file.
        number: of the line, from 1.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}, line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None


def json_kind(value: object) -> str:
    """What JSON calls a value that is no object, for messages."""
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "text", list: "an array"}
    return kinds.get(type(value), "a number")
