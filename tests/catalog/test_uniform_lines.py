"""Uniform JSON Lines: the fast parser reads them as the strict one does, or leaves them to it."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.catalog.readers.json_lines import read_json_lines
from nodes.catalog.readers.options import ReadingOptions
from nodes.catalog.readers.records import MAX_RECORD_BYTES, Batch, Record, UniformRecords
from nodes.catalog.readers.source import Source
from nodes.catalog.readers.uniform_lines import (
    MAX_PAUSE_BLOCKS,
    MAX_UNIFORM_FIELDS,
    UniformLinesParser,
)
from nodes.catalog.schema_scan import FullSchemaScan, SchemaScan
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING
from tests.catalog.kit import person

PEOPLE = [person(f"p {n}", "São Paulo", n, tags=["a b", {"c": n}]) for n in range(60)]
SPACED = [json.dumps(one, ensure_ascii=False) for one in PEOPLE]
COMPACT = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in PEOPLE]
BLOCK_BYTES = 200
"""Two or three of these lines, so that most blocks come after one to learn from."""


def learned(lines: list[str]) -> UniformLinesParser:
    """A parser that has learned from the records of these lines."""
    parser = UniformLinesParser()
    parser.learn([json.loads(line) for line in lines])
    return parser


def block(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


# -- which lines it takes ------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [SPACED, COMPACT])
def test_uniform_lines_are_parsed_to_compact_text(lines: list[str]) -> None:
    parsed = learned(lines[:3]).parse(block(*lines))
    assert parsed is not None
    records, bodies = parsed
    assert list(records) == PEOPLE
    assert bodies == [line.encode() for line in COMPACT]
    assert records.values("year") == list(range(60))
    assert records.values("unknown") == [None] * 60


def test_a_record_may_lack_fields() -> None:
    lines = ['{"a": 1, "b": 2, "c": 3}', '{"b": 2}', "{}", '{"a": 1, "c": null}']
    parsed = learned(lines).parse(block(*lines))
    assert parsed is not None
    assert list(parsed[0]) == [json.loads(line) for line in lines]
    assert parsed[1] == [line.replace(" ", "").encode() for line in lines]


ELSE = {
    "a duplicate key": '{"a": 1, "a": 1, "b": "x"}',
    "a duplicate key at the end": '{"a": 1, "b": "x", "b": "x"}',
    "a duplicate key that is escaped": r'{"a": 1, "\u0061": 1, "b": "x"}',
    "a duplicate key that is nested": '{"a": {"c": 1, "c": 1}, "b": "x"}',
    "a new field": '{"a": 1, "b": "x", "c": 1}',
    "a new field instead of another": '{"a": 1, "c": "x"}',
    "another order": '{"b": "x", "a": 1}',
    "an escaped key": r'{"\u0061": 1, "b": "x"}',
    "two records": '{"a": 1, "b": "x"} {"a": 1, "b": "x"}',
    "two lines": '{"a": 1,\n"b": "x"}',
    "two records and two lines": '{"a": 1, "b": "x"}{"a": 1,\n"b": "x"}',
    "a blank line": "",
    "spaces": "  ",
    "a tab": '{"a": 1,\t"b": "x"}',
    "a carriage return": '{"a": 1, "b": "x"}\r',
    "a byte order mark": '\ufeff{"a": 1, "b": "x"}',
    "an array": '[1, "x"]',
    "a number": "7",
    "null": "null",
    "a broken line": '{"a": 1, "b": "x"',
    "NaN": '{"a": NaN, "b": "x"}',
    "too large a number": '{"a": 1e999, "b": "x"}',
    "a number in another form": '{"a": 1e2, "b": "x"}',
    "too many digits": '{"a": ' + "9" * 5000 + ', "b": "x"}',
    "half a surrogate pair": r'{"a": 1, "b": "\ud800"}',
    "a needless escape": r'{"a": 1, "b": "\/"}',
    "nested too deeply": '{"a": ' + "[" * MAX_NESTING + "]" * MAX_NESTING + ', "b": "x"}',
    "nested beyond the interpreter": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "too large a record": json.dumps({"a": 1, "b": "x" * MAX_RECORD_BYTES}),
}
PLAIN = '{"a": 1, "b": "x"}'


@pytest.mark.parametrize("case", ELSE)
def test_other_lines_are_left_to_the_strict_parser(case: str) -> None:
    assert learned([PLAIN]).parse(block(PLAIN, PLAIN)) is not None
    assert learned([PLAIN]).parse(block(PLAIN, ELSE[case], PLAIN)) is None
    assert learned([PLAIN]).parse(block(ELSE[case])) is None


def test_bytes_that_are_not_utf_8_are_left_to_the_strict_parser() -> None:
    assert learned([PLAIN]).parse(b'{"a": 1, "b": "\xff"}\n') is None


@pytest.mark.parametrize(
    "record",
    [
        {},
        {'quo"te': 1},
        {"back\\slash": 1},
        {"new\nline": 1},
        {f"f{n}": n for n in range(MAX_UNIFORM_FIELDS + 1)},
    ],
)
def test_some_fields_cannot_be_learned(record: Record) -> None:
    assert learned([json.dumps(record)]).parse(block(json.dumps(record))) is None


@pytest.mark.parametrize("field", ["", " ", "é", "名", "f1", "__init__", "x" * 300, "\x7f"])
def test_a_field_may_have_any_other_name(field: str) -> None:
    line = json.dumps({"f0": 0, field: 1}, ensure_ascii=False)
    parsed = learned([line]).parse(block(line))
    assert parsed is not None
    assert parsed[0].values(field) == [1]


def test_after_many_failures_it_learns_again() -> None:
    parser = UniformLinesParser()
    for _ in range(300):
        parser.learn([json.loads(PLAIN)])
        assert parser.parse(block('{"other": 1}')) is None
    for _ in range(MAX_PAUSE_BLOCKS + 1):
        parser.learn([json.loads(PLAIN)])
    assert parser.parse(block(PLAIN)) is not None


# -- the same as line by line --------------------------------------------------------------------


class Reading:
    """What a file has: records with their text, bad records, the error that ended it."""

    def __init__(self) -> None:
        self.records: list[tuple[Record, bytes]] = []
        self.bad: list[str] = []
        self.error = ""
        self.uniform = 0

    def read(self, file: Path, *, block_bytes: int) -> list[Batch]:
        """Add what the file has."""
        batches: list[Batch] = []
        try:
            source = Source(file, "a", ReadingOptions(), lambda _where, why: self.bad.append(why))
            for batch in read_json_lines(source, block_bytes=block_bytes):
                batches.append(batch)
                _, records, bodies = batch
                self.uniform += isinstance(records, UniformRecords)
                self.records += zip(records, bodies, strict=True)
        except DataError as error:
            self.error = re.sub(r"line \d+", "line", str(error))
        return batches


def compare(content: bytes, block_bytes: int) -> int:
    """Reads the content in blocks and line by line; returns how many blocks were uniform."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.jsonl"
        file.write_bytes(content)
        in_blocks, by_lines = Reading(), Reading()
        batches = in_blocks.read(file, block_bytes=block_bytes)
        for number, line in enumerate(BytesIO(content)):
            if not by_lines.error:
                # The byte order mark is special in the first line only.
                file.write_bytes((b"\n" if number else b"") + line)
                by_lines.read(file, block_bytes=1)
    assert by_lines.uniform == 0, "a file of one line has nothing to learn from"
    assert in_blocks.error == by_lines.error
    if not by_lines.error:
        assert in_blocks.records == by_lines.records
        assert in_blocks.bad == by_lines.bad
        compare_scans(batches, [record for record, _ in by_lines.records])
    return in_blocks.uniform


def compare_scans(batches: list[Batch], expected: list[Record]) -> None:
    """The scans of batches and of plain dicts find the same keys, fields and types."""
    scan, full, plain, plain_full = SchemaScan(), FullSchemaScan(), SchemaScan(), FullSchemaScan()
    fields = ("name", "year", "a", "b", "c")
    keys: list[list[object]] = [[] for _ in fields]
    for _, records, _ in batches:
        for column, part in zip(keys, scan.key_columns(records, fields), strict=True):
            column.extend(part.keys)
        full.add_records(records)
    plain_full.add_records(expected)
    assert keys == [column.keys for column in plain.key_columns(expected, fields)]
    assert (scan.records, scan.fields()) == (plain.records, plain.fields())
    assert [scan.type_of(field) for field in fields] == [plain.type_of(field) for field in fields]
    assert full.reports({}) == plain_full.reports({})


@pytest.mark.parametrize("case", ELSE)
@pytest.mark.parametrize("lines", [SPACED, COMPACT])
def test_a_line_among_uniform_ones_is_read_as_it_is_alone(lines: list[str], case: str) -> None:
    content = block(*lines[:40], ELSE[case], *lines[40:], ELSE[case])
    assert compare(content, BLOCK_BYTES) > 5
    assert compare(content.removesuffix(b"\n"), BLOCK_BYTES) > 5


_texts = st.text(max_size=4) | st.sampled_from(["a b", " ", "Oslo", '"', "\\", ": ", ", ", "}\n{"])
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_numbers = st.sampled_from(["-0", "-0.0", "1e5", "1E5", "1.50", "1e999", "NaN", "9" * 20, "01"])


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """A line that is mostly uniform: some fields lack, are repeated or in another order."""
    fields = draw(
        st.just(["a", "b", "c"])
        | st.lists(st.sampled_from(["a", "b", "c", "d", "a b"]), max_size=4)
        | st.permutations(["a", "b", "c"])
    )
    ascii_only, comma, colon = draw(
        st.tuples(st.booleans(), st.sampled_from([",", ", ", " , "]), st.sampled_from([":", ": "]))
    )
    members = [
        json.dumps(field)
        + colon
        + draw(
            _values.map(
                lambda value: json.dumps(value, ensure_ascii=ascii_only, separators=(comma, colon))
            )
            | _numbers
        )
        for field in fields
    ]
    return ("{" + comma.join(members) + "}").encode("utf-8", "surrogatepass")


_ends = st.sampled_from([b"\n"] * 8 + [b"\r\n", b"\n\n", b" \n", b" "])


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(_lines(), _ends), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 120),
)
def test_blocks_are_read_as_their_lines_are_one_by_one(
    lines: list[tuple[bytes, bytes]], times: int, block_bytes: int
) -> None:
    compare(b"".join(map(b"".join, lines)) * times, block_bytes)
