"""The figures of a snapshot, from real processes under load."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import LookupFailed
from nodes.wire import ClusterSnapshot
from tests.kit import hosted, master_alone, poll_for, up

STOPPED_S = 0.15
RUNNING_S = 0.1
"""Seconds of each turn: a worker that is stopped for most of the time, and alive to its probes."""

CLIENTS = 4


@contextlib.contextmanager
def under_load(address: str) -> Iterator[None]:
    """Clients that ask without a pause."""
    over = threading.Event()

    def ask() -> None:
        with Client(address, timeout=10.0) as client:
            while not over.is_set():
                client.getbyname("xander")

    with ThreadPoolExecutor(CLIENTS) as threads:
        asking = [threads.submit(ask) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            over.set()
        for one in asking:
            one.result()


@contextlib.contextmanager
def often_stopped(pid: int) -> Iterator[None]:
    """That process is stopped for `STOPPED_S` again and again."""
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.wait(RUNNING_S):
            os.kill(pid, signal.SIGSTOP)
            over.wait(STOPPED_S)
            os.kill(pid, signal.SIGCONT)

    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(stop_and_go)
        try:
            yield
        finally:
            over.set()
        stopping.result()


def shows_the_sick_one(snapshot: ClusterSnapshot, sick: str) -> bool:
    """Whether one look at the workers tells which is stopped again and again."""
    p99 = {view.id: view.p99_ms or 0.0 for view in snapshot.workers}
    [view] = [view for view in snapshot.workers if view.id == sick]
    highest = max(p99, key=lambda worker_id: p99[worker_id])
    return view.slow and view.hedged_away > 0 and highest == sick and p99[sick] >= 50


@pytest.mark.long
def test_a_worker_that_is_stopped_again_and_again_looks_the_sickest() -> None:
    with hosted(3) as cluster, under_load(cluster.address):
        sick = cluster.snapshot().workers[1]
        with often_stopped(sick.pid):
            poll_for(lambda: shows_the_sick_one(cluster.snapshot(), sick.id), timeout=30.0)
            snapshot = cluster.snapshot()
    assert any(one.why == "hedged" and one.name == "getbyname" for one in snapshot.slow)
    assert snapshot.errors == 0


def idle(cluster: HostedCluster) -> ClusterSnapshot:
    """A snapshot once nothing is in flight."""
    poll_for(lambda: cluster.snapshot().in_flight == 0)
    return cluster.snapshot()


def test_all_lookups_are_in_the_figures_once() -> None:
    with hosted(2) as cluster, Client(cluster.address) as client:
        for _ in range(10):  # all that are asked alone are among the slowest that are kept
            client.getbyname("xander")
        client.getbyname("nobody of that name")
        client.getbyyear("Kansas City", 2004)
        client.page("getbylocation", "Kansas City", limit=1)
        wrong = ("getbyname", "too", "many")
        known, unknown = ("getbyname", "xander"), ("getbyname", "nobody of that name")
        client.lookup_many([known, known, unknown, wrong, unknown, known])
        shown = idle(cluster)
    named = {one.name: (one.answered, one.empty) for one in shown.lookups}
    assert named["getbyname"] == (11, 1)
    assert (named["getbyyear"][0], named["getbylocation"]) == (1, (1, 0))
    assert named["in batches"] == (5, 2), "of a batch as well it is known what found nothing"
    assert shown.answered == 18
    assert sum(view.served for view in shown.workers) == 19, "a batch is performed as a whole"
    assert sum(count for _, count in shown.latencies) == 18
    assert sum(view.attempts for view in shown.workers) >= 18
    assert sum(view.hedged_away for view in shown.workers) == shown.hedges
    assert (shown.errors, shown.errors_by_code, shown.waiting) == (0, {}, 0)
    assert "'Kansas City' 2004" in {one.arguments for one in shown.slow}


def test_a_lookup_that_fails_has_its_code_and_is_kept() -> None:
    with hosted(1) as cluster, Client(cluster.address) as client:
        client.getbyname("xander")
        for worker_id in up(cluster):
            cluster.kill(worker_id)
        poll_for(lambda: not up(cluster))
        with pytest.raises(LookupFailed) as caught:
            client.getbyname("xander")
        shown = cluster.snapshot()
    code = caught.value.code
    assert (shown.errors, shown.errors_by_code) == (1, {code: 1})
    assert (shown.slow[0].code, shown.slow[0].arguments) == (code, "xander")


def test_what_fails_before_there_was_any_worker_counts() -> None:
    with master_alone() as master, Client(str(master.address)) as client:
        with pytest.raises(LookupFailed):
            client.getbyname("xander")
        shown = master.snapshot()
    assert (shown.errors, shown.errors_by_code) == (1, {"no_workers": 1})
