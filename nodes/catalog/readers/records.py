"""Records in batches, each with its JSON text: what the sources hand to a build.

Work on a whole batch takes a fraction of the time of the same work on each record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from nodes.catalog.arguments import quoted
from nodes.support.nesting import MAX_NESTING, is_nested_within

MAX_RECORD_BYTES = 1 << 20
"""The most that a record may take, in its file and as JSON: the same in every format."""
READ_BLOCK_BYTES = 1 << 16
"""How much of a file of lines is read at once: small enough for the processor's cache."""
BATCH_RECORDS = 500
"""Records in one batch of a file that is not read by lines."""

TOO_DEEP_REASON = f"it is nested too deeply, at most {MAX_NESTING} levels are allowed"
TOO_LARGE_REASON = f"it is too large: a record has at most {MAX_RECORD_BYTES:,} bytes (1 MiB)"
HALF_CHARACTER_REASON = "it has half of a surrogate pair, which is no character"
Record = dict[str, object]


class UniformRecords:
    """Records that are structs of one type, which takes less time than a dict for each."""

    def __init__(self, attributes: dict[str, str], structs: list[msgspec.Struct]) -> None:
        """Initialize.

        Args:
            attributes: The attribute of the structs for each field.
            structs: The records. An attribute is UNSET where a record lacks the field.
        """
        self._attributes = attributes
        self._structs = structs

    def __len__(self) -> int:
        """The number of records."""
        return len(self._structs)

    def __iter__(self) -> Iterator[Record]:
        """The records as dicts."""
        for values in map(msgspec.structs.astuple, self._structs):
            pairs = zip(self._attributes, values, strict=True)
            yield {field: value for field, value in pairs if value is not msgspec.UNSET}

    def field_names(self) -> set[str]:
        """The fields that these records may have."""
        return set(self._attributes)

    def values(self, field: str) -> list[object]:
        """The value of a field in each record; None or UNSET where a record lacks it."""
        attribute = self._attributes.get(field)
        if attribute is None:
            return [None] * len(self._structs)
        return list(map(attrgetter(attribute), self._structs))


Records = list[Record] | UniformRecords
EncodedRecords = tuple[list[Record], list[bytes]]
"""Records, and the JSON text of each."""
Batch = tuple[int, Records, list[bytes]]
"""How much of the file's bytes is done with, the next records, and the JSON text of each."""
ReportBadRecord = Callable[[str, str], None]
"""Called with the place of a bad record and the reason."""


class BadRecordError(Exception):
    """The reason why a record cannot be used; the reader of the file adds the place."""


def encode_record(value: object) -> bytes:
    """Encode one record as compact JSON, its keys in their order, and check it.

    Raises:
        BadRecordError: it is no object, is too large, or holds a value that JSON cannot express.
    """
    if not isinstance(value, dict | DuplicateKeys | NonFiniteNumber):
        raise BadRecordError(f"a record must be an object, this is {json_type_name(value)}")
    try:
        body = _encode(value)
    except UnicodeEncodeError:
        raise BadRecordError(HALF_CHARACTER_REASON) from None
    except RecursionError:
        raise BadRecordError(TOO_DEEP_REASON) from None
    if not is_nested_within(body, MAX_NESTING):
        raise BadRecordError(TOO_DEEP_REASON)
    if len(body) > MAX_RECORD_BYTES:
        raise BadRecordError(TOO_LARGE_REASON)
    return body


def encode_records(records: Iterable[Record]) -> list[bytes]:
    """Encode records as compact JSON; every value must be one that JSON can express."""
    return list(map(_encode, records))


class DuplicateKeys:
    """A JSON object with duplicate keys: allowed around records, not allowed in one."""

    def __init__(self, pairs: Sequence[tuple[str, object]]) -> None:
        self.pairs = pairs


class NonFiniteNumber:
    """A number outside what JSON readers can hold: NaN, Infinity, 1e999."""

    def __init__(self, text: str) -> None:
        self.text = text


def _reject_unsupported(value: object) -> object:
    """The encoder's hook for other types: only the two classes above get here."""
    if isinstance(value, NonFiniteNumber):
        raise BadRecordError(f"{value.text[:40]} is not a finite number")
    assert isinstance(value, DuplicateKeys)  # noqa: S101 - for the type checker
    twice, _ = Counter(key for key, _ in value.pairs).most_common(1)[0]
    raise BadRecordError(f"the field {quoted(twice)} is there twice")


_ENCODER = msgspec.json.Encoder(enc_hook=_reject_unsupported)
_encode = _ENCODER.encode
encode_lines = _ENCODER.encode_lines
"""Records as JSON Lines."""


def json_type_name(value: object) -> str:
    """The JSON type of a value that is no object, for messages."""
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "text", list: "an array"}
    return kinds.get(type(value), "a number")
