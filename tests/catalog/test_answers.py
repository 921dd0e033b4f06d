"""Answers equal a plain scan of the records, for generated data and for the shipped data."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.catalog import coerce
from nodes.errors import BadRequest
from nodes.support.paths import shipped_data
from tests.catalog.kit import CLASSIC, Record, catalog_of, definition, plain_scan, values_of, write

pytestmark = pytest.mark.usefixtures("anywhere")

LOOKUPS = {**CLASSIC, "bysize": ["size"], "byall": ["size", "year", "location", "name"]}

_texts = st.text(max_size=6) | st.sampled_from(
    ["Oslo", "oslo", "São Paulo", "L'Aquila", "7", "", "\0", "\1", "a\0b", "a\1"]
)
_integers = st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1)
_numbers = _integers | st.floats(allow_nan=False, allow_infinity=False)
_nothing: st.SearchStrategy[object] = st.sampled_from(
    [None, [], {}, [None, ["Oslo"], {}], {"year": 7}]
)
_records = st.fixed_dictionaries(
    {},
    optional={
        "name": _texts | st.lists(_texts, max_size=3) | _nothing,
        "location": st.sampled_from(["Oslo", "São Paulo", "Île"]) | _texts | _nothing,
        "year": st.integers(2000, 2003) | _integers | st.lists(_integers, max_size=3) | _nothing,
        "size": _numbers | st.lists(_numbers, max_size=3) | _nothing,
        "extra": _nothing | _texts | _numbers | st.booleans(),
    },
)
# Gives every lookup's field a value, and `size` numbers of both types.
ANCHOR = {"name": "al", "location": "Oslo", "year": 2001, "size": 0.5}
_files = st.lists(
    st.tuples(st.sampled_from(["keyed.json", "array.json", "lines.jsonl"]), st.lists(_records)),
    min_size=1,
    max_size=3,
)


def written(kind: str, records: list[Record]) -> str:
    """The content of a file of that kind; the keyed one may have duplicate keys."""
    texts = [json.dumps(record, ensure_ascii=bool(len(records) % 2)) for record in records]
    match kind:
        case "keyed.json":
            keys = [json.dumps(str(record.get("name"))) for record in records]
            return "{" + ",".join(map(":".join, zip(keys, texts, strict=True))) + "}"
        case "array.json":
            return f"[{', '.join(texts)}]"
    return "\n".join(texts)


@settings(max_examples=80, deadline=None)
@given(files=_files, limit=st.integers(1, 5), extra=st.tuples(_texts, _texts, _integers, _numbers))
def test_answers_over_generated_data_equal_a_plain_scan(
    files: list[tuple[str, list[Record]]], limit: int, extra: tuple[str, str, int, float]
) -> None:
    contents: dict[str, object] = {
        f"{number}-{kind}": written(kind, records) for number, (kind, records) in enumerate(files)
    }
    contents["z.json"] = [ANCHOR]
    contents["dataset.toml"] = definition(LOOKUPS)
    records = [record for _, part in files for record in part] + [ANCHOR]
    with TemporaryDirectory() as temporary:
        data = write(Path(temporary) / "data", contents)
        with catalog_of(data, Path(temporary) / "cache") as catalog:
            assert catalog.info.records == len(records)
            strangers = dict(zip(("name", "location", "year", "size"), extra, strict=True))
            for lookup in catalog.info.lookups:
                for source in [*records, strangers]:
                    found = [values_of(source, field) for field in lookup.fields]
                    args = tuple(values[-1] if values else None for values in found)
                    if any(isinstance(arg, list | dict | None) for arg in args):
                        continue
                    answer = catalog.records(lookup.name, *args, limit=limit)
                    assert answer == plain_scan(records, lookup.fields, args)


_mixed = st.one_of(_texts, _integers, st.integers(), st.booleans(), st.floats(-1e6, 1e6), _nothing)


@settings(max_examples=60, deadline=None)
@given(st.lists(_mixed, min_size=1, max_size=8))
def test_values_of_several_types_are_found_by_what_json_writes(values: list[Any]) -> None:
    def text(value: object) -> str | None:
        if isinstance(value, list | dict | None):
            return None
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    records = [{"key": value, "number": number} for number, value in enumerate([*values, "text"])]
    with TemporaryDirectory() as temporary:
        files = {"a.json": records, "dataset.toml": definition({"by": ["key"]})}
        with catalog_of(write(Path(temporary) / "d", files), Path(temporary) / "c") as catalog:
            assert catalog.lookup("by").types == ("text",)
            for wanted in {text(record["key"]) for record in records} - {None}:
                expected = [one for one in records if text(one["key"]) == wanted]
                assert catalog.records("by", wanted) == expected


_cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=5)
_digits = st.integers(-(2**63), 2**63 - 1).map(str)
_columns = st.sampled_from([_cells, _digits, st.just("") | _digits])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_csv_answers_equal_a_plain_scan_of_the_rows(data: st.DataObject) -> None:
    kinds = [data.draw(_columns) for _ in range(3)]
    rows = data.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=6))
    rows.append(("al", "Oslo", "2001"))
    sheet = io.StringIO()
    csv.writer(sheet).writerows([["name", "location", "year"], *rows])
    numeric = [_numeric([row[column] for row in rows]) for column in range(3)]
    records = [
        {
            field: _number(cell) if numeric[column] else cell
            for column, (field, cell) in enumerate(zip(ANCHOR, row, strict=False))
            if cell
        }
        for row in rows
    ]
    with TemporaryDirectory() as temporary:
        folder = write(Path(temporary) / "d", {"a.csv": sheet.getvalue()})
        with catalog_of(folder, Path(temporary) / "c") as catalog:
            for record in records:
                for name, fields in CLASSIC.items():
                    if all(field in record for field in fields):
                        args = tuple(record[field] for field in fields)
                        expected = plain_scan(records, tuple(fields), args)
                        assert catalog.records(name, *args) == expected


def _numeric(cells: list[str]) -> bool:
    """Whether all cells that are not empty are numbers as JSON writes them."""
    return all(_number(cell) is not None for cell in cells if cell)


def _number(cell: str) -> int | float | None:
    try:
        value = json.loads(cell)
    except ValueError:
        return None
    number = type(value) in (int, float) and math.isfinite(value) and cell == cell.strip()
    return value if number else None


# -- data that ships, and any other folder of people ---------------------------------------------


def check_all(folder: Path) -> None:
    """Every name, location and year of a folder, each location with every year too."""
    files = sorted(folder.glob("*.json"))
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    records = [
        record
        for content in contents
        for record in (content.values() if isinstance(content, dict) else content)
    ]
    names = {record["name"] for record in records}
    places = {record["location"] for record in records}
    years = {record["year"] for record in records}
    with catalog_of(folder) as catalog:
        for name in names:
            assert catalog.records("getbyname", name) == plain_scan(records, ("name",), (name,))
        for place in places:
            expected = plain_scan(records, ("location",), (place,))
            assert catalog.records("getbylocation", place) == expected
            for year in years:
                both = plain_scan(expected, ("year",), (year,))
                assert catalog.records("getbyyear", place, year) == both
                assert catalog.records("getbyyear", place, str(year)) == both
    assert len(records) > 0


def test_every_answer_over_the_data_that_ships() -> None:
    check_all(shipped_data())


@pytest.mark.skipif("ROLLCALL_EXTRA_DATA" not in os.environ, reason="no more data is named")
def test_every_answer_over_more_data() -> None:
    for folder in os.environ["ROLLCALL_EXTRA_DATA"].split(os.pathsep):
        check_all(Path(folder))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("getbyname", ("xander",)),
        ("getbylocation", ("Kansas City",)),
        ("getbyyear", ("New York City", 2002)),
        ("getbyname", ("fannie",)),
        ("getbylocation", ("Newport Beach",)),
        ("getbyyear", ("Saint Louis", 2012)),
        ("getbyyear", ("Saint Louis", "2012")),
    ],
)
def test_the_classic_questions_have_answers(name: str, args: tuple[object, ...]) -> None:
    with catalog_of(shipped_data()) as catalog:
        found = catalog.records(name, *args)
        fields = catalog.lookup(name).fields
    assert found
    for record in found:
        assert [str(record[field]) for field in fields] == [str(arg) for arg in args]


STRANGE = [
    "",
    " ",
    "🎈",
    "\0",
    "%",
    "_",
    "' OR 1=1 --",
    "xander'--",
    '"',
    "7",
    "XANDER",
    "x" * 4096,
]


@pytest.mark.parametrize("value", STRANGE)
def test_strange_values_are_found_nowhere(value: str) -> None:
    with catalog_of(shipped_data()) as catalog:
        assert catalog.records("getbyname", value) == []
        assert catalog.records("getbylocation", value) == []
        assert catalog.records("getbyyear", value, 2002) == []


@pytest.mark.parametrize("value", ["x" * (1 << 20), "\ud800", None, ["xander"], 7.5, b"xander"])
def test_what_cannot_be_a_value_is_a_bad_request(value: object) -> None:
    asks = {"getbyname": [value], "getbylocation": [value], "getbyyear": [value, 2002]}
    with catalog_of(shipped_data()) as catalog:
        for name, args in asks.items():
            with pytest.raises(BadRequest, match=rf"{name}\("):
                coerce(catalog.lookup(name), args)
        with pytest.raises(BadRequest, match=": year must be an integer"):
            coerce(catalog.lookup("getbyyear"), ["Oslo", [value]])
