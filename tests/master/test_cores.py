"""Threads that take turns stay on one core; what they start does not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import psutil
import pytest

from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.master import cores
from nodes.security.tokens import operator_token
from tests.kit import hosted, poll_for, up

EVERY: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
pytestmark = pytest.mark.skipif(len(EVERY) < 2, reason="there is one core, or no choice of one")


def in_thread(work: Callable[[], set[int]]) -> set[int]:
    """What `work` returns in a thread of its own."""
    found: list[set[int]] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def where() -> set[int]:
    """The cores that the calling thread may run on."""
    return os.sched_getaffinity(0)


def test_all_gather_on_the_same_core_and_leave_the_others_alone() -> None:
    def gathered() -> set[int]:
        cores.gather()
        return where()

    first = in_thread(gathered)
    assert len(first) == 1
    assert in_thread(gathered) == first
    assert where() == EVERY


def test_what_is_started_elsewhere_may_run_anywhere() -> None:
    def spread() -> set[int]:
        cores.gather()
        cores.spread()
        return in_thread(where)

    assert in_thread(spread) == EVERY


def serving(cluster: HostedCluster) -> list[set[int]]:
    """Where the threads of the master's connections may run."""
    name = "master-127.0.0.1:"
    threads = [one for one in threading.enumerate() if one.name.startswith(name)]
    return [os.sched_getaffinity(one.native_id or 0) for one in threads]


def test_one_client_is_served_on_any_core_and_several_on_one() -> None:
    with hosted(1) as cluster, Client(str(cluster.master.address)) as client:
        for _ in range(20):
            client.getbyname("xander")
        assert all(one == EVERY for one in serving(cluster))
        gone = threading.Event()

        def ask() -> None:
            while not gone.is_set():
                client.getbyname("xander")

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            poll_for(lambda: sum(len(one) == 1 for one in serving(cluster)) >= 2)
        finally:
            gone.set()
            for asker in askers:
                asker.join()


def test_a_worker_that_an_asker_spawns_runs_on_every_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hosted(1) as cluster:
        monkeypatch.setattr(cluster.master.lookups, "in_flight", 1)
        address = str(cluster.master.address)
        with Client(address, token=operator_token()) as client:
            client.getbyname("xander")
            assert any(len(one) == 1 for one in serving(cluster))
            client._master.call("spawn", 1, timeout=5.0, again=False)
        poll_for(lambda: len(up(cluster)) == 2)
        for worker in cluster.snapshot().workers:
            assert set(psutil.Process(worker.pid).cpu_affinity() or ()) == EVERY
