"""JSON documents: read in blocks of any size as json reads them whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodes.catalog.readers.json_document import read_json
from nodes.catalog.readers.options import ReadingOptions
from nodes.errors import DataError
from tests.catalog.readers.kit import EXAMPLES, Reading, read

_texts = st.sampled_from(["a", "é", "\\", '"', '\\"', "}, {", "},{", "]", "名", "\n", ""])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.sampled_from([0.5, 1e300]) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_records = st.dictionaries(_texts, _values, max_size=4)
_layout = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False, "indent": "\t"}]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "a.json"


def read_blocks(file: Path, block_bytes: int, **options: Any) -> Reading:
    reading = Reading(file, ReadingOptions(**options))
    return reading.read(read_json(reading.source, block_bytes=block_bytes))


@settings(max_examples=EXAMPLES, deadline=None)
@example([0.5, 1e300, -7], {}, 1)
@given(st.lists(_records | _values, max_size=12), _layout, st.integers(1, 200))
def test_an_array_is_read_as_a_whole_file_is(
    file: Path, values: list[object], layout: dict[str, Any], block_bytes: int
) -> None:
    file.write_text(json.dumps(values, **layout))
    reading = read_blocks(file, block_bytes)
    assert reading.records == [value for value in values if isinstance(value, dict)]
    where = [f"a.json, record {n}" for n, one in enumerate(values, 1) if not isinstance(one, dict)]
    assert list(reading.bad) == where


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(_texts | st.text(max_size=3), _records, max_size=150), _layout, st.data())
def test_an_object_of_records_gives_each_its_key(
    file: Path, members: dict[str, Any], layout: dict[str, Any], data: st.DataObject
) -> None:
    file.write_text(json.dumps(members, **layout))
    reading = read_blocks(file, data.draw(st.integers(1, 300)), key="name")
    assert reading.records == [{"name": key, **one} for key, one in members.items()]
    assert not reading.bad


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["meta", "next", "x"]), _values, max_size=3),
    st.lists(_records, min_size=1, max_size=9),
    st.dictionaries(st.sampled_from(["links", "total"]), _values, max_size=2),
    st.integers(1, 100),
)
def test_the_array_within_an_object_is_taken(
    file: Path, before: dict[str, Any], rows: list[Any], after: dict[str, Any], block_bytes: int
) -> None:
    others = [*before.values(), *after.values()]
    if any(isinstance(one, list) and one and isinstance(one[0], dict) for one in others):
        return  # which one to take is to be said then
    file.write_text(json.dumps({**before, "rows": rows, **after}))
    reading = read_blocks(file, block_bytes)
    assert (reading.records, reading.bad) == (rows, {})
    assert reading.notes == ["its records are those of 'rows'"]
    assert read_blocks(file, block_bytes, records="rows").records == rows


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.binary(max_size=30) | st.text('[]{},:"\\ \n1aé\ufeff').map(str.encode), st.integers(1, 40)
)
def test_whatever_is_in_a_file_comes_to_an_end(file: Path, text: bytes, block_bytes: int) -> None:
    file.write_bytes(text)
    try:
        read_blocks(file, block_bytes)
    except DataError as error:
        assert str(error).startswith("a.json")


def test_records_may_be_chosen(file: Path) -> None:
    file.write_text('{"a": [{"x": 1}], "b": {"k": {"x": 2}}, "c": [[{"]": "}"}], 7], "d": 1}')
    assert read(file, records="b", key="name").records == [{"name": "k", "x": 2}]
    with pytest.raises(DataError, match=r"no member 'e', .* there are 'a', 'b', 'c', 'd'"):
        read(file, records="e")
    with pytest.raises(DataError, match="'d' must hold an array of records, or an object of them"):
        read(file, records="d")
    assert read(file).records == [{"x": 1}]


def test_lines_in_a_document_and_an_array_in_lines_are_read(tmp_path: Path) -> None:
    lines, array = tmp_path / "a.json", tmp_path / "a.jsonl"
    lines.write_text('{"a": 1}\n{"a": 2\n{"a": 3}\n')
    array.write_text('[\n  {"a": 1},\n  {"a": 2}\n]\n')
    reading = read(lines)
    assert [one["a"] for one in reading.records] == [1, 3]
    assert list(reading.bad) == ["a.json, line 2"]
    assert reading.notes == ["it has a record in each line, as JSON Lines"]
    assert [one["a"] for one in read(array).records] == [1, 2]


def test_a_record_over_the_limit_is_one_bad_record(file: Path) -> None:
    deep = "[" * 3000 + '"]"' + "]" * 3000
    many = json.dumps([{"a": 'x"]}'}] * 70_000)
    file.write_text(
        f'[{{"a": 1}}, {{"b": {many}}}, {deep}, {{"a": "{"x" * (1 << 20)}"}}, {{"a": 2}}]'
    )
    reading = read(file)
    assert [one["a"] for one in reading.records] == [1, 2]
    assert list(reading.bad) == [f"a.json, record {number}" for number in (2, 3, 4)]
    assert [why[:16] for why in reading.bad.values()] == [
        "it is too large:",
        "it is nested too",
        "it is too large:",
    ]
