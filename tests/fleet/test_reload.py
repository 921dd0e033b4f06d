"""Changed records brought into service under load: no gap, no mixture, no surprise."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nodes.catalog import CatalogInfo, Progress, ensure_catalog
from nodes.client.blocking import Client
from nodes.errors import BadRequest, DataError, RollcallError
from tests.kit import hosted, poll_for, up, wait_up


def test_a_reload_brings_changed_records_into_service(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    file.write_text('{"ann": {"name": "ann", "location": "Oslo", "year": 2001}}')
    with hosted(2, data=tmp_path) as cluster, Client(cluster.address) as client:
        before = client.describe().version
        assert client.getbyname("bob") == []
        assert "nothing to do" in cluster.reload().text
        file.write_text('{"bob": {"name": "bob", "location": "Rome", "year": 2002}}')
        cluster.reload()
        poll_for(lambda: "reloaded" in [event.kind for event in cluster.events()])
        wait_up(cluster, 2)
        assert client.getbyname("bob") == [{"name": "bob", "location": "Rome", "year": 2002}]
        assert before not in cluster.snapshot().catalogs


def person(version: int, number: int) -> str:
    """One record as JSON; its year tells the version of the file it is in."""
    return f'"p{number}": {{"name": "ann", "location": "Oslo", "year": {version}}}'


def write_people(file: Path, version: int) -> None:
    """A new version of the file, in one step."""
    fresh = file.with_suffix(".new")
    fresh.write_text("{" + ", ".join(person(version, n) for n in range(20)) + "}")
    fresh.replace(file)


def test_reloads_under_load_fail_nobody_and_mix_nothing(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    write_people(file, 2000)
    seen: list[set[int]] = []
    errors: list[str] = []
    over = threading.Event()
    with hosted(1, data=tmp_path) as cluster:
        pids = [worker.pid for worker in cluster.snapshot().workers]

        def ask() -> None:
            with Client(cluster.address) as client:
                while not over.is_set():
                    try:
                        # Page by page, so that reloads fall between two pages of an answer.
                        seen.append({r["year"] for r in client.each("getbyname", "ann", limit=3)})
                    except RollcallError as error:
                        errors.append(repr(error))

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for version in range(2001, 2006):
                write_people(file, version)
                cluster.reload()
                wanted = {version}
                poll_for(lambda: seen[-1:] == [wanted])  # noqa: B023 - used up at once
        finally:
            over.set()
            for client in clients:
                client.join()
        assert errors == []
        assert all(len(years) == 1 for years in seen)
        assert [worker.pid for worker in cluster.snapshot().workers] == pids


def test_a_broken_file_changes_nothing_and_a_watched_one_is_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    write_people(file, 2000)

    def kinds() -> list[str]:
        return [event.kind for event in cluster.events()]

    with hosted(1, data=tmp_path, watch=True) as cluster, Client(cluster.address) as client:
        file.write_text("{ this is not JSON")
        poll_for(lambda: "not_reloaded" in kinds())
        assert {r["year"] for r in client.getbyname("ann")} == {2000}
        with pytest.raises(DataError, match=r"people\.json"):
            cluster.reload()
        write_people(file, 2001)
        poll_for(lambda: {r["year"] for r in client.getbyname("ann")} == {2001})
        assert kinds().count("not_reloaded") == 1


@pytest.mark.long
def test_a_frozen_worker_does_not_hold_up_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    write_people(file, 2000)
    with hosted(2, data=tmp_path) as cluster, Client(cluster.address) as client:
        cluster.freeze("w1")
        write_people(file, 2001)
        cluster.reload()
        poll_for(lambda: "reloaded" in [event.kind for event in cluster.events()], 20.0)
        wait_up(cluster, 2)
        assert len(cluster.snapshot().catalogs) == 1
        assert {r["year"] for r in client.getbyname("ann")} == {2001}


def test_a_page_after_another_is_of_the_same_records_whoever_answers(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    write_people(file, 2000)
    with hosted(1, data=tmp_path) as cluster, Client(cluster.address) as client:
        first = client.page("getbyname", "ann", limit=15)
        write_people(file, 2001)
        cluster.reload()
        poll_for(lambda: {r["year"] for r in client.getbyname("ann")} == {2001})
        # Another process, which has never served the records of the first page.
        cluster.restart("w1")
        poll_for(lambda: cluster.snapshot().workers[0].restarts == 1 and up(cluster) == ["w1"])
        rest = client.page("getbyname", "ann", limit=15, after=first.after)
        assert [r["year"] for r in first.result + rest.result] == [2000] * 20
        assert (rest.catalog, rest.after) == (first.catalog, None)
        # Nobody makes one up, though the records of that version are still at hand.
        assert first.after is not None
        _version, position, *rest_of_it = first.after.split(":")
        for forged in (
            f"{first.catalog}:0",
            ":".join([first.catalog, "0", *rest_of_it]),
            ":".join(["0" * 12, position, *rest_of_it]),
        ):
            with pytest.raises(BadRequest, match="not a cursor of a page; start again"):
                client.page("getbyname", "ann", after=forged)
        with pytest.raises(BadRequest, match="not a cursor"):
            client.page("getbylocation", "Oslo", after=first.after)


def test_how_far_a_reload_is_can_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    write_people(file, 2000)
    with hosted(1, data=tmp_path) as cluster:
        seen = []
        looked = ensure_catalog

        def slowly(progress: Progress) -> CatalogInfo:
            def look(stage: str, done: int, total: int) -> None:
                progress(stage, done, total)
                seen.append(cluster.snapshot().activity)

            return looked(tmp_path, progress=look)

        cluster.fleet._build = slowly
        write_people(file, 2001)
        cluster.reload()
        assert "reload: read 100 %" in seen
        poll_for(lambda: cluster.snapshot().activity == "")
        assert [event.kind for event in cluster.events()][-3:] == ["reload", "switched", "reloaded"]
