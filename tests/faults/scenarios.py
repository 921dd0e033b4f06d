"""Every fault under load, with a result on the client's side: `python -m tests.faults`."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
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

from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.cluster import Cluster
from nodes.errors import LookupFailed
from nodes.support.addresses import parse_address
from nodes.support.paths import cache_dir, shipped_data
from nodes.wire import WorkerView
from tests.faults.proxy import FaultProxy, Network
from tests.kit import (
    ClientResults,
    ForkedChild,
    FrozenProcess,
    Node,
    ask_each,
    hosted,
    kill_process,
    load_from_threads,
    poll_for,
    same_records,
    scan,
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


class SetClock:
    """A clock of the wall that was set.

    Attributes:
        ahead_s: by how many seconds.
    """

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        """Unix time, as it has it."""
        return time.time() + self.ahead_s


class Scenario:
    """One cluster under one fault.

    Attributes:
        cluster: with two good workers.
        master: its process, where it has one of its own.
        clock: the master's, where it can be set.
        data: the folder of its records, where they can be written anew.
        over: set when the clients are done.
        found_out: seconds until it was seen what is wrong, the longest of several.
        results: what clients saw that the fault itself brought along.
    """

    def __init__(
        self,
        cluster: Cluster,
        master: Node | None = None,
        clock: SetClock | None = None,
        data: Path | None = None,
    ) -> None:
        self.cluster = cluster
        self.master = master
        self.clock = clock
        self.data = data
        self.over = threading.Event()
        self.random = Random(1)
        self.found_out: float | None = None
        self.results: list[ClientResults] = []

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
        self.master_port = parse_address(master)[1]
        self.port = int(self._process.stdout.readline())

    def register(self, *, port: int | None = None, master_port: int | None = None) -> None:
        """Has it register with the master, or by way of that port, as if it listened on `port`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{port or self.port} {master_port or self.master_port}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._process:
            self._process.kill()


@contextmanager
def bad_worker(scenario: Scenario, behaviour: str) -> Iterator[tuple[FaultProxy, int]]:
    """A third worker, up: a proxy is between it and the master, and another before its port."""
    with (
        BadWorker(behaviour, scenario.cluster.address) as worker,
        FaultProxy(worker.master_port, scenario.random) as proxy,
        FaultProxy(worker.port, scenario.random, like=proxy) as direct,
    ):
        worker.register(port=direct.port, master_port=proxy.port)
        poll_for(lambda: len(scenario.pids()) == 3)
        yield proxy, worker.pid


def kill_storm(scenario: Scenario) -> None:
    """SIGKILL to one of two workers each second; the launcher restarts it."""
    while not scenario.over.wait(1.0):
        pids = scenario.pids()
        if len(pids) == 2:
            victim = scenario.random.choice(pids)
            kill_process(victim)
            scenario.watch(lambda: victim not in scenario.pids())  # noqa: B023 - used up at once


def kill_together(scenario: Scenario) -> None:
    """SIGKILL to three of four workers at one instant, about each second."""
    while not scenario.over.wait(1.0):
        pids = scenario.pids()
        if len(pids) == 4:
            victims = scenario.random.sample(pids, 3)
            for victim in victims:
                kill_process(victim)
            scenario.watch(lambda: not set(victims) & set(scenario.pids()))  # noqa: B023 - used up at once


def kill_by_hand(scenario: Scenario) -> None:
    """An operator kills two of four workers, one right after the other, and starts two others."""
    while not scenario.over.wait(1.0):
        workers = [one.id for one in scenario.cluster.snapshot().workers if one.state == "up"]
        if len(workers) == 4:
            for victim in workers[:2]:
                scenario.cluster.kill(victim)
            scenario.cluster.spawn(2)


def freeze_one(scenario: Scenario) -> None:
    """SIGSTOP to one of two workers, for good."""
    victim = scenario.pids()[0]
    with FrozenProcess(victim):
        scenario.watch(lambda: _late(scenario.worker(victim)))
        scenario.over.wait()


def freeze_and_thaw(scenario: Scenario) -> None:
    """SIGSTOP and SIGCONT to one of two workers at a time, at random."""
    while not scenario.over.is_set():
        pids = scenario.pids()
        if len(pids) == 2:
            with FrozenProcess(scenario.random.choice(pids)):
                scenario.over.wait(scenario.random.uniform(0.1, 2.0))
        scenario.over.wait(0.3)


def kill_master(scenario: Scenario) -> None:
    """SIGKILL to the master each second; another takes its port, half a second later.
    Found out: until both workers are back.
    """
    while not scenario.over.wait(1.0):
        assert scenario.master is not None
        port = scenario.cluster.address.rpartition(":")[2]
        kill_process(scenario.master.process.pid)
        scenario.master.close()
        scenario.over.wait(0.5)
        scenario.master = Node("master", port, "--json")
        scenario.watch(lambda: len(scenario.pids()) == 2)


def stop_master(scenario: Scenario) -> None:
    """SIGTERM to the master, or to all of it, and the same at once in its place; again, once
    both workers are there. Found out: until they are.
    """
    while not scenario.over.wait(1.0):
        assert scenario.master is not None
        stopped = scenario.master
        stopped.signal(signal.SIGTERM)
        scenario.master = scenario.master.successor()
        stopped.wait()
        stopped.close()
        scenario.watch(lambda: len(scenario.pids()) == 2)


def no_descriptors(scenario: Scenario) -> None:
    """The master may open nothing more, and a crowd takes what somebody closes."""
    assert scenario.master is not None
    process = psutil.Process(scenario.master.process.pid)
    usual = process.rlimit(psutil.RLIMIT_NOFILE)
    host, _, port = scenario.cluster.address.rpartition(":")
    while not scenario.over.wait(0.5):
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 4, usual[1]))
        with contextlib.ExitStack() as crowd:
            for _ in range(64):
                crowd.enter_context(socket.create_connection((host, int(port)), 1.0))
            scenario.over.wait(1.0)
        process.rlimit(psutil.RLIMIT_NOFILE, usual)


def full_disk(scenario: Scenario) -> None:
    """No file of the master may grow any more: its journal least of all."""
    assert scenario.master is not None
    process = psutil.Process(scenario.master.process.pid)
    usual = process.rlimit(psutil.RLIMIT_FSIZE)
    while not scenario.over.wait(0.5):
        process.rlimit(psutil.RLIMIT_FSIZE, (1024, usual[1]))
        scenario.over.wait(3.0)
        process.rlimit(psutil.RLIMIT_FSIZE, usual)


def full_disk_and_deaths(scenario: Scenario) -> None:
    """The same, and a worker is killed again and again meanwhile: its log cannot be written."""
    assert scenario.master is not None
    process = psutil.Process(scenario.master.process.pid)
    usual = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (1024, usual[1]))
    kill_storm(scenario)
    process.rlimit(psutil.RLIMIT_FSIZE, usual)


def no_cache(scenario: Scenario) -> None:
    """The folder of catalogs is removed, and a worker killed, about each second."""
    while not scenario.over.wait(1.0):
        pids = scenario.pids()
        if len(pids) == 2:
            shutil.rmtree(cache_dir())
            victim = scenario.random.choice(pids)
            kill_process(victim)
            scenario.watch(lambda: victim not in scenario.pids())  # noqa: B023 - used up at once


def bulk(scenario: Scenario) -> None:
    """Two other clients ask a thousand lookups at a time, again and again."""

    def ask() -> None:
        result = ClientResults()
        scenario.results.append(result)
        batch = [("getbyname", record["name"]) for record in RECORDS] * 4
        with Client(scenario.cluster.address, timeout=5.0) as client:
            while not scenario.over.is_set():
                for one in client.lookup_many(batch):
                    if isinstance(one, LookupFailed):
                        result.errors.append(str(one))

    threads = [threading.Thread(target=ask, name="bulk") for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def non_readers(scenario: Scenario) -> None:
    """Forty strangers ask batches without end, and read nothing of what they are answered."""
    host, _, port = scenario.cluster.address.rpartition(":")
    crowd = [sys.executable, "-m", "tests.crowd", "unread", host, port, "40"]
    with subprocess.Popen(crowd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as strangers:
        scenario.over.wait()
        strangers.communicate()


def _misbehaving(
    behaviour: str, found: Callable[[WorkerView | None], bool]
) -> Callable[[Scenario], None]:
    def fault(scenario: Scenario) -> None:
        with bad_worker(scenario, behaviour) as (_, pid):
            scenario.watch(lambda: found(scenario.worker(pid)))
            scenario.over.wait()

    return fault


def _network(*networks: Network) -> Callable[[Scenario], None]:
    def fault(scenario: Scenario) -> None:
        with bad_worker(scenario, "well") as (proxy, _):
            while not scenario.over.is_set():
                for network in networks:
                    proxy.network = network
                    scenario.over.wait(0.5)
            proxy.network = Network()

    return fault


def resets(scenario: Scenario) -> None:
    """All connections to one of three workers are reset, five times a second."""
    with bad_worker(scenario, "well") as (proxy, _):
        while not scenario.over.wait(0.2):
            proxy.reset_all()


def other_records(scenario: Scenario) -> None:
    """A worker with other records of a dataset of that name registers, and leaves, and again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "people.json").write_text(json.dumps([RECORDS[0] | {"year": 1}]))
        Path(folder, "dataset.toml").write_text('name = "people"\n')
        while not scenario.over.is_set():
            with BadWorker("well", scenario.cluster.address, folder) as worker:
                worker.register()
                scenario.watch(lambda: _unready(scenario.worker(worker.pid)))
                scenario.over.wait(0.3)


def forks(scenario: Scenario) -> None:
    """The clients' process forks, four times a second, and its children ask with its clients."""
    with (
        Client(scenario.cluster.address, timeout=5.0) as through,
        Client(scenario.cluster.address, timeout=5.0, direct=True) as past,
    ):
        while not scenario.over.wait(0.25):
            for client in (through, past):
                scenario.results.append(ask_each(client, RECORDS, range(3)))
                child = ForkedChild(partial(ask_each, client, RECORDS, range(40)))
                scenario.results.append(ask_each(client, RECORDS, range(20)))
                scenario.results.append(child.result())


def write_records(folder: Path, year: object) -> None:
    """Writes the records that the clients know, and one more of that year, in one step."""
    fresh = folder / "people.new"
    fresh.write_text(json.dumps([*RECORDS, {"name": "one more", "location": "Rome", "year": year}]))
    fresh.replace(folder / "people.json")


def retype(scenario: Scenario) -> None:
    """A field holds numbers, then text among them, and so on by turns: its type changes with each
    reload. Others ask by that field meanwhile.
    """
    assert scenario.data is not None
    thread = threading.Thread(target=_ask_by_year, args=(scenario,), name="by year")
    thread.start()
    for year in itertools.cycle(("MMI", 2001)):
        write_records(scenario.data, year)
        scenario.cluster.reload()
        if scenario.over.wait(0.5):
            break
    thread.join()


def _ask_by_year(scenario: Scenario) -> None:
    result = ClientResults()
    scenario.results.append(result)
    with Client(scenario.cluster.address, timeout=5.0) as client:
        for record in itertools.cycle(RECORDS):
            if scenario.over.is_set():
                return
            wanted = {"location": record["location"], "year": record["year"]}
            try:
                # As text, which either type takes.
                found = client.getbyyear(record["location"], str(record["year"]))
            except LookupFailed as error:
                result.errors.append(str(error))
                continue
            result.answers += 1
            if not same_records(found, scan(RECORDS, **wanted)):
                result.wrong.append(str(wanted))


def clock_steps(scenario: Scenario) -> None:
    """The wall's clock of the master is set, twice a second, by hours and by years, and back."""
    assert scenario.clock is not None
    while not scenario.over.is_set():
        for step in (-2 * 3600.0, 400 * 86400.0, 30.0, 0.0):
            scenario.clock.ahead_s = step
            scenario.over.wait(0.5)


def busy_machine(scenario: Scenario) -> None:
    """Every core is kept busy by other processes."""
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    scenario.over.wait()
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
def inside() -> Iterator[Scenario]:
    """The master in this process, and two workers of its own."""
    with hosted(2) as cluster:
        yield Scenario(cluster)


@contextmanager
def inside_with_records() -> Iterator[Scenario]:
    """The same, with records that can be written anew."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        write_records(data, 2001)
        shutil.copy(shipped_data() / "dataset.toml", data)
        text = (data / "dataset.toml").read_text().replace("data-am.json", "people.json")
        (data / "dataset.toml").write_text(text.replace(', "data-nz.json"', ""))
        with hosted(2, data=data) as cluster:
            yield Scenario(cluster, data=data)


@contextmanager
def inside_with_a_clock() -> Iterator[Scenario]:
    """The same, with a clock that can be set."""
    clock = SetClock()
    with hosted(2, clock=clock) as cluster:
        yield Scenario(cluster, clock=clock)


@contextmanager
def four_inside() -> Iterator[Scenario]:
    """The same with four workers."""
    with hosted(4) as cluster:
        yield Scenario(cluster)


@contextmanager
def launched() -> Iterator[Scenario]:
    """All of it from the launcher, in processes of its own."""
    first = Node("up", "--port", "0", "--workers", "2", "--json")
    with AttachedCluster(first.ready["master"]) as cluster:
        scenario = Scenario(cluster, first)
        try:
            yield scenario
        finally:
            assert scenario.master is not None
            scenario.master.close()


@contextmanager
def apart() -> Iterator[Scenario]:
    """A master alone, and two workers that were started beside it."""
    first = Node("master", "0", "--json")
    with AttachedCluster(first.ready["master"]) as cluster:
        scenario = Scenario(cluster, first)
        workers = [Node("worker", "--master", cluster.address, "--json") for _ in range(2)]
        try:
            poll_for(lambda: len(scenario.pids()) == 2)
            yield scenario
        finally:
            for node in (*workers, scenario.master):
                assert node is not None
                node.close()


class Fault(NamedTuple):
    """Something that goes wrong until the scenario is over, where it does, and for whom."""

    do: Callable[[Scenario], None]
    where: Callable[[], AbstractContextManager[Scenario]] = inside
    direct: bool = False


BUSY = "all cores busy"
CLOCK = "the clock is set by hours and years"
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
    "state disk full, a worker dies": Fault(full_disk_and_deaths, launched),
    "cache folder removed, workers killed": Fault(no_cache),
    "a field's type changes": Fault(retype, inside_with_records),
    CLOCK: Fault(clock_steps, inside_with_a_clock),
    "bulk beside singles": Fault(bulk, launched),
    "strangers that do not read": Fault(non_readers, launched),
    BUSY: Fault(busy_machine),
}
"""Each is done to one of two workers that are good, to a third beside them, or to the master."""


def run_fault(name: str, *, lookups: int, least: float) -> Outcome:
    """Runs clients against a cluster under a fault.

    Args:
        name: a key of `FAULTS`.
        lookups: of each client, at least.
        least: seconds for which they go on at least.
    """
    fault = FAULTS[name]
    with fault.where() as scenario:
        trouble = threading.Thread(target=fault.do, args=(scenario,), name="fault")
        trouble.start()
        end = time.monotonic() + least
        try:
            results = load_from_threads(
                scenario.cluster.address,
                clients=CLIENTS,
                lookups=lookups,
                records=RECORDS,
                more=lambda: time.monotonic() < end,
                direct=fault.direct,
            )
        finally:
            scenario.over.set()
            trouble.join()
        results += scenario.results
        poll_for(lambda: scenario.cluster.snapshot().in_flight == 0)
        lost = [event for event in scenario.cluster.events() if event.kind == "lost"]
        if name in (BUSY, CLOCK):
            assert not lost, f"ejected for nothing: {lost}"
    return Outcome(
        lookups=sum(result.answers for result in results),
        errors=[error for result in results for error in result.errors],
        wrong=[wrong for result in results for wrong in result.wrong],
        slowest=max(result.slowest for result in results),
        found_out=scenario.found_out,
    )
