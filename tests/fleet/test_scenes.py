"""The same scenes on every kind of fleet: what an operator does, and what befalls a machine, while
clients look up all the time and check every answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes import Client
from nodes.catalog import ensure_catalog
from nodes.cluster import HostedCluster
from nodes.fleet.machine import OpenMachines
from nodes.fleet.ray.machines import nodes_of
from nodes.fleet.ssh_machine import SshMachines
from nodes.security.credentials import worker_token
from nodes.support.paths import shipped_data
from nodes.wire import WorkerView
from tests.fleet import sshd
from tests.fleet.ray import cluster as ray_cluster
from tests.fleet.ray.cluster import HEAD, RayCluster
from tests.kit import PATIENCE, kill_process, poll_for, same_records, scan, shipped_records, up

RECORDS = shipped_records()
NAMES = sorted({record["name"] for record in RECORDS})
ROOMS = {"north": 3, "south": 3, "west": 1}
"""Machines, where there are several, and how many workers each takes."""


Lose = Callable[[str, bool], Callable[[], None]]
"""Takes a machine away: it freezes, or is off; what is returned brings it back."""


class Scene:
    """A cluster on machines that can be lost.

    Args:
        cluster: the cluster.
        lose: takes a machine away.
        engine: what the machines are nodes of, if it is Ray.
    """

    def __init__(
        self, cluster: HostedCluster, lose: Lose, engine: RayCluster | None = None
    ) -> None:
        self.cluster = cluster
        self.lose = lose
        self.engine = engine

    def workers(self) -> dict[str, WorkerView]:
        """All workers, by id."""
        return {view.id: view for view in self.cluster.snapshot().workers}

    def at(self) -> dict[str, list[str]]:
        """The workers that are up, by machine."""
        found: dict[str, list[str]] = {}
        for view in self.cluster.snapshot().workers:
            if view.state == "up":
                found.setdefault(view.machine, []).append(view.id)
        return found

    def events(self, kind: str) -> list[str]:
        """What was told of that kind."""
        return [event.text for event in self.cluster.events() if event.kind == kind]


@contextmanager
def clients(address: str) -> Iterator[None]:
    """Clients that look up all the time; every answer has to come, and to be right."""
    stop = threading.Event()
    wrong: list[object] = []

    def ask(start: int) -> None:
        with Client(address, timeout=PATIENCE) as client:
            number = start
            while not stop.is_set():
                name = NAMES[number % len(NAMES)]
                number += 1
                try:
                    if not same_records(client.getbyname(name), scan(RECORDS, name=name)):
                        wrong.append(f"not the records of {name}")
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                    wrong.append(error)
                    return

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 40, 20)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


@contextmanager
def scene_on(
    open_machines: OpenMachines | None, lose: Lose, engine: RayCluster | None = None
) -> Iterator[Scene]:
    """A cluster of four workers."""
    with HostedCluster(
        build=lambda progress: ensure_catalog(shipped_data(), progress=progress),
        workers=4,
        open_machines=open_machines,
    ) as cluster:
        poll_for(lambda: len(up(cluster)) == 4)
        yield Scene(cluster, lose, engine)


@contextmanager
def on_this_machine(_folder: Path) -> Iterator[Scene]:
    """The local fleet: without its machine there is none."""

    def lose(name: str, frozen: bool) -> Callable[[], None]:
        raise NotImplementedError

    with scene_on(None, lose) as scene:
        yield scene


@contextmanager
def by_ssh(folder: Path) -> Iterator[Scene]:
    """Machines that ssh reaches: two with room for three workers, one with room for one."""
    with sshd.machines(folder, ROOMS) as (hosts, found):

        def lose(name: str, frozen: bool) -> Callable[[], None]:
            machine = found[name]
            if frozen:
                machine.freeze()
                return machine.thaw
            machine.cut_power()
            return machine.start

        with scene_on(lambda _master: SshMachines(hosts, token=worker_token), lose) as scene:
            yield scene


@contextmanager
def on_ray(_folder: Path) -> Iterator[Scene]:
    """Nodes of a Ray cluster; the launcher joins it by its head's, which takes no workers."""
    with RayCluster() as engine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", engine.token)
        engine.start_head()
        numbers = dict(zip(ROOMS, (11, 12, 13), strict=True))

        def start(name: str) -> None:
            room = f'{{"rollcall": {ROOMS[name]}}}'
            engine.start_node(numbers[name], "--node-name", name, "--resources", room)

        def lose(name: str, frozen: bool) -> Callable[[], None]:
            address = f"127.0.0.{numbers[name]}"
            if not frozen:
                engine.kill_node(address)
                return lambda: start(name)
            thaw = engine.freeze_node(address)

            def bring_back() -> None:
                thaw()  # Ray has given it up: it ends by itself
                start(name)

            return bring_back

        for name in ROOMS:
            start(name)
        url = f"ray://{engine.address}?node={HEAD}"
        with scene_on(nodes_of(url, open_allowed=False), lose, engine) as scene:
            yield scene


def with_engine(why_not: str) -> list[pytest.MarkDecorator]:
    """The marks of a test that needs what others have built."""
    return [pytest.mark.engines, pytest.mark.skipif(bool(why_not), reason=why_not)]


ON_RAY = pytest.param(on_ray, id="ray", marks=with_engine(ray_cluster.WHY_NOT))
FAR = [pytest.param(by_ssh, id="ssh", marks=with_engine(sshd.WHY_NOT)), ON_RAY]


@pytest.fixture(params=[pytest.param(on_this_machine, id="local"), *FAR])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A cluster on each kind of fleet."""
    with request.param(tmp_path) as made:
        yield made


@pytest.fixture(params=FAR)
def far_scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A cluster on each kind of fleet that has several machines."""
    with request.param(tmp_path) as made:
        yield made


@pytest.mark.timeout(180)
def test_what_an_operator_does_costs_no_lookup(scene: Scene) -> None:
    cluster = scene.cluster
    with clients(cluster.address):
        spread = sorted(len(ids) for ids in scene.at().values())
        assert spread in ([4], [2, 2]), "each goes where most room is"
        cluster.kill("w1")
        poll_for(lambda: len(up(cluster)) == 3)
        assert cluster.spawn(1) == ["w5"]
        poll_for(lambda: "w5" in up(cluster))
        cluster.drain("w2")
        poll_for(lambda: scene.workers()["w2"].state == "down")
        before = scene.workers()["w3"]
        cluster.restart("w3")
        poll_for(lambda: scene.workers()["w3"].generation > before.generation)
        poll_for(lambda: len(up(cluster)) == 3)
        assert scene.workers()["w3"].pid != before.pid
        assert scene.workers()["w3"].machine == before.machine
        cluster.scale(4)
        poll_for(lambda: len(up(cluster)) == 4)
        cluster.scale(2)
        poll_for(lambda: len(up(cluster)) == 2)
        survivor = up(cluster)[0]
        assert "ready: " in poll_for(lambda: cluster.log(survivor).text)


@pytest.mark.timeout(180)
def test_a_worker_that_dies_or_freezes_costs_no_lookup(scene: Scene) -> None:
    cluster = scene.cluster
    with clients(cluster.address):
        cluster.freeze("w1")
        poll_for(lambda: "w1" not in up(cluster))
        cluster.thaw("w1")
        poll_for(lambda: "w1" in up(cluster))
        victim = scene.workers()["w2"]
        kill_process(victim.pid)
        poll_for(lambda: scene.workers()["w2"].restarts == 1)
        poll_for(lambda: len(up(cluster)) == 4)
        assert scene.workers()["w2"].machine == victim.machine
    assert "killed by SIGKILL" in scene.events("restarted")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("frozen", [False, True])
def test_workers_of_a_lost_machine_run_elsewhere_until_it_is_back(
    far_scene: Scene, *, frozen: bool
) -> None:
    scene, cluster = far_scene, far_scene.cluster
    name, lost_ids = max(scene.at().items(), key=lambda one: len(one[1]))
    with clients(cluster.address):
        bring_back = scene.lose(name, frozen)
        poll_for(lambda: name not in scene.at() and len(up(cluster)) == 4, 30.0)
        view = next(one for one in cluster.snapshot().machines if one.name == name)
        assert view.lost
        assert view.workers == 0
        assert all(scene.workers()[one].deaths_last_minute == 0 for one in lost_ids)
        bring_back()
        poll_for(lambda: sorted(scene.at().get(name, [])) == lost_ids, 60.0)
        poll_for(lambda: len(up(cluster)) == 4)
    lost, *others = scene.events("machine_lost")
    assert others == []
    assert lost.startswith(f"{name}: ")
    assert lost.endswith(f"; its workers: {', '.join(lost_ids)}")
    assert scene.events("machine_back") == [f"{name} can be reached again"]
    assert scene.events("crash_looping") == []
    assert scene.events("poison_lookup") == []
    assert len(scene.workers()) == 4, "nobody came back as somebody else"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("far_scene", [ON_RAY], indirect=True)
def test_while_an_engine_has_no_head_nothing_ends_and_what_dies_is_started_again(
    far_scene: Scene,
) -> None:
    scene, frozen = far_scene, False
    cluster, engine = scene.cluster, scene.engine
    assert engine is not None
    name, lost_ids = max(scene.at().items(), key=lambda one: len(one[1]))
    with clients(cluster.address):
        before = scene.workers()
        engine.kill_head()
        victim = next(view for view in before.values() if view.machine != name)
        kill_process(victim.pid)
        poll_for(lambda: scene.workers()[victim.id].restarts == 1)
        poll_for(lambda: len(up(cluster)) == 4)
        assert cluster.spawn(1, "west") == ["w5"]
        poll_for(lambda: scene.at().get("west") == ["w5"])
        bring_back = scene.lose(name, frozen)
        # The others have room for one of its two.
        poll_for(lambda: name not in scene.at() and len(up(cluster)) == 4, 30.0)
        engine.restart_head()
        bring_back()
        poll_for(lambda: sorted(scene.at().get(name, [])) == lost_ids, 60.0)
        poll_for(lambda: len(up(cluster)) == 5)
        after = scene.workers()
    untouched = before.keys() - {victim.id, *lost_ids}
    assert untouched
    assert all(after[one].pid == before[one].pid for one in untouched)
