"""Many records: bounded memory, and the same answers as a plain scan.

Run with `python -m pytest -n 0 -m big tests/catalog`; it takes about a minute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from nodes.catalog import CatalogInfo, ensure_catalog
from nodes.client.blocking import Client
from tests.catalog.kit import Record, catalog_of
from tests.catalog.large_data import CROWD, build_and_measure_peak, make_person, write_people
from tests.kit import Node

pytestmark = [pytest.mark.big, pytest.mark.timeout(600)]

RECORDS = 300_000
MB = 1_000_000


def build(data: Path) -> tuple[CatalogInfo, int]:
    """Build the catalog; returns its info and the peak memory in bytes."""
    peak = build_and_measure_peak(data)
    return ensure_catalog(data), peak


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_a_build_takes_no_more_memory_for_more_records(tmp_path: Path, suffix: str) -> None:
    few, few_peak = build(write_people(tmp_path / f"few{suffix}", RECORDS // 10))
    much, much_peak = build(write_people(tmp_path / f"much{suffix}", RECORDS))
    assert (few.records, much.records) == (RECORDS // 10, RECORDS)
    # Only SQLite's cache of 8 MiB and its sorting threads may use more for more records.
    assert much_peak - few_peak < 40 * MB
    assert much_peak < 150 * MB


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_answers_are_those_of_a_plain_scan(tmp_path: Path, suffix: str) -> None:
    file = write_people(tmp_path / f"many{suffix}", RECORDS)
    random = Random(7)
    asked_for = [make_person(RECORDS, random.randrange(RECORDS)) for _ in range(200)]
    names = {person["name"] for person in asked_for}
    places = {(person["location"], person["year"]) for person in asked_for}
    by_name: dict[str, list[Record]] = defaultdict(list)
    by_place: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for n in range(RECORDS):
        person = make_person(RECORDS, n)
        if person["name"] in names:
            by_name[person["name"]].append(person)
        if (place := (person["location"], person["year"])) in places:
            by_place[place].append(person)
    with catalog_of(file) as catalog:
        assert {name: catalog.records("getbyname", name) for name in names} == by_name
        assert {place: catalog.records("getbyyear", *place) for place in places} == by_place


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Node]:
    """A cluster that serves many records."""
    ensure_catalog(write_people(tmp_path / "many.jsonl", RECORDS))
    with Node(
        "up", "--workers", "1", "--port", "0", "--json", "--data", str(tmp_path / "many.jsonl")
    ) as node:
        yield node


def test_a_crowd_goes_through_the_master_page_by_page(crowded: Node) -> None:
    master = psutil.Process(crowded.process.pid)
    with Client(crowded.ready["master"], timeout=10.0) as client:
        assert client.getbyname(make_person(RECORDS, 5)["name"])
        before = peak = master.memory_info().rss
        count = 0
        for n, person in enumerate(client.each("getbylocation", CROWD)):
            assert person == make_person(RECORDS, n * 3)
            count += 1
            if count % 1000 == 0:
                peak = max(peak, master.memory_info().rss)
    assert count == 100_000
    assert peak - before < 20 * MB
