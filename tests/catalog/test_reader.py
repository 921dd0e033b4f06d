"""The catalog readers, in a file and in a store: pages, suggestions, and what they reject."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.catalog.questions import MAX_PAGE_BYTES, MAX_PAGE_RECORDS
from nodes.errors import BadRequest
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import OpenCatalog, catalog_of, definition, person, plain_scan, write

pytestmark = pytest.mark.usefixtures("anywhere")

CITIES = ["Oslo", "Rome", "Lima"]
MANY = [person(f"p{number % 7}", CITIES[number % 3], 2000 + number % 4) for number in range(97)]


@pytest.fixture(scope="module")
def many(anywhere: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCatalog]:
    base = tmp_path_factory.mktemp("many")
    data = write(base / "data", {"a.json": MANY[:50], "b.json": MANY[50:]})
    with catalog_of(data, base / "cache") as catalog:
        yield catalog


# -- find, page by page --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(name=st.integers(0, 7), city=st.sampled_from(CITIES), limit=st.integers(1, 40))
def test_pages_together_are_the_plain_scan(
    many: OpenCatalog, name: int, city: str, limit: int
) -> None:
    assert many.records("getbyname", f"p{name}", limit=limit) == plain_scan(
        MANY, ("name",), (f"p{name}",)
    )
    assert many.records("getbylocation", city, limit=limit) == plain_scan(
        MANY, ("location",), (city,)
    )
    assert many.records("getbyyear", city, 2001, limit=limit) == plain_scan(
        MANY, ("location", "year"), (city, 2001)
    )


def test_a_page_that_holds_all_that_is_left_is_the_last(many: OpenCatalog) -> None:
    count = len(plain_scan(MANY, ("location",), ("Rome",)))
    whole = many.reader.find("getbylocation", ["Rome"], limit=count)
    assert (whole.count, whole.after) == (count, None)
    short = many.reader.find("getbylocation", ["Rome"], limit=count - 1)
    assert short.count == count - 1
    assert short.after is not None
    rest = many.reader.find("getbylocation", ["Rome"], limit=count - 1, start=short.after)
    assert (rest.count, rest.after) == (1, None)
    assert short.files == ("a.json", "b.json")
    assert rest.files == ("b.json",)


def test_nothing_found_is_an_empty_page(many: OpenCatalog) -> None:
    page = many.reader.find("getbyname", ["nobody"])
    assert (page.body, page.count, page.after, page.files) == (b"[]", 0, None, ())


def test_a_page_ends_before_it_grows_too_large(put: Put, ask: Ask) -> None:
    large = [person("al", year=number, text="x" * 110_000) for number in range(10)]
    catalog = ask(put({"a.jsonl": "\n".join(json.dumps(one) for one in large)}))
    page = catalog.reader.find("getbyname", ["al"])
    assert page.count == 4
    assert len(page.body) <= MAX_PAGE_BYTES
    assert catalog.records("getbyname", "al") == large


def test_a_record_that_is_larger_than_a_page_is_one(put: Put, ask: Ask) -> None:
    large = [person("al", year=number, text="x" * (MAX_PAGE_BYTES + number)) for number in range(2)]
    catalog = ask(put({"a.jsonl": "\n".join(json.dumps(one) for one in large)}))
    assert catalog.reader.find("getbyname", ["al"]).count == 1
    assert catalog.records("getbyname", "al") == large


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE_RECORDS + 1, 1.0, "5", None, True, 2**70])
def test_a_wrong_limit_is_refused(many: OpenCatalog, limit: int) -> None:
    with pytest.raises(BadRequest, match="limit must be an integer from 1 to 10000"):
        many.reader.find("getbyname", ["p1"], limit=limit)


def test_a_lookup_that_is_not_there_shows_those_that_are(many: OpenCatalog) -> None:
    with pytest.raises(BadRequest) as caught:
        many.reader.find("getbyteam", ["x"])
    assert "no lookup 'getbyteam'" in caught.value.message
    assert "getbyname(name), getbylocation(location), getbyyear(location, year)" in (
        caught.value.message
    )


@pytest.mark.parametrize(
    "args", [[], ["a", "b"], [None], [["p1"]], [True], [b"p1"], [2.0], ["\ud800"]]
)
def test_wrong_arguments_do_no_harm(many: OpenCatalog, args: list[str]) -> None:
    with pytest.raises(BadRequest, match=r"getbyname\(name\)(:| takes)"):
        many.reader.find("getbyname", args)
    assert many.records("getbyname", "p1") == plain_scan(MANY, ("name",), ("p1",))


def test_a_number_that_is_none_is_refused(put: Put, ask: Ask) -> None:
    data = put(
        {
            "a.json": [{"size": 1.5}, {"size": None}, {}],
            "dataset.toml": definition({"by": ["size"]}),
        }
    )
    with pytest.raises(BadRequest, match="finite"):
        ask(data).reader.find("by", [float("nan")])


# -- suggest -------------------------------------------------------------------------------------


def test_suggestions_are_distinct_sorted_and_few(put: Put, ask: Ask) -> None:
    names = ["anna", "Anna", "ann", "ann", "änne", "bo", "an\U0010ffff", "an\ud7ffx", ""]
    years = [7, 70, 71, 700, -7, 8, 0, 7, 7]
    records = [person(name, year=year) for name, year in zip(names, years, strict=True)]
    suggest = ask(put({"a.json": records})).reader.suggest
    assert suggest("name", "an") == ["ann", "anna", "an\ud7ffx", "an\U0010ffff"]
    assert suggest("name", "an", limit=2) == ["ann", "anna"]
    assert suggest("name", "ann") == ["ann", "anna"]
    assert suggest("name", "an\U0010ffff") == ["an\U0010ffff"]
    assert suggest("name", "an\ud7ff") == ["an\ud7ffx"]
    assert suggest("name", "ä") == ["änne"]
    assert suggest("name", "x") == []
    assert suggest("name", "") == sorted(set(names))
    assert suggest("location", "") == ["Oslo"]
    assert suggest("year", "7") == ["7", "70", "71", "700"]
    assert suggest("year", "70") == ["70", "700"]
    assert suggest("year", "0") == ["0"]
    assert suggest("year", "") == ["-7", "0", "7", "8", "70", "71", "700"]
    assert suggest("year", "07") == suggest("year", "x") == suggest("year", "9" * 30) == []


@settings(max_examples=25, deadline=None)
@given(numbers=st.sets(st.integers(0, 120) | st.integers(0, 2**63 - 1), min_size=1))
def test_integers_are_suggested_by_their_digits(numbers: set[int]) -> None:
    records = [{"number": number} for number in numbers]
    files = {"a.json": records, "dataset.toml": definition({"by": ["number"]})}
    with TemporaryDirectory() as temporary:
        with catalog_of(write(Path(temporary) / "d", files), Path(temporary) / "c") as catalog:
            for prefix in {str(number)[:length] for number in numbers for length in (0, 1, 2, 19)}:
                expected = {str(number) for number in numbers if str(number).startswith(prefix)}
                found = catalog.reader.suggest("number", prefix, limit=100)
                assert len(found) == len(set(found)) == min(100, len(expected))
                assert set(found) <= expected


def test_numbers_with_fractions_are_not_suggested(put: Put, ask: Ask) -> None:
    definition_ = definition({"by": ["size"]})
    catalog = ask(put({"a.json": [{"size": 1.5}, {"size": 1}], "dataset.toml": definition_}))
    assert catalog.lookup("by").types == ("number",)
    assert catalog.reader.suggest("size", "1") == []


@pytest.mark.parametrize(
    ("field", "prefix", "limit"),
    [
        ("color", "", 10),
        ("f0", "", 10),
        ("name", None, 10),
        ("name", 7, 10),
        ("name", "\ud83d", 10),
        ("name", "\U0010ffff" * 1_000_000, 10),
        ("name", "", 0),
        ("name", "", 101),
        ("name", "", "5"),
    ],
)
def test_a_wrong_question_for_suggestions_is_refused(
    many: OpenCatalog, field: str, prefix: str, limit: int
) -> None:
    with pytest.raises(BadRequest) as caught:
        many.reader.suggest(field, prefix, limit=limit)
    caught.value.message.encode()


# -- ping, open and close ------------------------------------------------------------------------


def test_ping_reads_a_record_each_time(put: Put, ask: Ask) -> None:
    odd: list[object] = [{}, {"name": None}, {"name": ["x"]}]
    catalog = ask(put({"a.json": [*odd, person("al"), person("al"), person("bo")]}))
    for _ in range(20):
        catalog.reader.ping()
