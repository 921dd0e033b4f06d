"""A catalog whose file is removed or damaged under those who serve it: no wrong answer, and it is
mended by whoever has the records.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.seal import is_sealed
from nodes.catalog.sqlite_file import IN_MEMORY_BYTES
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from tests.catalog.large_data import make_person
from tests.kit import Node, hosted, kill_process, master_alone, poll_for, up, worker_inside
from tests.worker.kit import people


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, as it is hurt."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ROLLCALL_CACHE", str(folder))
    return folder


def the_file(cache: Path) -> Path:
    """The one catalog in it."""
    [path] = (cache / "catalogs").glob("*.db")
    return path


def remove(cache: Path) -> None:
    """All of it goes."""
    shutil.rmtree(cache)


def cut(cache: Path) -> None:
    """Its catalog is cut short, in place."""
    os.truncate(the_file(cache), 8192)


def overwrite(cache: Path) -> None:
    """Most of its catalog is overwritten, in place."""
    with the_file(cache).open("r+b") as file:
        file.seek(4000)
        file.write(b"x" * 20_000)


RECORDS = 500


def large(folder: Path) -> Path:
    """The same records, beside so much else that the catalog is not read into memory: whoever reads
    meets the damage.
    """
    people(folder, RECORDS)
    filler = {"name": "filler", "location": "Nowhere", "year": 1, "text": "x" * (1 << 17)}
    (folder / "filler.json").write_text(json.dumps([filler] * (IN_MEMORY_BYTES >> 17)))
    (folder / "dataset.toml").write_text(
        'name = "people"\nfiles = ["people.jsonl", "filler.json"]\n'
    )
    return folder


HARM = [remove, cut, overwrite]


@pytest.fixture
def cluster(tmp_path: Path, cache: Path) -> Iterator[HostedCluster]:
    with hosted(2, data=people(tmp_path / "data", RECORDS)) as cluster:
        yield cluster


def answers(client: Client) -> list[object]:
    """What is said to a few lookups."""
    asked = [make_person(RECORDS, number) for number in range(0, RECORDS, 50)]
    found: list[object] = [client.getbyname(one["name"]) for one in asked]
    assert all(found)
    return [*found, *(client.getbylocation(one["location"]) for one in asked)]


@pytest.mark.parametrize("harm", HARM)
def test_a_launcher_puts_the_file_back_or_builds_it_again(
    cluster: HostedCluster, cache: Path, harm: Callable[[Path], None]
) -> None:
    with Client(cluster.address, timeout=10.0) as client:
        right = answers(client)
        restarts = [one.restarts for one in cluster.snapshot().workers]
        path = the_file(cache)
        harm(cache)
        assert answers(client) == right
        for view in cluster.snapshot().workers:
            kill_process(view.pid)
        assert answers(client) == right
        poll_for(lambda: len(up(cluster)) == 2)
        assert is_sealed(path)
        poll_for(lambda: "mended" in [event.kind for event in cluster.events()])
        workers = cluster.snapshot().workers
        assert [one.restarts for one in workers] == [count + 1 for count in restarts]
        assert answers(client) == right
        assert "nothing to do" in cluster.reload().text


@pytest.mark.parametrize("harm", HARM)
def test_a_reload_mends_what_it_finds_broken(
    cluster: HostedCluster, cache: Path, harm: Callable[[Path], None]
) -> None:
    cluster.fleet._ended.set()  # nobody else looks
    for thread in cluster.fleet._threads:
        thread.join()
    harm(cache)
    said = cluster.reload().text
    assert ("was put back" if harm is remove else "was built again") in said
    assert is_sealed(the_file(cache))


def test_records_that_nobody_has_any_more_are_served_as_they_are_now(
    cluster: HostedCluster, cache: Path, tmp_path: Path
) -> None:
    with Client(cluster.address, timeout=10.0) as client:
        before = client.describe().version
        people(tmp_path / "data", 400)
        cut(cache)
        poll_for(lambda: client.describe().version != before)
        assert client.describe().records == 400
        poll_for(lambda: len(cluster.snapshot().catalogs) == 1)
        assert len(up(cluster)) == 2


@pytest.mark.parametrize("harm", [cut, overwrite])
def test_a_worker_with_records_of_its_own_builds_it_again(
    tmp_path: Path, cache: Path, harm: Callable[[Path], None]
) -> None:
    data = large(tmp_path / "data")
    with (
        master_alone() as master,
        worker_inside(master, data=data, records=lambda: ensure_catalog(data)),
        Client(str(master.address), timeout=10.0) as client,
    ):
        right = answers(client)
        harm(cache)
        assert answers(client) == right
        poll_for(lambda: master.snapshot().workers[0].why == "")
        assert is_sealed(the_file(cache))
        [view] = master.snapshot().workers
        assert (view.errors, view.state, view.breaker_open) == (0, "up", False)


def test_a_worker_without_any_gets_it_from_the_master(tmp_path: Path) -> None:
    there = tmp_path / "there"
    with hosted(0, data=large(tmp_path / "data")) as cluster:
        options = ("worker", "--from-master", "--master", cluster.address, "--json")
        with (
            Node(*options, env={"ROLLCALL_CACHE": str(there)}),
            Client(cluster.address, timeout=10.0) as client,
        ):
            right = answers(client)
            cut(there)
            assert answers(client) == right
            assert is_sealed(the_file(there))
            remove(there)
            assert answers(client) == right


def test_one_that_nobody_can_mend_is_said_to_be_damaged_and_is_not_blamed(
    tmp_path: Path, cache: Path
) -> None:
    data = people(tmp_path / "data", RECORDS)
    with master_alone() as master, worker_inside(master, data=data):
        good = the_file(cache).read_bytes()
        cut(cache)
        damaged = "records damaged: the catalog's file was damaged, and is got anew"
        poll_for(lambda: master.snapshot().workers[0].why == damaged)
        assert master.snapshot().workers[0].state == "up"
        ensure_catalog(data)
        assert the_file(cache).read_bytes() == good
        poll_for(lambda: master.snapshot().workers[0].why == "")
