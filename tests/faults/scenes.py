"""Every fault under load, with a tally on the client's side: `python -m tests.faults`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple, Self

import psutil

from nodes.client.blocking import Client
from nodes.cluster import AttachedCluster, Cluster
from nodes.wire import WorkerView
from tests.faults.proxy import FaultProxy, Network
from tests.kit import (
    Forked,
    Frozen,
    Killed,
    Node,
    Tally,
    ask_each,
    hosted,
    load_from_threads,
    poll_for,
    shipped_records,
)

CLIENTS = 4
RECORDS = shipped_records()


class Outcome(NamedTuple):
    """What the clients saw; times in seconds, `found_out` None where nothing is to be found."""

    lookups: int
    errors: list[str]
    wrong: list[str]
    slowest: float
    found_out: float | None


class Scene:
    """One cluster under one fault.

    Attributes:
        cluster: with two good workers.
        master: its process, where it has one of its own.
        over: set when the clients are done.
        found_out: seconds until it was seen what is wrong, the longest of several.
        tallies: what clients saw that the fault itself brought along.
    """

    def __init__(self, cluster: Cluster, master: Node | None = None) -> None:
        self.cluster = cluster
        self.master = master
        self.over = threading.Event()
        self.random = Random(1)
        self.found_out: float | None = None
        self.tallies: list[Tally] = []

    def pids(self) -> list[int]:
        """The processes of the workers that are up."""
        workers = self.cluster.snapshot().workers
        return [worker.pid for worker in workers if worker.state == "up"]

    def watch(self, found: Callable[[], bool]) -> None:
        """Notes how long it takes from now until that is so."""
        began = time.monotonic()
        while not self.over.is_set():
            if found():
                self.found_out = max(self.found_out or 0.0, time.monotonic() - began)
                return
            self.over.wait(0.01)

    def worker(self, pid: int) -> WorkerView | None:
        """The worker in that process, as the snapshot has it."""
        return next((one for one in self.cluster.snapshot().workers if one.pid == pid), None)


class BadWorker:
    """A worker's process that behaves that way from its first lookup on; it ends with the block.

    Attributes:
        pid: its process.
        port: where it listens.
    """

    def __init__(self, behaviour: str, master: str, *data: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", behaviour, master, *data],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())

    def register(self, port: int) -> None:
        """Has it register as if it listened on that port."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{port}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._process:
            self._process.kill()


@contextmanager
def bad_worker(scene: Scene, behaviour: str) -> Iterator[tuple[FaultProxy, int]]:
    """A third worker behind a proxy, up."""
    with (
        BadWorker(behaviour, scene.cluster.address) as worker,
        FaultProxy(worker.port, scene.random) as proxy,
    ):
        worker.register(proxy.port)
        poll_for(lambda: len(scene.pids()) == 3)
        yield proxy, worker.pid


def kill_storm(scene: Scene) -> None:
    """SIGKILL to one of two workers each second; the launcher restarts it."""
    while not scene.over.wait(1.0):
        pids = scene.pids()
        if len(pids) == 2:
            victim = scene.random.choice(pids)
            Killed(victim)
            scene.watch(lambda: victim not in scene.pids())  # noqa: B023 - used up at once


def kill_together(scene: Scene) -> None:
    """SIGKILL to three of four workers at one instant, about each second."""
    while not scene.over.wait(1.0):
        pids = scene.pids()
        if len(pids) == 4:
            victims = scene.random.sample(pids, 3)
            for victim in victims:
                Killed(victim)
            scene.watch(lambda: not set(victims) & set(scene.pids()))  # noqa: B023 - used up at once


def kill_by_hand(scene: Scene) -> None:
    """An operator kills two of four workers, one right after the other, and starts two others."""
    while not scene.over.wait(1.0):
        workers = [one.id for one in scene.cluster.snapshot().workers if one.state == "up"]
        if len(workers) == 4:
            for victim in workers[:2]:
                scene.cluster.kill(victim)
            scene.cluster.spawn(2)


def freeze_one(scene: Scene) -> None:
    """SIGSTOP to one of two workers, for good."""
    victim = scene.pids()[0]
    with Frozen(victim):
        scene.watch(lambda: _late(scene.worker(victim)))
        scene.over.wait()


def freeze_and_thaw(scene: Scene) -> None:
    """SIGSTOP and SIGCONT to one of two workers at a time, at random."""
    while not scene.over.is_set():
        pids = scene.pids()
        if len(pids) == 2:
            with Frozen(scene.random.choice(pids)):
                scene.over.wait(scene.random.uniform(0.1, 2.0))
        scene.over.wait(0.3)


def kill_master(scene: Scene) -> None:
    """SIGKILL to the master each second; another takes its port, half a second later.
    Found out: until both workers are back.
    """
    while not scene.over.wait(1.0):
        assert scene.master is not None
        port = scene.cluster.address.rpartition(":")[2]
        Killed(scene.master.process.pid)
        scene.master.close()
        scene.over.wait(0.5)
        scene.master = Node("master", port, "--json")
        scene.watch(lambda: len(scene.pids()) == 2)


def stop_master(scene: Scene) -> None:
    """SIGTERM to the master, or to all of it, and the same at once in its place; again, once
    both workers are there. Found out: until they are.
    """
    while not scene.over.wait(1.0):
        assert scene.master is not None
        stopped = scene.master
        stopped.signal(signal.SIGTERM)
        scene.master = scene.master.successor()
        stopped.wait()
        stopped.close()
        scene.watch(lambda: len(scene.pids()) == 2)


def no_descriptors(scene: Scene) -> None:
    """The master may open nothing more, and a crowd takes what somebody closes."""
    assert scene.master is not None
    process = psutil.Process(scene.master.process.pid)
    usual = process.rlimit(psutil.RLIMIT_NOFILE)
    host, _, port = scene.cluster.address.rpartition(":")
    while not scene.over.wait(0.5):
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 4, usual[1]))
        with contextlib.ExitStack() as crowd:
            for _ in range(64):
                crowd.enter_context(socket.create_connection((host, int(port)), 1.0))
            scene.over.wait(1.0)
        process.rlimit(psutil.RLIMIT_NOFILE, usual)


def full_disk(scene: Scene) -> None:
    """No file of the master may grow any more: its journal least of all."""
    assert scene.master is not None
    process = psutil.Process(scene.master.process.pid)
    usual = process.rlimit(psutil.RLIMIT_FSIZE)
    while not scene.over.wait(0.5):
        process.rlimit(psutil.RLIMIT_FSIZE, (1024, usual[1]))
        scene.over.wait(3.0)
        process.rlimit(psutil.RLIMIT_FSIZE, usual)


def _misbehaving(
    behaviour: str, found: Callable[[WorkerView | None], bool]
) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        with bad_worker(scene, behaviour) as (_, pid):
            scene.watch(lambda: found(scene.worker(pid)))
            scene.over.wait()

    return fault


def _network(*networks: Network) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        with bad_worker(scene, "well") as (proxy, _):
            while not scene.over.is_set():
                for network in networks:
                    proxy.network = network
                    scene.over.wait(0.5)
            proxy.network = Network()

    return fault


def resets(scene: Scene) -> None:
    """All connections to one of three workers are reset, five times a second."""
    with bad_worker(scene, "well") as (proxy, _):
        while not scene.over.wait(0.2):
            proxy.reset_all()


def other_records(scene: Scene) -> None:
    """A worker with other records of a dataset of that name registers, and leaves, and again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "people.json").write_text(json.dumps([RECORDS[0] | {"year": 1}]))
        Path(folder, "dataset.toml").write_text('name = "people"\n')
        while not scene.over.is_set():
            with BadWorker("well", scene.cluster.address, folder) as worker:
                worker.register(worker.port)
                scene.watch(lambda: _unready(scene.worker(worker.pid)))
                scene.over.wait(0.3)


def forks(scene: Scene) -> None:
    """The clients' process forks, four times a second, and its children ask with its clients."""
    with (
        Client(scene.cluster.address, timeout=5.0) as through,
        Client(scene.cluster.address, timeout=5.0, direct=True) as past,
    ):
        while not scene.over.wait(0.25):
            for client in (through, past):
                scene.tallies.append(ask_each(client, RECORDS, range(3)))
                child = Forked(partial(ask_each, client, RECORDS, range(40)))
                scene.tallies.append(ask_each(client, RECORDS, range(20)))
                scene.tallies.append(child.result())


def busy_machine(scene: Scene) -> None:
    """Every core is kept busy by other processes."""
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    scene.over.wait()
    for burner in burners:
        burner.kill()
        burner.wait()


def _late(worker: WorkerView | None) -> bool:
    if worker is None:
        return True
    return worker.errors > 0 or worker.breaker_open or worker.state != "up" or bool(worker.why)


def _unready(worker: WorkerView | None) -> bool:
    return worker is not None and worker.state == "unready"


def _slow(worker: WorkerView | None) -> bool:
    return worker is not None and (worker.p50_ms or 0) > 10


@contextmanager
def inside() -> Iterator[Scene]:
    """The master in this process, and two workers of its own."""
    with hosted(2) as cluster:
        yield Scene(cluster)


@contextmanager
def four_inside() -> Iterator[Scene]:
    """The same with four workers."""
    with hosted(4) as cluster:
        yield Scene(cluster)


@contextmanager
def launched() -> Iterator[Scene]:
    """All of it from the launcher, in processes of its own."""
    first = Node("up", "--port", "0", "--workers", "2", "--json")
    with AttachedCluster(first.ready["master"]) as cluster:
        scene = Scene(cluster, first)
        try:
            yield scene
        finally:
            assert scene.master is not None
            scene.master.close()


@contextmanager
def apart() -> Iterator[Scene]:
    """A master alone, and two workers that were started beside it."""
    first = Node("master", "0", "--json")
    with AttachedCluster(first.ready["master"]) as cluster:
        scene = Scene(cluster, first)
        workers = [Node("worker", "--master", cluster.address, "--json") for _ in range(2)]
        try:
            poll_for(lambda: len(scene.pids()) == 2)
            yield scene
        finally:
            for node in (*workers, scene.master):
                assert node is not None
                node.close()


class Fault(NamedTuple):
    """Something that goes wrong until the scene is over, where it does, and for whom."""

    do: Callable[[Scene], None]
    where: Callable[[], AbstractContextManager[Scene]] = inside
    direct: bool = False


BUSY = "all cores busy"
FAULTS: dict[str, Fault] = {
    "SIGKILL each second": Fault(kill_storm),
    "three of four killed at once": Fault(kill_together, four_inside),
    "two of four killed by an operator": Fault(kill_by_hand, four_inside),
    "SIGSTOP": Fault(freeze_one),
    "SIGSTOP and SIGCONT at random": Fault(freeze_and_thaw),
    "accepts and never answers": Fault(_misbehaving("mute", _late)),
    "answers garbage": Fault(_misbehaving("garbage", _late)),
    "answers errors at once": Fault(_misbehaving("failing", _late)),
    "twenty times slower": Fault(_misbehaving("slow", _slow)),
    "connections reset": Fault(resets),
    "network of 30 ms each way": Fault(_network(Network(latency=0.03))),
    "network of 20 KB/s": Fault(_network(Network(bytes_per_s=20_000))),
    "network in pieces of 7 bytes": Fault(_network(Network(piece=7))),
    "network hangs now and then": Fault(_network(Network(hang=True), Network())),
    "network loses connections": Fault(_network(Network(lossy=0.05))),
    "master killed, another started": Fault(kill_master, apart),
    "master stopped (SIGTERM), another at once": Fault(stop_master, apart),
    "all of it stopped (SIGTERM), another at once": Fault(stop_master, launched),
    "the same, asked past the master": Fault(stop_master, launched, direct=True),
    "other records register": Fault(other_records),
    "the clients' process forks": Fault(forks, launched),
    "master out of descriptors": Fault(no_descriptors, launched),
    "master's disk full": Fault(full_disk, launched),
    BUSY: Fault(busy_machine),
}
"""Each is done to one of two workers that are good, to a third beside them, or to the master."""


def play(name: str, *, lookups: int, least: float) -> Outcome:
    """Runs clients against a cluster under a fault.

    Arguments:
        name: a key of `FAULTS`.
        lookups: of each client, at least.
        least: seconds for which they go on at least.
    """
    fault = FAULTS[name]
    with fault.where() as scene:
        trouble = threading.Thread(target=fault.do, args=(scene,), name="fault")
        trouble.start()
        end = time.monotonic() + least
        try:
            tallies = load_from_threads(
                scene.cluster.address,
                clients=CLIENTS,
                lookups=lookups,
                records=RECORDS,
                more=lambda: time.monotonic() < end,
                direct=fault.direct,
            )
        finally:
            scene.over.set()
            trouble.join()
        tallies += scene.tallies
        poll_for(lambda: scene.cluster.snapshot().in_flight == 0)
        lost = [event for event in scene.cluster.events() if event.kind == "lost"]
        if name == BUSY:
            assert not lost, f"ejected for nothing: {lost}"
    return Outcome(
        lookups=sum(tally.answers for tally in tallies),
        errors=[error for tally in tallies for error in tally.errors],
        wrong=[wrong for tally in tallies for wrong in tally.wrong],
        slowest=max(tally.slowest for tally in tallies),
        found_out=scene.found_out,
    )
