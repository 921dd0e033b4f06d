"""Two sets of records are never mixed: whoever has another than the one served gets no lookups."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from nodes.catalog import CatalogInfo, Progress
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.errors import BadRequest, Conflict, RollcallError
from nodes.master.master import Master
from nodes.routing import Registry, State, Worker
from nodes.support.addresses import Address
from tests.faults.scenarios import BadWorker
from tests.kit import (
    Node,
    hosted,
    master_alone,
    poll_for,
    run_nodes,
    wait_up,
    worker_inside,
)


def write_people(folder: Path, *names: str, year: object = 2001, toml: str = "") -> Path:
    """A dataset called "people" with a record for each name; returns its folder."""
    folder.mkdir(exist_ok=True)
    people = [{"name": name, "location": "Oslo", "year": year} for name in names]
    fresh = folder / "people.new"
    fresh.write_text(json.dumps(people))
    fresh.replace(folder / "people.json")
    (folder / "dataset.toml").write_text(f'name = "people"\nfiles = ["people.json"]\n{toml}')
    return folder


def states(master: Master) -> dict[str, str]:
    """Each worker's state."""
    return {worker.id: worker.state for worker in master.snapshot().workers}


# -- the decision ----------------------------------------------------------------------


class Placed:
    """A registry that serves version "a", and a worker that registered with another."""

    def __init__(self, version: str) -> None:
        self.events: list[str] = []
        self.registry = Registry(listener=self._note, random=Random(1))
        self.registry.serve(["a"], 0.0)
        self.worker = self.registry.register(
            wanted_id="", instance="x", address=Address("h", 1), pid=1, version=version, now=0.0
        )

    def _note(self, kind: str, _worker: Worker, _text: str) -> None:
        self.events.append(kind)

    def probe(self, version: str) -> State:
        """A probe is answered; the state that follows."""
        self.registry.probe_answered(
            self.worker.generation, version=version, cpu=0.0, memory=0, now=1.0
        )
        return self.worker.state


def test_one_with_another_catalog_is_out_of_rotation_until_it_has_switched() -> None:
    placed = Placed("b")
    assert placed.worker.state is State.UNREADY
    assert placed.worker.why.startswith("other catalog")
    assert placed.registry.available == ()
    assert placed.probe("b") is State.UNREADY
    placed.registry.switched(placed.worker.generation, "a", 2.0)
    assert list(placed.registry.available) == [placed.worker]
    assert placed.probe("a") is State.UP
    assert placed.events == ["registered", "other_catalog", "ready", "proved"]


def test_one_that_switches_by_itself_goes_out_of_rotation() -> None:
    placed = Placed("a")
    assert placed.probe("a") is State.UP
    assert placed.probe("b") is State.UNREADY
    assert placed.registry.available == ()


def test_while_workers_switch_both_versions_are_served() -> None:
    placed = Placed("a")
    placed.registry.serve(["a", "b"], 1.0)
    placed.registry.switched(placed.worker.generation, "b", 1.0)
    assert placed.registry.available == (placed.worker,)
    placed.registry.serve(["b"], 2.0)
    assert placed.registry.available == (placed.worker,)


def test_one_that_leaves_or_is_silent_does_so_whatever_its_catalog() -> None:
    leaving, silent = Placed("b"), Placed("b")
    leaving.registry.drain(leaving.worker.generation, "asked", 1.0)
    leaving.registry.serve(["b"], 2.0)
    assert (leaving.worker.state, leaving.registry.available) == (State.DRAINING, ())
    for _ in range(Registry.DOWN_AFTER):
        silent.registry.probe_missed(silent.worker.generation, "late", 1.0)
    assert not silent.worker.live


# -- a bare master ---------------------------------------------------------------------


def test_a_worker_from_another_folder_of_the_same_name_answers_nothing(tmp_path: Path) -> None:
    ours, theirs = write_people(tmp_path / "a", "ann"), write_people(tmp_path / "b", "bob")
    with master_alone() as master, worker_inside(master, data=ours) as first:
        with worker_inside(master, data=theirs) as second, Client(str(master.address)) as client:
            poll_for(lambda: states(master) == {first.id: "up", second.id: "unready"})
            assert all(client.getbyname("bob") == [] for _ in range(60))
            assert len(client.getbyname("ann")) == 1
            with Client(str(master.address), direct=True) as direct:
                assert all(direct.getbyname("bob") == [] for _ in range(20))
            why = {worker.id: worker.why for worker in master.snapshot().workers}[second.id]
            assert why.startswith("other catalog")
            assert second.registration.unready == why
            assert master.snapshot().catalogs == (client.describe().version,)


def test_another_dataset_with_other_lookups_changes_nothing(tmp_path: Path) -> None:
    ours = write_people(tmp_path / "a", "ann")
    theirs = write_people(tmp_path / "b", "ann", toml='[lookups]\ngetbywho = ["name"]\n')
    with master_alone() as master, worker_inside(master, data=ours):
        with worker_inside(master, data=theirs) as other, Client(str(master.address)) as client:
            poll_for(lambda: states(master).get(other.id) == "unready")
            assert all(len(client.getbyname("ann")) == 1 for _ in range(20))
            with pytest.raises(BadRequest, match="getbywho"):
                client.lookup("getbywho", "ann")


def test_when_the_last_one_leaves_the_others_catalog_is_served_at_once(tmp_path: Path) -> None:
    ours, theirs = write_people(tmp_path / "a", "ann"), write_people(tmp_path / "b", "bob")
    with master_alone() as master, worker_inside(master, data=ours) as first:
        with worker_inside(master, data=theirs) as second:
            poll_for(lambda: states(master) == {first.id: "up", second.id: "unready"})
            with (
                Client(str(master.address)) as client,
                AttachedCluster(str(master.address)) as cluster,
            ):
                cluster.drain(first.id)
                assert len(client.getbyname("bob")) == 1
                assert client.describe().records == 1


def test_when_the_last_one_is_lost_it_has_the_time_to_come_back(tmp_path: Path) -> None:
    ours, theirs = write_people(tmp_path / "a", "ann"), write_people(tmp_path / "b", "bob")
    with master_alone() as master, ExitStack() as stack:
        first = stack.enter_context(
            Node("worker", "--master", str(master.address), "--data", str(ours), "--json")
        )
        second = stack.enter_context(worker_inside(master, data=theirs))
        poll_for(lambda: states(master).get(second.id) == "unready")
        first.process.kill()
        poll_for(lambda: "up" not in states(master).values())
        stack.enter_context(
            Node("worker", "--master", str(master.address), "--data", str(ours), "--json")
        )
        assert states(master)[second.id] == "unready"
        with Client(str(master.address)) as client:
            assert len(client.getbyname("ann")) == 1


@pytest.mark.long
def test_when_it_does_not_come_back_the_others_catalog_is_served(tmp_path: Path) -> None:
    ours, theirs = write_people(tmp_path / "a", "ann"), write_people(tmp_path / "b", "bob")
    with master_alone() as master:
        with (
            Node("worker", "--master", str(master.address), "--data", str(ours), "--json") as first,
            worker_inside(master, data=theirs) as second,
        ):
            poll_for(lambda: states(master).get(second.id) == "unready")
            first.process.kill()
            poll_for(lambda: states(master)[second.id] == "up")
            assert [e.kind for e in master.events.after(0)].count("serves") == 1


# -- a launcher's cluster --------------------------------------------------------------


def test_a_worker_started_beside_a_launchers_follows_its_reload(tmp_path: Path) -> None:
    ours, theirs = write_people(tmp_path / "a", "ann"), write_people(tmp_path / "b", "bob")
    with hosted(1, data=ours) as cluster, Client(cluster.address) as client:
        with worker_inside(cluster.master, data=theirs) as other:
            poll_for(lambda: states(cluster.master)[other.id] == "unready")
            # It follows although nothing else has to.
            assert cluster.reload().behind == {}
            wait_up(cluster, 2)
            write_people(ours, "ann", "cid")
            assert cluster.reload().behind == {}
            assert len(cluster.snapshot().catalogs) == 1
            assert all(len(client.getbyname("cid")) == 1 for _ in range(20))


def test_a_launchers_dataset_is_nobody_elses_to_replace(tmp_path: Path) -> None:
    ours = write_people(tmp_path / "a", "ann")
    theirs = write_people(tmp_path / "b", "bob")
    (theirs / "dataset.toml").write_text('name = "others"\n')
    with hosted(0, data=ours) as cluster, worker_inside(cluster.master, data=theirs) as other:
        assert isinstance(other.registration.refusal, Conflict)
    with hosted(0, data=ours) as cluster:
        write_people(theirs, "bob")
        with worker_inside(cluster.master, data=theirs) as other:
            assert other.registration.unready
            assert "getbyname" in {shape.name for shape in cluster.describe().lookups}


def test_a_reload_says_who_did_not_follow_and_ends_with_3(tmp_path: Path) -> None:
    ours = write_people(tmp_path, "ann")
    with (
        Node("up", "--port", "0", "--workers", "1", "--data", str(ours), "--json") as node,
        AttachedCluster(node.ready["master"]) as cluster,
        BadWorker("stuck", cluster.address, str(ours)) as stuck,
        Client(cluster.address) as client,
    ):
        stuck.register()
        poll_for(lambda: [w.state for w in cluster.snapshot().workers] == ["up", "up"])
        write_people(ours, "bob")
        done = run_nodes("reload", "--master", cluster.address)
        assert done.returncode == 3
        # Its own words are in its log.
        why = "answered with an error of its own: not_possible"
        assert f"w2 did not follow: {why}" in done.stdout
        assert all(len(client.getbyname("bob")) == 1 for _ in range(20))
        [worker] = [one for one in cluster.snapshot().workers if one.id == "w2"]
        assert (worker.state, worker.why.partition(":")[0]) == ("unready", "other catalog")
        assert "other catalog" in run_nodes("ps", "--master", cluster.address).stdout
        again = json.loads(run_nodes("reload", "--master", cluster.address, "--json").stdout)
        assert again["behind"] == {"w2": why}


@pytest.mark.long
def test_a_watch_asks_one_that_cannot_follow_no_more_than_once_for_each_change(
    tmp_path: Path,
) -> None:
    ours = write_people(tmp_path, "ann")

    def reloads() -> int:
        return [event.kind for event in cluster.events()].count("reloaded")

    with (
        hosted(1, data=ours, watch=True) as cluster,
        BadWorker("stuck", cluster.address, str(ours)) as stuck,
    ):
        stuck.register()
        poll_for(lambda: list(states(cluster.master).values()) == ["up", "up"])
        write_people(ours, "bob")
        poll_for(lambda: reloads() == 1)
        looks = 0
        build = cluster.fleet._build

        def counted(progress: Progress) -> CatalogInfo:
            nonlocal looks
            looks += 1
            return build(progress)

        cluster.fleet._build = counted
        poll_for(lambda: looks >= 2)
        assert reloads() == 1


@pytest.mark.parametrize("types", [(2001, "2001"), ("2001", 2001)])
def test_a_reload_that_changes_a_fields_type_fails_nobody(
    tmp_path: Path, types: tuple[object, object]
) -> None:
    ours = write_people(tmp_path, "ann", year=types[0])
    over = threading.Event()
    found: list[int] = []
    errors: list[str] = []
    with hosted(2, data=ours) as cluster:

        def ask() -> None:
            with Client(cluster.address) as client:
                while not over.is_set():
                    try:
                        found.append(len(client.getbyyear("Oslo", "2001")))
                        [page] = client.first_pages([("getbyyear", "Oslo", "2001")])
                        found.append(page.checked().count)
                    except RollcallError as error:
                        errors.append(repr(error))

        clients = [threading.Thread(target=ask) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            for kind in itertools.islice(itertools.cycle(types[::-1]), 6):
                write_people(ours, "ann", year=kind)
                cluster.reload()
        finally:
            over.set()
            for client in clients:
                client.join()
    assert errors == []
    assert set(found) == {1}
