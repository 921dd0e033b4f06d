"""The shipped records: two files with enough people, locations and years."""

from __future__ import annotations

import json
import tomllib
import unicodedata

import pytest

from nodes.catalog import check_data
from nodes.support.paths import shipped_data
from tests.catalog.kit import CLASSIC, Record

FILES = {"data-am.json": ("a", "m"), "data-nz.json": ("n", "z")}


def people(*files: str) -> dict[str, Record]:
    """The people in these files by name; fails on a duplicate name."""
    found: list[tuple[str, Record]] = []
    for file in files:
        text = (shipped_data() / file).read_text(encoding="utf-8")
        found += json.loads(text, object_pairs_hook=list_of_people)
    assert len(found) == len(dict(found))
    return dict(found)


def list_of_people(pairs: list[tuple[str, object]]) -> object:
    """A record as a dict; the object around the records as pairs, which keeps duplicate keys."""
    return dict(pairs) if pairs[0][0] == "record_id" else pairs


@pytest.mark.parametrize("file", FILES)
def test_each_file_has_its_part_of_the_alphabet(file: str) -> None:
    first, last = FILES[file]
    for name in people(file):
        letter = unicodedata.normalize("NFD", name)[0]
        assert first <= letter <= last, name


def test_every_record_is_whole() -> None:
    found = people(*FILES)
    for key, record in found.items():
        assert list(record) == ["record_id", "name", "location", "year"]
        assert [type(value) for value in record.values()] == [int, str, str, int]
        assert record["name"] == key == key.strip().lower()
    ids = [record["record_id"] for record in found.values()]
    assert len(set(ids)) == len(ids)


def test_there_are_enough_people_places_and_years() -> None:
    found = people(*FILES).values()
    assert len(found) >= 200
    assert len({record["location"] for record in found}) >= 25
    years = {record["year"] for record in found}
    assert (min(years), max(years)) == (1990, 2025)
    assert any(not record["name"].isascii() for record in found)
    assert any("'" in record["name"] for record in found)


def test_the_definition_names_both_files_and_the_classic_lookups() -> None:
    definition = tomllib.loads((shipped_data() / "dataset.toml").read_text(encoding="utf-8"))
    assert definition == {"name": "people", "files": list(FILES), "lookups": CLASSIC}
    report = check_data(shipped_data())
    assert report.bad_count == 0
    assert report.records == len(people(*FILES))
