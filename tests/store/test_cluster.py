"""A cluster whose records lie in a store: the same answers, and a store that is down is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from nodes.catalog import load_into_store
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import BadRequest, StoreDown
from nodes.wire import STORE_DOWN, Level, verdict
from tests.catalog.kit import person, write
from tests.kit import Node, hosted, poll_for, wait_up
from tests.store.conftest import Sql
from tests.store.server import PostgresServer
from tests.store.test_definition import STORE
from tests.store.test_live import dataset
from tests.store.test_loading import records_of

pytestmark = pytest.mark.store

PEOPLE: list[object] = [person(f"p{number % 10}", "Oslo", 2000 + number) for number in range(50)]


def years(records: list[dict[str, object]]) -> list[object]:
    """Of records, in order."""
    return [record["year"] for record in records]


def test_everything_that_may_be_asked_is_answered(store: str, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    version = load_into_store(data).version
    with hosted(2, data=data) as cluster:
        for direct in (False, True):
            with Client(cluster.address, direct=direct) as client:
                assert years(client.getbyname("p3")) == [2003, 2013, 2023, 2033, 2043]
                assert client.getbyname("nobody") == []
                assert len(client.getbyyear("Oslo", "2007")) == 1
                page = client.page("getbylocation", "Oslo", limit=20)
                rest = client.page("getbylocation", "Oslo", after=page.after)
                assert years(page.result + rest.result) == list(range(2000, 2050))
                assert page.catalog == version
                asked: list[tuple[str | float, ...]] = [
                    ("getbyname", "p1"),
                    ("getbyname", 7.5),
                    ("getbyname", "nobody"),
                ]
                found, wrong, none = client.lookup_many(asked)
                assert isinstance(found, list)
                assert (len(found), type(wrong), none) == (5, BadRequest, [])
                assert client.suggest("name", "p", limit=3) == ["p0", "p1", "p2"]
                with pytest.raises(BadRequest, match="must be text"):
                    client.lookup("getbyname", 7.5)


def test_a_reload_serves_the_newest_and_cursors_lead_on(store: str, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    first = load_into_store(data).version
    with hosted(2, data=data) as cluster, Client(cluster.address) as client:
        page = client.page("getbylocation", "Oslo", limit=20)
        second = load_into_store(records_of(data, [person("new")])).version
        assert client.page("getbyname", "new").catalog == first
        assert cluster.reload().behind == {}
        assert client.page("getbyname", "new").catalog == second
        rest = client.page("getbylocation", "Oslo", after=page.after)
        assert rest.catalog == first
        assert years(page.result + rest.result) == list(range(2000, 2050))
        assert "nothing to do" in cluster.reload().text


def view(cluster: HostedCluster) -> list[tuple[str, bool, str]]:
    """State, breaker and reason of each worker."""
    return [(one.state, one.breaker_open, one.why) for one in cluster.snapshot().workers]


def test_a_store_that_is_down_is_told_and_no_worker_is_blamed(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with hosted(2, data=data) as cluster, Client(cluster.address) as client:
        assert len(client.getbyname("p1")) == 5
        mortal.kill()
        for _ in range(20):
            with pytest.raises(StoreDown, match="the store cannot be reached: see that"):
                client.getbyname("p1")
            with pytest.raises(StoreDown):
                client.suggest("name", "p")
            [batched] = client.lookup_many([("getbyname", "p1")])
            assert isinstance(batched, StoreDown)
        why = f"{STORE_DOWN}: cannot be reached"
        poll_for(lambda: view(cluster) == [("up", False, why)] * 2)
        poll_for(lambda: verdict(cluster.snapshot()).level is Level.OUTAGE)
        assert verdict(cluster.snapshot()).text.startswith(why)
        # For longer than four probes: none of them is down.
        kinds = [event.kind for event in cluster.events()]
        assert kinds.count("store_down") == 2
        mortal.start()
        poll_for(lambda: view(cluster) == [("up", False, "")] * 2)
        assert len(client.getbyname("p1")) == 5
        assert {one.restarts for one in cluster.snapshot().workers} == {0}
        kinds = [event.kind for event in cluster.events()]
        assert kinds.count("store_back") == 2
        assert not {"lost", "suspect", "breaker_opened"} & set(kinds)


def test_a_store_that_froze_costs_no_worker(mortal: PostgresServer, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with hosted(2, data=data) as cluster, Client(cluster.address) as client:
        assert len(client.getbyname("p1")) == 5
        mortal.freeze()
        why = f"{STORE_DOWN}: did not answer within 0.50 s"
        poll_for(lambda: view(cluster) == [("up", False, why)] * 2)
        with pytest.raises(StoreDown):
            client.getbyname("p1")
        # By now, a new connection may have been tried in vain as well.
        for state, breaker_open, reason in view(cluster):
            assert (state, breaker_open) == ("up", False)
            assert reason.startswith(STORE_DOWN)
        mortal.signal(signal.SIGCONT)
        poll_for(lambda: view(cluster) == [("up", False, "")] * 2)
        assert len(client.getbyname("p1")) == 5


def test_a_worker_that_starts_while_the_store_is_down_waits_for_it(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with hosted(1, data=data) as cluster:
        mortal.kill()
        cluster.spawn(1)
        log = cluster.fleet.log_file("w2")
        poll_for(lambda: log.exists() and "waits: the store cannot be reached" in log.read_text())
        mortal.start()
        wait_up(cluster, 2)
        assert [one.restarts for one in cluster.snapshot().workers] == [0, 0]


def test_a_cluster_cannot_start_without_its_store(tmp_path: Path) -> None:
    data = write(tmp_path / "people", {"dataset.toml": STORE})
    with pytest.raises(AssertionError, match="the store cannot be reached"):
        Node(
            "up",
            "--port",
            "0",
            "--data",
            str(data),
            env={**os.environ, "ROLLCALL_STORE_URL": "postgresql://127.0.0.1:1/none"},
        )


def test_a_live_table_says_that_it_has_no_version(store: str, sql: Sql, tmp_path: Path) -> None:
    sql(
        'CREATE TABLE people (id int PRIMARY KEY, name text COLLATE "C")',
        "CREATE INDEX ON people (name, id)",
        "INSERT INTO people SELECT n, 'al' FROM generate_series(-10, 10) AS n",
    )
    with hosted(2, data=dataset(tmp_path, {"getbyname": ["name"]})) as cluster:
        with Client(cluster.address) as client:
            page = client.page("getbyname", "al", limit=5)
            assert (page.catalog, page.files) == ("live", ("people",))
            sql("DELETE FROM people WHERE id < 0", "INSERT INTO people VALUES (11, 'al')")
            rest = client.page("getbyname", "al", after=page.after)
            assert [one["id"] for one in page.result + rest.result] == [
                *range(-10, -5),
                *range(12),
            ]
            described = cluster.describe()
            assert (described.version, described.in_store) == ("live", True)
            assert "nothing to do" in cluster.reload().text


def test_a_load_is_noticed_where_records_are_watched(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with hosted(1, data=data, watch=True) as cluster, Client(cluster.address) as client:
        mortal.kill()
        poll_for(lambda: "not_reloaded" in [event.kind for event in cluster.events()])
        mortal.start()
        load_into_store(records_of(data, [person("new")]))

        def is_noticed() -> bool:
            with contextlib.suppress(StoreDown):
                return bool(client.getbyname("new"))
            return False

        poll_for(is_noticed)


def test_a_worker_that_takes_what_the_master_serves_asks_the_same_store(
    store: str, tmp_path: Path
) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with hosted(1, data=data) as cluster, Client(cluster.address) as client:
        with Node("worker", "--master", cluster.address, "--from-master", "--json"):
            wait_up(cluster, 2)
            second = load_into_store(records_of(data, [person("new")])).version
            assert cluster.reload().behind == {}
            assert {one.catalog for one in cluster.snapshot().workers} == {second}
            answered = [client.page("getbyname", "new") for _ in range(9)]
            assert {(one.count, one.catalog) for one in answered} == {(1, second)}
            assert len({one.worker for one in answered}) == 2


def test_no_url_is_shown(store: str, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", PEOPLE)
    load_into_store(data)
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("CREATE ROLE asker LOGIN PASSWORD 'hush'")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO asker")
    url = store.replace("rollcall@", "asker:hush@")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_STORE_URL", url)
        with hosted(1, data=data) as cluster, Client(cluster.address) as client:
            assert len(client.getbyname("p1")) == 5
            shown = json.dumps([repr(cluster.snapshot()), repr(cluster.events())])
            [worker] = cluster.snapshot().workers
            shown += Path(f"/proc/{worker.pid}/cmdline").read_text()
            shown += cluster.fleet.log_file("w1").read_text()
            assert "hush" not in shown
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("DROP OWNED BY asker")
        db.execute("DROP ROLE asker")
