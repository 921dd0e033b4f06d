"""The reader of JSON documents: an array of records, or an object that holds them.

The records are found one after another, never the whole file at once. Most lie in stretches that
msgspec reads in one call; the strict parser reads whatever that might get wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from nodes.catalog.arguments import quoted
from nodes.catalog.readers.json_lines import keeps_every_key, read_json_lines
from nodes.catalog.readers.json_values import DECODER
from nodes.catalog.readers.json_window import JsonWindow, TooLargeError
from nodes.catalog.readers.records import (
    HALF_CHARACTER_REASON,
    MAX_RECORD_BYTES,
    READ_BLOCK_BYTES,
    TOO_DEEP_REASON,
    TOO_LARGE_REASON,
    BadRecordError,
    Batch,
    EncodedRecords,
    Record,
    encode_lines,
    encode_record,
    json_type_name,
)
from nodes.catalog.readers.source import Source
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING, is_nested_within

HELD_MEMBERS = 100
"""Members of an object that are looked at before they are taken for records: an array of records
may come among them."""
SLOW_RECORDS = 500
"""Records in a batch of those that the strict parser reads."""

NO_KEY_NOTE = 'the keys of its records are left out; key = "name" in dataset.toml has them kept'

_ARRAY_OF_OBJECTS = re.compile(rb"\[[ \t\r\n]*\{")
_COMMA = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
_decode_array = msgspec.json.Decoder(list[Record]).decode
_decode_object = msgspec.json.Decoder(dict[str, Record]).decode


def keys_note(field: str) -> str:
    """What is said of a file with an object of records, whose keys are values of a field."""
    return f"the keys of its records are their {quoted(field)}, where they have none"


def read_json(source: Source, *, block_bytes: int = READ_BLOCK_BYTES) -> Iterator[Batch]:
    """Read the records of a JSON file.

    Args:
        source: The file.
        block_bytes: About how much is read at once.

    Raises:
        DataError: It cannot be read, is no JSON, or it cannot be told where its records are.
    """
    if _has_a_record_in_each_line(source):
        source.note("it has a record in each line, as JSON Lines")
        yield from read_json_lines(source)
        return
    with source.open() as stream:
        document = _Document(source, JsonWindow(source, stream, block_bytes=block_bytes))
        yield from document.records()


def read_json_lines_or_array(source: Source) -> Iterator[Batch]:
    """Read the records of a JSON Lines file, unless it holds an array."""
    with source.open() as stream:
        window = JsonWindow(source, stream)
        window.peek()
        is_array = window.starts_with(_ARRAY_OF_OBJECTS)
    if is_array:
        source.note("it holds an array, as JSON")
        yield from read_json(source)
    else:
        yield from read_json_lines(source)


def _has_a_record_in_each_line(source: Source) -> bool:
    with source.open() as stream:
        window = JsonWindow(source, stream)
        line = window.first_line() if window.peek() == b"{" else b""
    try:
        return bool(line) and bool(DECODER.decode(line.decode()) is not None)
    except (ValueError, RecursionError):
        return False


class _Document:
    """A document that is read once."""

    def __init__(self, source: Source, window: JsonWindow) -> None:
        self._source = source
        self._window = window
        self._number = 0

    def records(self) -> Iterator[Batch]:
        """All records."""
        match self._window.peek():
            case b"[":
                self._window.take(1)
                yield from self._stretches(keyed=False)
            case b"{":
                self._window.take(1)
                yield from self._object()
            case _:
                value, _ = self._window.value()
                raise DataError(
                    f"{self._source.name}: holds {json_type_name(value)}; it must hold an array of"
                    " records, or an object of them"
                )
        if self._window.peek() and not self._source.options.records:
            raise self._window.broken("something comes after its end; records go into one array")

    # -- an object: of records, or around them ---------------------------------------------------

    def _object(self) -> Iterator[Batch]:
        """The records that the document's object holds."""
        if self._source.options.records:
            yield from self._chosen_member(self._source.options.records)
            return
        held: list[tuple[str | None, object, str]] = []
        while (key := self._next_key()) is not None:
            if self._window.starts_with(_ARRAY_OF_OBJECTS):
                self._source.note(f"its records are those of {quoted(key)}")
                yield from self._array_and_nothing_else(key)
                return
            held.append((key, *self._value_or_reason()))
            if not self._another(b"}"):
                break
            if len(held) == HELD_MEMBERS:
                yield self._batch(held)
                yield from self._stretches(keyed=True)
                return
        if held:
            yield self._batch(held)

    def _next_key(self) -> str | None:
        """The key of the next member, taken with its colon; None at the object's end."""
        if self._window.peek() == b"}":
            self._window.take(1)
            return None
        if self._window.peek() != b'"':
            raise self._window.broken("a name in double quotes must come here")
        key, _ = self._window.value()
        self._window.expect(b":", "a : must come here")
        self._window.peek()
        return str(key)

    def _another(self, end: bytes) -> bool:
        """Whether a comma comes next, and not the end; it is taken."""
        wanted = "a comma is missing, or a bracket that closes"
        if self._window.expect(b"," + end, wanted) == end:
            return False
        if self._window.peek() == end:
            raise self._window.broken("a comma must not come before a bracket that closes")
        return True

    def _array_and_nothing_else(self, key: str) -> Iterator[Batch]:
        self._window.take(1)
        yield from self._stretches(keyed=False)
        while self._another(b"}") and (other := self._next_key()) is not None:
            if self._window.starts_with(_ARRAY_OF_OBJECTS):
                raise DataError(
                    f"{self._source.name}: both {quoted(key)} and {quoted(other)} hold records;"
                    f' say in dataset.toml which to take, as records = "{key}"'
                )
            self._window.skip_value()

    def _chosen_member(self, wanted: str) -> Iterator[Batch]:
        """The records of one member; what comes after it is not read."""
        there: list[str] = []
        while (key := self._next_key()) is not None:
            if key == wanted:
                opening = self._window.expect(
                    b"[{", f"{quoted(wanted)} must hold an array of records, or an object of them"
                )
                yield from self._stretches(keyed=opening == b"{")
                return
            there.append(key)
            self._window.skip_value()
            if not self._another(b"}"):
                break
        known = ", ".join(map(quoted, there[:20])) or "none"
        raise DataError(
            f"{self._source.name}: it has no member {quoted(wanted)}, which records in dataset.toml"
            f" names; there are {known}"
        )

    # -- many records, one after another ---------------------------------------------------------

    def _stretches(self, *, keyed: bool) -> Iterator[Batch]:
        """The records up to the end of the array or object that the cursor is in."""
        end = b"}" if keyed else b"]"
        if self._window.peek() == end:
            self._window.take(1)
            return
        separator = b""
        while True:
            if separator and (batch := self._stretch(separator, keyed=keyed)):
                yield batch
                if not self._another(end):
                    return
            separator = b""
            slow: list[tuple[str | None, object, str]] = []
            while len(slow) < SLOW_RECORDS and not separator:
                slow.append((self._next_key() if keyed else None, *self._value_or_reason()))
                comma = self._window.starts_with(_COMMA)
                if not self._another(end):
                    yield self._batch(slow)
                    return
                if slow[-1][2] and isinstance(slow[-1][1], dict):
                    # The first stretch is tried after one record, another after some more.
                    tried = self._tried < len(slow)
                    separator = b"}" + comma + (b'"' if keyed else b"{") if tried else b""
            yield self._batch(slow)

    _tried = 0
    """Records that the strict parser reads until msgspec is tried again."""

    def _stretch(self, separator: bytes, *, keyed: bool) -> Batch | None:
        """The records up to the last separator that is in sight, by msgspec; None if the strict
        parser must read them.

        If the text so far is an array (or object) when it is closed there, then the separator
        stands between two of its records, and not within one.
        """
        text = self._window.before_last(separator)
        parsed = _parse_stretch(text, self._source.options.key, keyed=keyed) if text else None
        if parsed is None:
            self._tried = SLOW_RECORDS - 1
            return None
        self._tried = 0
        self._window.take(len(text))
        self._number += len(parsed[0])
        return self._source.position, *parsed

    def _value_or_reason(self) -> tuple[object, str]:
        """The next value and its text; the reason and no text, if it cannot be a record."""
        try:
            self._window.peek()
            return self._window.value()
        except TooLargeError:
            reason = TOO_LARGE_REASON
        except RecursionError:
            reason = TOO_DEEP_REASON
        self._window.skip_value()
        return reason, ""

    def _note_keys(self) -> None:
        field = self._source.options.key
        self._source.note(keys_note(field) if field else NO_KEY_NOTE)

    def _batch(self, values: Sequence[tuple[str | None, object, str]]) -> Batch:
        """The records among some values; the others are reported."""
        records: list[Record] = []
        bodies: list[bytes] = []
        if values[0][0] is not None:
            self._note_keys()
        for key, value, text in values:
            self._number += 1
            record = value
            if key is not None and isinstance(value, dict):
                record = _with_key(value, self._source.options.key, key)
            try:
                if not text:
                    raise BadRecordError(str(value))
                body = encode_record(record)
            except BadRecordError as bad:
                named = "" if key is None else f" ({quoted(key)})"
                where = f"{self._source.name}, record {self._number}{named}"
                self._source.report_bad(where, self._reason(str(bad), text))
                continue
            assert isinstance(record, dict)  # noqa: S101 - for the type checker
            records.append(record)
            bodies.append(body)
        return self._source.position, records, bodies

    def _reason(self, why: str, text: str) -> str:
        """The reason, where bytes that are no UTF-8 look like half of a character."""
        if why != HALF_CHARACTER_REASON:
            return why
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return self._source.not_utf8(len(text[: error.start].encode()) + 1)
        return why


def _with_key(record: Record, field: str, key: str) -> Record:
    return record if not field or field in record else {field: key, **record}


def _parse_stretch(text: bytes, key: str, *, keyed: bool) -> EncodedRecords | None:
    try:
        if keyed:
            members = _decode_object(b"{%b}" % text)
            records = [*members.values()]
            again = msgspec.json.encode(members)
        else:
            records = _decode_array(b"[%b]" % text)
            again = b""
        lines = encode_lines(records)
    except (ValueError, RecursionError):
        return None
    if not keeps_every_key(text, again or lines):
        return None
    if not is_nested_within(lines, MAX_NESTING, beside=max(0, len(records) - 1)):
        return None
    if keyed and key:
        records = [_with_key(record, key, name) for name, record in members.items()]
        lines = encode_lines(records)
    bodies = lines.split(b"\n")
    bodies.pop()  # the empty rest after the last line end
    too_large = len(lines) > MAX_RECORD_BYTES and max(map(len, bodies)) > MAX_RECORD_BYTES
    return None if too_large else (records, bodies)
