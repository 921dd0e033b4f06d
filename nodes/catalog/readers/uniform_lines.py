"""A fast parser for uniform JSON Lines: the records have the same fields in the same order.

Most files are like that, up to fields that some records lack. Decoding their records as structs
takes less time than a dict for each.
"""

from __future__ import annotations

from itertools import chain

import msgspec

from nodes.catalog.readers.records import MAX_RECORD_BYTES, Record, UniformRecords, encode_lines
from nodes.support.nesting import MAX_NESTING, is_nested_within

MAX_UNIFORM_FIELDS = 100
"""The most fields of a struct: each field that a record lacks costs a search for it."""
MAX_PAUSE_BLOCKS = 64
"""The most blocks until the next attempt at a file that is not uniform."""


class UniformLinesParser:
    """Parses blocks of lines by the fields that it has learned from an earlier block.

    Each failure doubles the pause until the next attempt. So a file that is not uniform takes
    hardly more time than without this parser.
    """

    def __init__(self) -> None:
        self._attributes: dict[str, str] = {}
        self._decoder: msgspec.json.Decoder[msgspec.Struct] | None = None
        self._failures = 0
        self._pause_blocks = 0

    def learn(self, records: list[Record]) -> None:
        """Learn the fields of records from a block that `parse` has left to another parser."""
        if self._pause_blocks:
            self._pause_blocks -= 1
            return
        # Most often the longest record has all fields, and so it has them in their order.
        longest = max(records, key=len, default=Record())
        fields = dict.fromkeys(chain(longest, *records))
        self._attributes = {field: f"f{number}" for number, field in enumerate(fields)}
        try:
            self._decoder = _make_decoder(self._attributes)
        except ValueError:
            self._fail()

    def parse(self, block: bytes) -> tuple[UniformRecords, list[bytes]] | None:
        """The records of a block of lines, or None if another parser must read it."""
        if self._decoder is None:
            return None
        parsed = _parse(block, self._decoder)
        if parsed is None:
            self._fail()
            return None
        self._failures = max(0, self._failures - 1)
        structs, bodies = parsed
        return UniformRecords(self._attributes, structs), bodies

    def _fail(self) -> None:
        """Start to learn anew, after a pause."""
        self._decoder = None
        self._pause_blocks = min((1 << self._failures) - 1, MAX_PAUSE_BLOCKS)
        self._failures += 1


def _make_decoder(attributes: dict[str, str]) -> msgspec.json.Decoder[msgspec.Struct]:
    """A decoder of structs with an attribute for each field.

    Raises:
        ValueError: There are too many fields or none, or a name has characters to escape.
    """
    if not 0 < len(attributes) <= MAX_UNIFORM_FIELDS:
        raise ValueError(f"a struct cannot have {len(attributes)} fields")
    members = [
        (attribute, object, msgspec.field(name=field, default=msgspec.UNSET))
        for field, attribute in attributes.items()
    ]
    # The check in `_parse` would find an unknown field too; this way decoding stops at the first.
    # What JSON decodes to has no cycles, so the structs need no garbage collection.
    struct = msgspec.defstruct("UniformRecord", members, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(struct)


def _parse(
    block: bytes, decoder: msgspec.json.Decoder[msgspec.Struct]
) -> tuple[list[msgspec.Struct], list[bytes]] | None:
    """Decode a block of lines as structs; None if a line may need another parser.

    msgspec takes a line end for any white space, and it drops a duplicate key silently. But here
    the records, encoded again, must be the block up to spaces. So there is one record in each
    line, the fields are in order, and no key was dropped, whose quotes would be missing.
    """
    try:
        structs = decoder.decode_lines(block)
        text = encode_lines(structs)
    except (ValueError, RecursionError):
        return None
    if text != block and _without_spaces(text) != _without_spaces(block):
        return None
    if not is_nested_within(text, MAX_NESTING, beside=len(structs) - 1):
        return None
    bodies = text.split(b"\n")
    bodies.pop()  # the empty rest after the last line end
    too_large = len(text) > MAX_RECORD_BYTES and max(map(len, bodies)) > MAX_RECORD_BYTES
    return None if too_large else (structs, bodies)


def _without_spaces(text: bytes) -> bytes:
    return text.replace(b" ", b"")
