"""Workers of other machines: processes with a cache of their own, and the master's records."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import RollcallError
from nodes.support.addresses import parse_address
from nodes.wire import Registration, Reloaded, describe
from tests.catalog.large_data import make_person
from tests.faults.proxy import FaultProxy, Network
from tests.kit import (
    FakeWorker,
    Node,
    hosted,
    make_tls,
    master_alone,
    poll_for,
    run_nodes,
    wait_up,
)
from tests.worker.kit import PART_BYTES, RECORDS, WatchedParts, people

NAME = make_person(RECORDS, 7)["name"]


class Machine:
    """Another machine: a cache of its own.

    Args:
        cache: where that is.
        master: the address of the master, as it is seen from there.
    """

    def __init__(self, cache: Path, master: str) -> None:
        self.cache = cache
        self._master = master
        self._env = {"ROLLCALL_CACHE": str(cache)}
        self._command = ["worker", "--from-master", "--master", master, "--json"]

    def worker(self, *options: str) -> Node:
        """A worker there, once it is ready."""
        return Node(*self._command, *options, env=self._env)

    @contextmanager
    def starting(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker there that is not waited for; killed at the end."""
        env = {**os.environ, **self._env}
        command = [sys.executable, "-P", "-m", "nodes.cli", *self._command]
        with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def files(self) -> list[str]:
        """What lies among the catalogs there."""
        return sorted(path.name for path in (self.cache / "catalogs").glob("*"))


def change(data: Path, more: int = 1) -> None:
    """Another version of the records: so many more."""
    people(data, RECORDS + more)


def version(cluster: HostedCluster) -> str:
    """What is served."""
    return cluster.describe().version


# -- the start -------------------------------------------------------------------------------


def test_a_worker_elsewhere_needs_no_records(tmp_path: Path) -> None:
    folder = make_tls(tmp_path / "tls")
    with hosted(0, data=people(tmp_path / "data"), tls=folder) as cluster:
        machine = Machine(tmp_path / "there", cluster.address)
        with machine.worker("--tls", str(folder)), Client(cluster.address, tls=folder) as client:
            assert client.getbyname(NAME)
            assert machine.files == [f"{version(cluster)}.db"]


def test_one_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with hosted(0, data=people(tmp_path / "data")) as cluster:
        parts = WatchedParts(cluster, held_from=5 * PART_BYTES)
        machine = Machine(tmp_path / "there", cluster.address)
        with machine.starting():
            parts.wait_held()
        parts.release()
        with machine.worker(), Client(cluster.address) as client:
            assert client.getbyname(NAME)
        at = parts.asked.index(5 * PART_BYTES)
        assert parts.asked[at + 1 :] == parts.each_once[5:], "nothing came twice"


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    with master_alone() as master:
        command = ("worker", "--from-master", "--master", str(master.address))
        alone = run_nodes(*command, env={"ROLLCALL_CACHE": str(tmp_path)})
        both = run_nodes(*command, "--data", str(tmp_path))
    assert (alone.returncode, both.returncode) == (2, 2)
    assert "has no records to give: start the worker with --data" in alone.stderr
    assert "--from-master takes the master's records" in both.stderr


# -- reload -------------------------------------------------------------------------------------


def test_a_reload_reaches_every_machine_and_no_answer_is_missed(tmp_path: Path) -> None:
    data = people(tmp_path / "data")
    over = threading.Event()
    counts: list[int] = []
    errors: list[str] = []
    with hosted(1, data=data) as cluster:
        there = Machine(tmp_path / "there", cluster.address)

        def ask() -> None:
            with Client(cluster.address) as client:
                while not over.is_set():
                    try:
                        counts.append(len(client.getbyname(NAME)))
                    except RollcallError as error:
                        errors.append(repr(error))

        asking = threading.Thread(target=ask)
        with there.worker() as node:
            wait_up(cluster, 2)
            before = version(cluster)
            asking.start()
            try:
                parts = WatchedParts(cluster, held_from=PART_BYTES)
                change(data)
                done: list[Reloaded] = []
                reload = threading.Thread(target=lambda: done.append(cluster.reload()))
                reload.start()
                parts.wait_held()
                poll_for(lambda: cluster.snapshot().activity.startswith("reload: fetch"))
                # Until every machine has them, all go on with what they have.
                assert cluster.snapshot().catalogs == (before,)
                answered = len(counts)
                poll_for(lambda: len(counts) > answered + 20)
                parts.release()
                reload.join()
            finally:
                over.set()
                asking.join()
            assert errors == []
            assert all(counts)
            [reloaded] = done
            assert reloaded.behind == {}
            assert cluster.snapshot().catalogs == (version(cluster),) != (before,)
            assert {worker.state for worker in cluster.snapshot().workers} <= {"up", "starting"}
            assert node.process.poll() is None
            assert there.files == sorted([f"{before}.db", f"{version(cluster)}.db"])


@pytest.mark.long
def test_one_that_was_away_during_a_reload_follows_by_itself(tmp_path: Path) -> None:
    data = people(tmp_path / "data")
    with hosted(1, data=data) as cluster, ExitStack() as stack:
        host, port = parse_address(cluster.address)
        proxy = stack.enter_context(FaultProxy(port, Random(1)))
        stack.enter_context(Machine(tmp_path / "there", f"{host}:{proxy.port}").worker())
        wait_up(cluster, 2)
        proxy.network = Network(hang=True)
        proxy.reset_all()
        wait_up(cluster, 1)
        change(data)
        assert cluster.reload().behind == {}
        proxy.network = Network()
        wait_up(cluster, 2)
        assert cluster.snapshot().catalogs == (version(cluster),)


def test_one_with_records_of_its_own_is_only_told_to_follow(tmp_path: Path) -> None:
    """It fetches what a reload says, and nothing by itself."""
    data = people(tmp_path / "data")
    with hosted(0, data=data) as cluster:
        own = people(tmp_path / "own", RECORDS // 2)
        there = Machine(tmp_path / "there", cluster.address)
        command = ("worker", "--master", cluster.address, "--json", "--data", str(own))
        with Node(*command, env={"ROLLCALL_CACHE": str(there.cache)}) as node:
            assert "other catalog" in node.ready["why"]
            assert f"{version(cluster)}.db" not in there.files
            assert cluster.reload().behind == {}
            assert [worker.state for worker in cluster.snapshot().workers] != ["unready"]
            assert f"{version(cluster)}.db" in there.files


def test_one_whose_fetch_stalls_is_left_behind_and_the_rest_goes_on(tmp_path: Path) -> None:
    data = people(tmp_path / "data")
    with hosted(1, data=data) as cluster:
        cluster.master.orders.stall_s = 0.2
        said = Registration(
            instance="0" * 32,
            wanted_id="far",
            host="127.0.0.1",
            port=1,
            pid=1,
            catalog=describe(cluster.fleet.catalog.info),
        )
        reply = (3, 12)
        verbs: dict[str, Callable[..., object]] = {
            "prepare": lambda _version: reply,
            "switch": lambda _version: reply,
            "probe": lambda: (0, 0, 0, said.catalog.version, 0.0, 0),
        }
        with FakeWorker(cluster.master.address, said, verbs):
            change(data)
            behind = cluster.reload().behind
            assert behind == {
                "far": "it fetches the records still (25 %), and then switches by itself"
            }
            [far] = [one for one in cluster.snapshot().workers if one.id == "far"]
            assert far.state == "unready"


@pytest.mark.long
def test_one_left_behind_goes_on_and_switches_and_takes_the_newest(tmp_path: Path) -> None:
    data = people(tmp_path / "data")
    with hosted(0, data=data) as cluster:
        cluster.master.orders.stall_s = 0.2
        there = Machine(tmp_path / "there", cluster.address)
        with there.worker():
            wait_up(cluster, 1)
            parts = WatchedParts(cluster, held_from=5 * PART_BYTES)
            for more in (1, 2):
                change(data, more)
                assert "fetches the records still" in cluster.reload().behind["w1"]
                wait_up(cluster, 0)
            parts.release()
            wait_up(cluster, 1)
            assert cluster.snapshot().catalogs == (version(cluster),)
            assert len([name for name in there.files if name.endswith(".db")]) == 2


# -- what it costs others ---------------------------------------------------------------------


@pytest.mark.long
def test_a_fetch_does_not_hold_up_the_masters_loop(tmp_path: Path) -> None:
    """No step of it takes 5 ms of the processor, in the better of three fetches."""
    with hosted(0, data=people(tmp_path / "data", 20_000)) as cluster:
        loop = cluster.master.loop.loop
        worst: list[float] = []
        for number in range(3):
            machine = Machine(tmp_path / f"there{number}", cluster.address)
            over = threading.Event()
            longest = [0.0]

            def tick(before: float, over: threading.Event, longest: list[float]) -> None:
                now = time.thread_time()
                longest[0] = max(longest[0], now - before)
                if not over.is_set():
                    loop.call_soon(tick, time.thread_time(), over, longest)

            def begin(over: threading.Event, longest: list[float]) -> None:
                tick(time.thread_time(), over, longest)

            with machine.starting():
                cluster.master.loop.call(begin, over, longest)
                poll_for(lambda: f"{version(cluster)}.db" in machine.files)  # noqa: B023
                over.set()
            worst.append(longest[0])
        assert min(worst) < 0.005
