"""The sources: JSON, JSON Lines and CSV files."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodes.catalog import check_data, ensure_catalog
from nodes.catalog.readers.records import MAX_RECORD_BYTES
from nodes.catalog.sources import read_records
from nodes.errors import DataError
from nodes.support.nesting import MAX_NESTING
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import person, write

ZOE = person("Zoë", "São Paulo", 1999)
OBRIEN = person("O'Brien", "L'Aquila", 2020)
PEOPLE = [ZOE, OBRIEN]

SOURCES = {
    "keyed.json": json.dumps({"Zoë": ZOE, "O'Brien": OBRIEN}),
    "escaped.json": json.dumps(PEOPLE),
    "plain.json": json.dumps(PEOPLE, ensure_ascii=False, indent=2),
    "marked.json": "\ufeff" + json.dumps(PEOPLE),
    "lines.jsonl": "\n".join(json.dumps(one, ensure_ascii=False) for one in PEOPLE),
    "escaped.jsonl": "".join(json.dumps(one) + "\r\n\r\n" for one in PEOPLE),
    "marked.jsonl": "\ufeff" + "".join(json.dumps(one) + "\n" for one in PEOPLE),
    "table.csv": "name,location,year\nZoë,São Paulo,1999\nO'Brien,L'Aquila,2020\n",
    "marked.csv": "\ufeffname,location,year\r\nZoë,São Paulo,1999\r\n\r\nO'Brien,L'Aquila,2020",
    "UPPER.CSV": '"name","location","year"\n"Zoë","São Paulo","1999"\nO\'Brien,L\'Aquila,2020\n',
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_answers(put: Put, ask: Ask, name: str) -> None:
    catalog = ask(put({name: SOURCES[name]}))
    assert catalog.info.records == 2
    assert catalog.info.files == (name,)
    assert catalog.records("getbyname", "Zoë") == [ZOE]
    assert catalog.records("getbylocation", "L'Aquila") == [OBRIEN]
    assert catalog.records("getbyyear", "São Paulo", 1999) == [ZOE]
    assert catalog.records("getbyname", "zoë") == []


def test_a_single_file_is_a_dataset_too(put: Put, ask: Ask) -> None:
    folder = put({"mine.jsonl": json.dumps(ZOE), "other.json": [OBRIEN]})
    catalog = ask(folder / "mine.jsonl")
    assert (catalog.info.name, catalog.info.records) == ("mine", 1)
    assert catalog.records("getbyname", "Zoë") == [ZOE]


def test_files_are_read_in_order_and_pages_tell_where_from(put: Put, ask: Ask) -> None:
    catalog = ask(
        put(
            {
                "c.csv": "name,location,year\nbo,C,3\n",
                "a.json": [person("bo", "A", 1)],
                "b.jsonl": json.dumps(person("bo", "B", 2)),
                "notes.txt": "not records",
                ".hidden.json": "{broken",
            }
        )
    )
    assert [one["location"] for one in catalog.records("getbyname", "bo")] == ["A", "B", "C"]
    assert catalog.reader.find("getbyname", ["bo"]).files == ("a.json", "b.jsonl", "c.csv")
    assert catalog.reader.find("getbylocation", ["B"]).files == ("b.jsonl",)
    assert catalog.reader.find("getbyname", ["al"]).files == ()


def test_duplicate_names_are_all_returned(put: Put, ask: Ask) -> None:
    first, second, third = (person("eve", year=year) for year in (1, 2, 3))
    twice = f'{{"eve": {json.dumps(first)}, "eve": {json.dumps(second)}}}'
    catalog = ask(put({"a.json": twice, "b.json": [third, third]}))
    assert catalog.records("getbyname", "eve") == [first, second, third, third]


def test_extra_fields_and_their_order_are_kept(put: Put, ask: Ask) -> None:
    rich = {"tags": ["a", {"b": None}], **person("kim"), "größe": 1.75, "ok": True, "none": None}
    catalog = ask(put({"a.json": [person("al"), rich]}))
    (found,) = catalog.records("getbyname", "kim")
    assert found == rich
    assert list(found) == list(rich)
    assert catalog.info.fields == ("name", "location", "year", "tags", "größe", "ok", "none")


def test_a_record_without_a_lookups_field_is_not_found_by_that_lookup(put: Put, ask: Ask) -> None:
    odd: list[object] = [
        {"name": "no-place"},
        {"name": None, "location": "Rome", "year": 1},
        {"name": ["a list"], "location": "Rome", "year": None},
        {"name": {"an": "object"}, "location": "Rome"},
        {},
    ]
    catalog = ask(put({"a.json": [*odd, person("al", "Rome", 2)]}))
    assert catalog.info.records == 6
    assert catalog.records("getbyname", "no-place") == [odd[0]]
    assert catalog.records("getbylocation", "Rome") == [*odd[1:4], person("al", "Rome", 2)]
    assert catalog.records("getbyyear", "Rome", 1) == [odd[1]]
    for nothing in ("None", "null", "", '["a list"]'):
        assert catalog.records("getbyname", nothing) == []


def test_csv_numbers_are_typed_per_column(put: Put, ask: Ask) -> None:
    header = "name,location,year,code,height,big,mixed,empty\n"
    rows = (
        "ann,Oslo,2001,007,1.5,9223372036854775807,1,\n"
        'bob,Oslo,-3,12,2,9223372036854775808,x,\n"c, d",Oslo,0,+5,1.25,1,2.5,\n'
    )
    catalog = ask(put({"a.csv": header + rows}))
    assert catalog.records("getbylocation", "Oslo") == [
        {
            "name": "ann",
            "location": "Oslo",
            "year": 2001,
            "code": "007",
            "height": 1.5,
            "big": "9223372036854775807",
            "mixed": "1",
        },
        {
            "name": "bob",
            "location": "Oslo",
            "year": -3,
            "code": "12",
            "height": 2,
            "big": "9223372036854775808",
            "mixed": "x",
        },
        {
            "name": "c, d",
            "location": "Oslo",
            "year": 0,
            "code": "+5",
            "height": 1.25,
            "big": "1",
            "mixed": "2.5",
        },
    ]
    assert catalog.lookup("getbyyear").types == ("text", "integer")
    assert catalog.records("getbyyear", "Oslo", "-3")[0]["name"] == "bob"


def test_a_csv_cell_may_hold_lines_and_quotes(put: Put, ask: Ask) -> None:
    catalog = ask(
        put({"a.csv": 'name,location,year\n"two\nlines, ""quoted""",Oslo,1\nbo,Oslo,2\n'})
    )
    assert [one["year"] for one in catalog.records("getbyname", 'two\nlines, "quoted"')] == [1]
    assert catalog.info.records == 2


BROKEN: dict[str, tuple[str, object, str]] = {
    "json": ("a.json", '[\n{"name": "al"},\n{"name": }\n]', "a.json, line 3, column 10: not JSON"),
    "cut": ("a.json", '{"al": {"name": "al"', "a.json, line 1, column 21: not JSON"),
    "empty": ("a.json", "", "a.json, line 1, column 1: not JSON: there is nothing in it"),
    "comma": ("a.json", '[{"name": "al"},\n]', "line 2, column 1: not JSON: a comma must not"),
    "no comma": ("a.json", '[{"é": 1}{"b": 1}]', "line 1, column 10: not JSON: a comma is miss"),
    "two": ("a.json", "[{}]\n[{}]", "line 2, column 1: not JSON: something comes after its end"),
    "a text": ("a.json", '"people"', "a.json: holds text; it must hold an array of records"),
    "a number": ("a.json", "NaN", "a.json: holds a number"),
    "null": ("a.json", "null", "a.json: holds null"),
    "header": ("a.csv", '\n"na"me,year\nal,1\n', "a.csv, line 2: it must name the columns, and"),
    "no header": ("a.csv", "", "a.csv: there is no line in it that names the columns"),
    "not utf-8": ("a.csv", b"n\xe9,y\n1,2\n", "a.csv: in its first line byte 2 is not UTF-8"),
    "gzip": ("a.csv.gz", b"name\n", "a.csv.gz: it is cut short or damaged"),
    "two arrays": ("a.json", '{"a": [{}], "b": [{}]}', "both 'a' and 'b' hold records; say in"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_its_line(put: Put, case: str) -> None:
    name, content, message = BROKEN[case]
    data = put({name: content, "z.json": [person("al")]})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data, skip_bad=True)  # bad records may be skipped, a broken file never
    assert message in str(caught.value)


BAD: dict[str, tuple[str, object, str]] = {
    "text": ("a.json", '{"al": "al"}', "a.json, record 1 ('al'): a record must be an object"),
    "list": (
        "a.json",
        "[{}, []]",
        "a.json, record 2: a record must be an object, this is an array",
    ),
    "null": ("a.jsonl", "{}\nnull", "a.jsonl, line 2: a record must be an object, this is null"),
    "true": ("a.jsonl", "true", "a.jsonl, line 1: a record must be an object, this is true or"),
    "twice": ("a.json", '[{"a": 1, "é": 1, "é": 2}]', "record 1: the field 'é' is there twice"),
    "twice, line": ("a.jsonl", '{"a": {"b": 1, "b": 2}}', "line 1: the field 'b' is there twice"),
    "NaN": ("a.json", '[{"a": [NaN]}]', "record 1: NaN is not a finite number"),
    "infinite": ("a.jsonl", '{"a": 1e999}', "line 1: 1e999 is not a finite number"),
    "digits": ("a.jsonl", '{"a": ' + "9" * 5000 + "}", "99 is not a finite number"),
    "surrogate": ("a.json", r'[{"a": "\ud83d"}]', "record 1: it has half of a surrogate pair"),
    "deep": ("a.jsonl", '{"a": ' + "[" * 100_000, "line 1: it is nested too deeply"),
    "huge": (
        "a.jsonl",
        json.dumps({"a": "x" * MAX_RECORD_BYTES}),
        "line 1: it is too large: a record has at most 1,048,576 bytes (1 MiB)",
    ),
    "line": ("a.jsonl", '{"name": "al"}\n\n{"name": al}\n', "line 3: not JSON at column 10: a val"),
    "two in a line": ("a.jsonl", '{"name": "al"} {"name": "bo"}', "line 1: not JSON at column 16"),
    "line not utf-8": (
        "a.jsonl",
        b'{"name": "al"}\n{"name": "\xe9"}',
        "line 2: byte 11 is not UTF",
    ),
    "not utf-8": ("a.json", b'[\n\n{"name": "\xff"}]', "a.json, record 1: byte 11 is not UTF-8"),
    "too deep": ("a.json", "[" * 200_000 + "]" * 200_000, "record 1: it is nested too deeply"),
    "open quote": ("a.csv", 'name,year\nal,1\n"bo,2\ncy,3\n', "a.csv, line 3: a quote that opens"),
    "quote inside": ("a.csv", 'name,year\n"al"x,1\nbo,2\n', "line 2: a quote closes a cell, and"),
    "cell not utf-8": ("a.csv", b"name,year\nal,1\n\xe9,2\n", "line 3: byte 1 is not UTF-8"),
    "huge cell": ("a.csv", f"name\n{'x' * (1 << 20)}y\nal\n", "line 2: it is too large"),
    "CR": (
        "a.csv",
        "name,year\nal,1\rbo,2\ncy,3\n",
        "a.csv, line 2: it has a CR that ends no",
    ),
    "cells": ("a.csv", "name,year\nal,1\nbo\n\ncy,2,3\n", "a.csv, line 3: it has 1 cells where"),
    "later cells": ("a.csv", 'name,year\n"a\nl",1\n\ncy,2,3\n', "a.csv, line 5: it has 3 cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_listed_with_its_place(put: Put, case: str) -> None:
    name, content, message = BAD[case]
    data = put({name: content, "z.json": [person("al")]})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data)
    assert message in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    assert ensure_catalog(data, skip_bad=True).skipped >= 1


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_record_nests_as_deep_as_we_say_on_every_interpreter(put: Put, suffix: str) -> None:
    def content(levels: int) -> str:
        lists = "[" * (levels - 1) + "]" * (levels - 1)
        flat, deep = json.dumps(person("al")), json.dumps(person("bo", a=None))
        records = [flat, deep.replace("null", lists), flat]
        return "[" + ",".join(records) + "]" if suffix == "json" else "\n".join(records)

    assert not ensure_catalog(put({f"a.{suffix}": content(MAX_NESTING)})).skipped
    with pytest.raises(DataError, match="nested too deeply, at most 100"):
        ensure_catalog(put({f"a.{suffix}": content(MAX_NESTING + 1)}))


def test_bad_records_are_counted_and_the_rest_is_served(put: Put, ask: Ask) -> None:
    lines = [json.dumps(person("al", year=number)) for number in range(30)]
    data = put({"a.jsonl": "\n".join([*lines, *["[]"] * 30])})
    with pytest.raises(DataError) as caught:
        ensure_catalog(data)
    assert "30 record(s) cannot be used" in str(caught.value)
    assert "a.jsonl, line 31: " in str(caught.value)
    assert "a.jsonl, line 50: " in str(caught.value)
    assert "line 51" not in str(caught.value)
    assert "and 10 more" in str(caught.value)
    catalog = ask(data, skip_bad=True)
    assert (catalog.info.records, catalog.info.skipped) == (30, 30)
    assert len(catalog.records("getbyname", "al")) == 30


def test_nothing_but_bad_records_is_no_dataset(put: Put) -> None:
    with pytest.raises(DataError, match=r"no usable record in a\.jsonl"):
        ensure_catalog(put({"a.jsonl": "[]\n1\n"}), skip_bad=True)


# -- the fast path for JSON Lines gives what the slow one gives ----------------------------------

_raw = st.recursive(
    st.sampled_from(
        ["1", "-0", "-0.0", "1e5", "0.1", "1e999", "NaN", "18446744073709551616", "null"]
    )
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.text(max_size=4).map(json.dumps)
    | st.text(max_size=4).map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.sampled_from([r'"\ud800"', r'"\/"', '"\x7f"', '"\u2028"', "true"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"é"', r'"\u0061"']), inner), max_size=3).map(
            lambda pairs: "{" + " , ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_raw, min_size=1, max_size=5))
@example([r'{"a": 1, "a": "\u0022\u0022"}'])
def test_json_lines_and_an_array_of_the_same_records_are_read_alike(values: list[str]) -> None:
    with TemporaryDirectory() as temporary:
        # A file of lines that starts with an array of objects would be taken for one.
        values = ["{}", *values]
        files = {"a.json": f"[{','.join(values)}]", "a.jsonl": "\n".join(values)}
        folder = write(Path(temporary), files)
        array, array_bad = _read(folder / "a.json")
        lines, lines_bad = _read(folder / "a.jsonl")
    assert lines == array
    assert lines_bad == array_bad
    assert len(lines) + len(lines_bad) == len(values)


@pytest.mark.parametrize(
    ("lines", "broken", "whole"),
    [
        ('{"name": "al"} {"name": "bo"}\n{"name":\n"cy"}', [1, 2, 3], 0),
        ('{"name": "al"}\n{"name": "bo"}{"name": "cy"}\n\n', [2], 1),
        ('{"name": "al"}\n{"name": {\n"a": {}}}\n{"name": "bo"}', [2, 3], 2),
        ('{"name": "}\n{"}\n{"name": "al"}{"name": "bo"}', [1, 2, 3], 0),
    ],
)
def test_a_line_that_is_not_one_record_is_one_bad_record(
    put: Put, lines: str, broken: list[int], whole: int
) -> None:
    report = check_data(put({"a.jsonl": lines}))
    assert [bad.where for bad in report.bad] == [f"a.jsonl, line {number}" for number in broken]
    assert report.records == whole


def _read(path: Path) -> tuple[list[tuple[object, bytes]], list[str]]:
    bad: list[str] = []
    found: list[tuple[object, bytes]] = []
    for _, records, bodies in read_records(path, path.name, lambda _where, why: bad.append(why)):
        found += zip(records, bodies, strict=True)
    return found, bad
