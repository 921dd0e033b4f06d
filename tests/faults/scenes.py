"""Every fault under load, with a tally on the client's side: `python -m tests.faults`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from nodes.cluster import HostedCluster
from nodes.wire import WorkerView
from tests.faults.proxy import FaultProxy, Network
from tests.kit import (
    Frozen,
    Killed,
    Tally,
    hosted,
    load_from_threads,
    poll_for,
    shipped_records,
    up,
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
        over: set when the clients are done.
    """

    def __init__(self, cluster: HostedCluster) -> None:
        self.cluster = cluster
        self.over = threading.Event()
        self.random = Random(1)
        self.found_out: float | None = None

    def pids(self) -> list[int]:
        """The processes of the workers that are up."""
        workers = self.cluster.snapshot().workers
        return [worker.pid for worker in workers if worker.state == "up"]

    def watch(self, worker_id: str, found: Callable[[WorkerView], bool]) -> None:
        """Notes how long it takes from now until the snapshot shows what is wrong."""
        began = time.monotonic()
        while not self.over.wait(0.01):
            for worker in self.cluster.snapshot().workers:
                if worker.id == worker_id and found(worker):
                    self.found_out = time.monotonic() - began
                    return


@contextmanager
def bad_worker(scene: Scene, behaviour: str) -> Iterator[FaultProxy]:
    """A third worker behind a proxy, up; it behaves that way from its first lookup on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.worker", behaviour, scene.cluster.address],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        assert process.stdin is not None and process.stdout is not None
        try:
            with FaultProxy(int(process.stdout.readline()), scene.random) as proxy:
                process.stdin.write(f"{proxy.port}\n")
                process.stdin.flush()
                poll_for(lambda: len(up(scene.cluster)) == 3)
                yield proxy
        finally:
            process.kill()


def kill_storm(scene: Scene) -> None:
    """SIGKILL to one of two workers each second; the launcher restarts it."""
    while not scene.over.wait(1.0):
        pids = scene.pids()
        if len(pids) == 2:
            Killed(scene.random.choice(pids))


def freeze_one(scene: Scene) -> None:
    """SIGSTOP to one of two workers, for good."""
    with Frozen(scene.pids()[0]):
        scene.watch("w1", _late)
        scene.over.wait()


def freeze_and_thaw(scene: Scene) -> None:
    """SIGSTOP and SIGCONT to one of two workers at a time, at random."""
    while not scene.over.is_set():
        pids = scene.pids()
        if len(pids) == 2:
            with Frozen(scene.random.choice(pids)):
                scene.over.wait(scene.random.uniform(0.1, 2.0))
        scene.over.wait(0.3)


def _misbehaving(behaviour: str, found: Callable[[WorkerView], bool]) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        with bad_worker(scene, behaviour):
            scene.watch("w3", found)
            scene.over.wait()

    return fault


def _network(*networks: Network) -> Callable[[Scene], None]:
    def fault(scene: Scene) -> None:
        with bad_worker(scene, "well") as proxy:
            while not scene.over.is_set():
                for network in networks:
                    proxy.network = network
                    scene.over.wait(0.5)
            proxy.network = Network()

    return fault


def resets(scene: Scene) -> None:
    """All connections to one of three workers are reset, five times a second."""
    with bad_worker(scene, "well") as proxy:
        while not scene.over.wait(0.2):
            proxy.reset_all()


def busy_machine(scene: Scene) -> None:
    """Every core is kept busy by other processes."""
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    scene.over.wait()
    for burner in burners:
        burner.kill()
        burner.wait()


def _late(worker: WorkerView) -> bool:
    return worker.errors > 0 or worker.breaker_open or worker.state != "up" or bool(worker.why)


FAULTS: dict[str, Callable[[Scene], None]] = {
    "SIGKILL each second": kill_storm,
    "SIGSTOP": freeze_one,
    "SIGSTOP and SIGCONT at random": freeze_and_thaw,
    "accepts and never answers": _misbehaving("mute", _late),
    "answers garbage": _misbehaving("garbage", _late),
    "answers errors at once": _misbehaving("failing", _late),
    "twenty times slower": _misbehaving("slow", lambda worker: (worker.p50_ms or 0) > 10),
    "connections reset": resets,
    "network of 30 ms each way": _network(Network(latency=0.03)),
    "network in pieces of 7 bytes": _network(Network(piece=7)),
    "network hangs now and then": _network(Network(hang=True), Network()),
    "network loses connections": _network(Network(lossy=0.05)),
    "all cores busy": busy_machine,
}
"""Each is done to one of two workers that are good, or to a third beside them."""


def play(name: str, *, lookups: int, least: float) -> Outcome:
    """Runs clients against a cluster under a fault.

    Arguments:
        name: a key of `FAULTS`.
        lookups: of each client, in one go.
        least: seconds for which they go on at least.
    """
    with hosted(2) as cluster:
        scene = Scene(cluster)
        fault = threading.Thread(target=FAULTS[name], args=(scene,), name="fault")
        fault.start()
        began = time.monotonic()
        tallies: list[Tally] = []
        try:
            while time.monotonic() - began < least or not tallies:
                tallies += load_from_threads(
                    cluster.address, clients=CLIENTS, lookups=lookups, records=RECORDS
                )
        finally:
            scene.over.set()
            fault.join()
        poll_for(lambda: cluster.snapshot().in_flight == 0)
        lost = [event for event in cluster.events() if event.kind == "lost"]
        if name == "all cores busy":
            assert not lost, f"ejected for nothing: {lost}"
    return Outcome(
        lookups=sum(tally.answers for tally in tallies),
        errors=[error for tally in tallies for error in tally.errors],
        wrong=[wrong for tally in tallies for wrong in tally.wrong],
        slowest=max(tally.slowest for tally in tallies),
        found_out=scene.found_out,
    )
