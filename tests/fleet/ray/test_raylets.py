"""Machines in a real Ray cluster: a head and nodes on loopback, and what befalls them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from nodes.catalog import ensure_catalog
from nodes.errors import StartError
from nodes.fleet.log_file import LogFile
from nodes.fleet.machine import Ending, Launch, RunningWorker
from nodes.fleet.ray.engine import parse_engine
from nodes.fleet.ray.machines import RayMachine, RayMachines
from nodes.master.master import Master
from nodes.security.credentials import worker_token
from nodes.support.addresses import Address
from nodes.support.paths import shipped_data
from nodes.wire import new_instance
from tests.fleet.ray.cluster import WHY_NOT, RayCluster
from tests.kit import load_from_threads, master_alone, poll_for, shipped_records

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
]

BACK_WITHIN_S = 15.0
"""Seconds within which a lost machine's workers may be started elsewhere, on a busy machine."""


class Place:
    """A master alone, and workers that are started for it on Ray's nodes.

    Args:
        cluster: of Ray.
        by: the node that the launcher joins it by.
        folder: for logs.
    """

    def __init__(self, cluster: RayCluster, by: str, folder: Path, master: Master) -> None:
        self.cluster = cluster
        self.master = master
        self.folder = folder
        self.logs: list[LogFile] = []
        self.catalog = ensure_catalog(shipped_data(), skip_bad=False).path
        engine = parse_engine(f"ray://{cluster.address}?node={by}")
        self.machines = RayMachines(
            engine, master=master.address, token=worker_token, log=folder / "ray.log"
        )

    def machine(self, name: str) -> RayMachine:
        """The machine of that name, once workers can be started there."""
        poll_for(lambda: any(one.name == name and not one.lost for one in self.machines.all()), 30)
        return next(one for one in self.machines.all() if one.name == name)

    def start(self, worker_id: str, where: str) -> RunningWorker:
        """Starts a worker; returns once it is up."""
        arguments = ["worker", "0", "--master", str(self.master.address), "--id", worker_id]
        arguments += ["--catalog", self.catalog, "--leave-with-stdin", "--secrets-from-stdin"]
        launch = Launch(worker_id, arguments, new_instance())
        log = LogFile(self.log(worker_id))
        self.logs.append(log)
        worker = self.machine(where).start(launch, log)
        poll_for(lambda: worker_id in self.up(), 30)
        return worker

    def log(self, worker_id: str) -> Path:
        """Where it prints."""
        return self.folder / f"{worker_id}.log"

    def printed(self, worker_id: str) -> bytes:
        """What it has printed, of which the file may not be there yet."""
        path = self.log(worker_id)
        return path.read_bytes() if path.exists() else b""

    def up(self) -> list[str]:
        """The workers that are up."""
        return [one.id for one in self.master.snapshot().workers if one.state == "up"]

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Asks lookups all the while, and finds that each was answered."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as executor:
            asking = executor.submit(
                load_from_threads,
                str(self.master.address),
                clients=2,
                lookups=1,
                records=shipped_records(),
                more=lambda: not over.wait(0.01),
            )
            try:
                yield
            finally:
                over.set()
        for client in asking.result():
            assert client.answers > 10
            assert (client.errors, client.wrong) == ([], [])


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head that remembers, and two nodes."""
    with RayCluster() as cluster:
        cluster.start_head()
        cluster.start_node(3)
        cluster.start_node(4)
        yield cluster


@pytest.fixture
def place(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A fleet's machines, joined by the first node."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", cluster.token)
    with master_alone() as master:
        place = Place(cluster, HERE, tmp_path, master)
        try:
            yield place
        finally:
            place.machines.close()
            for log in place.logs:
                log.close()
    assert not cluster.named("ray::Keeper") or poll_for(lambda: not cluster.named("ray::Keeper"))


HERE, THERE = "127.0.0.3", "127.0.0.4"


def test_a_worker_starts_is_heard_is_signalled_and_ends(place: Place) -> None:
    for where in (HERE, THERE):
        worker = place.start("w1", where)
        assert psutil.pid_exists(worker.pid)
        poll_for(lambda: b"ready: w1" in place.printed("w1"))
        assert worker.wait(0) is None
        worker.signal(signal.SIGTERM)
        assert worker.wait(10) == Ending("exited with status 0")
        worker.signal(signal.SIGKILL)
        worker.close()
    place.start("w2", THERE).signal(signal.SIGKILL)
    poll_for(lambda: not place.up())


def test_a_node_lost_under_load_takes_no_lookup_with_it(place: Place) -> None:
    first, second = place.start("w1", HERE), place.start("w2", THERE)
    with place.asked():
        began = time.monotonic()
        place.cluster.kill_node(THERE)
        ending = second.wait(BACK_WITHIN_S)
        assert ending is not None
        assert ending.machine_lost
        place.start("w2", HERE)
        assert time.monotonic() - began < BACK_WITHIN_S
        lost = next(one for one in place.machines.all() if one.name == THERE)
        assert lost.lost
        with pytest.raises(OSError, match="Ray node"):
            lost.start(Launch("w3", ["worker"], new_instance()), LogFile(place.log("w3")))
        place.cluster.start_node(4)
        assert place.machine(THERE) is lost, "a machine that is back is another"
        place.start("w3", THERE)
    assert first.wait(0) is None


def test_a_head_that_is_gone_and_back_ends_no_worker(place: Place) -> None:
    workers = [place.start("w1", HERE), place.start("w2", THERE)]
    with place.asked():
        place.cluster.kill_head()
        workers.append(place.start("w3", THERE))  # its keeper is told without the head
        workers[0].signal(signal.SIGKILL)
        assert workers.pop(0).wait(10) == Ending("killed by SIGKILL")
        place.cluster.restart_head()
        place.cluster.start_node(5)
        place.start("w4", "127.0.0.5")
    assert [worker.wait(0) for worker in workers] == [None, None]
    place.cluster.kill_node("127.0.0.5")


def test_a_side_process_that_ends_is_replaced_and_nothing_is_lost(place: Place) -> None:
    worker = place.start("w1", THERE)
    with place.asked():
        for number in (2, 3):
            (side,) = side_processes(os.getpid())
            side.kill()
            place.start(f"w{number}", THERE)
            assert not place.machine(THERE).lost
        worker.signal(signal.SIGTERM)
        assert worker.wait(20) == Ending("exited with status 0")


def test_a_node_that_comes_is_a_machine_with_the_room_that_it_declares(place: Place) -> None:
    assert [(one.name, one.room) for one in place.machines.all()] == [(HERE, 4), (THERE, 4)]
    name = place.cluster.start_node(6, "--resources", '{"rollcall": 7}', "--node-name", "big")
    assert place.machine("big").room == 7
    place.start("w1", "big")
    place.cluster.kill_node(name)


LAUNCHER = """
import sys, time
from pathlib import Path
from nodes.fleet.machine import Launch
from nodes.fleet.ray.engine import parse_engine
from nodes.fleet.ray.machines import RayMachines
from nodes.support.addresses import Address
from nodes.security.credentials import worker_token
from nodes.support.addresses import parse_address
from nodes.wire import new_instance

engine, master, folder, catalog = sys.argv[1:]
machines = RayMachines(
    parse_engine(engine),
    master=Address(*parse_address(master)),
    token=worker_token,
    log=Path(folder) / "ray.log",
)
machine = next(one for one in machines.all() if not one.lost)
arguments = ["worker", "0", "--master", master, "--catalog", catalog, "--secrets-from-stdin"]
machine.start(Launch("w1", arguments, new_instance()), open(Path(folder) / "w1.log", "wb", 0))
time.sleep(600)
"""


@contextmanager
def launched(place: Place) -> Iterator[psutil.Process]:
    """Another launcher, in a process of its own, with a worker that is up."""
    engine = f"ray://{place.cluster.address}?node={HERE}"
    arguments = [engine, str(place.master.address), str(place.folder), place.catalog]
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, *arguments]) as process:
        try:
            poll_for(lambda: len(place.up()) == 1, 60)
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def side_processes(launcher: int) -> list[psutil.Process]:
    children = psutil.Process(launcher).children()
    return [one for one in children if "nodes.fleet.ray.side" in one.cmdline()]


def test_a_launcher_that_is_killed_leaves_no_worker_and_no_keeper(place: Place) -> None:
    place.machines.close()
    with launched(place) as launcher:
        launcher.kill()
        poll_for(lambda: not place.up() and not place.cluster.named("ray::Keeper"), 10)


def test_a_launcher_that_starts_anew_ends_what_the_one_before_left(place: Place) -> None:
    place.machines.close()
    with launched(place) as launcher:
        left = {one.pid for one in place.cluster.named("ray::Keeper")}
        (side,) = side_processes(launcher.pid)
        launcher.kill()
        side.kill()
        assert place.up(), "its worker was to be left"
        place.machines = Place(place.cluster, HERE, place.folder, place.master).machines
        poll_for(lambda: not left & {one.pid for one in place.cluster.named("ray::Keeper")}, 10)
        poll_for(lambda: not place.up(), 10)


def test_keepers_end_by_themselves_once_nobody_asks_and_no_master_is_there(
    place: Place,
) -> None:
    place.machines.close()
    with launched(place) as launcher:
        (side,) = side_processes(launcher.pid)
        launcher.kill()
        side.kill()
        place.master.stop()
        workers = place.cluster.named("nodes.cli")
        assert workers
        poll_for(lambda: not place.cluster.named("ray::Keeper"), 60)
        poll_for(lambda: not any(one.is_running() for one in workers), 10)


def test_a_frozen_worker_does_not_outlive_its_keeper(place: Place) -> None:
    worker = place.start("w1", THERE)
    worker.signal(signal.SIGSTOP)
    process = psutil.Process(worker.pid)
    poll_for(lambda: process.status() == psutil.STATUS_STOPPED)
    for keeper in place.cluster.named("ray::Keeper"):
        keeper.kill()
    ending = worker.wait(20)
    assert ending is not None
    assert ending.machine_lost
    poll_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    place.start("w2", THERE)


def joined(engine: str, folder: Path, *, open_allowed: bool = False) -> RayMachines:
    """The machines of a cluster, for a master that is nowhere."""
    return RayMachines(
        parse_engine(engine),
        master=Address("127.0.0.1", 1),
        token=worker_token,
        log=folder / "ray.log",
        open_allowed=open_allowed,
    )


@pytest.mark.parametrize("token", ["", "0123456789abcdef0123456789abcdef"], ids=["none", "wrong"])
def test_without_its_token_a_cluster_cannot_be_joined(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(StartError, match="RAY_AUTH_TOKEN"):
        joined(f"ray://{cluster.address}", tmp_path)


def test_an_open_cluster_is_used_only_where_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with RayCluster(token="") as cluster:
        cluster.start_head()
        name = cluster.start_node(7)
        engine = f"ray://{cluster.address}?node={name}"
        with pytest.raises(StartError, match="RAY_AUTH_MODE=token"):
            joined(engine, tmp_path)
        joined(engine, tmp_path, open_allowed=True).close()
