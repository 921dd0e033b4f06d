"""What the verdict says of real faults, in words, soon after they begin."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nodes.cluster import HostedCluster
from nodes.wire import Level, Verdict, verdict
from tests.kit import FrozenProcess, hosted, load_from_threads, poll_for, shipped_records

RECORDS = shipped_records()

SOON_S = 2.0
"""Seconds within which a fault is to be told of; a busy machine is given more."""

PATIENCE_S = 4 * SOON_S


def said(cluster: HostedCluster, told: Callable[[Verdict], bool]) -> Verdict:
    """Waits until the verdict is as it is to be, and returns it."""

    def look() -> Verdict | None:
        found = verdict(cluster.snapshot())
        return found if told(found) else None

    try:
        found = poll_for(look, PATIENCE_S)
    except AssertionError as error:
        raise AssertionError(f"it says: {verdict(cluster.snapshot()).line}") from error
    assert found is not None
    return found


def pid_of(cluster: HostedCluster, worker_id: str) -> int:
    """The process of that worker, 0 while there is none."""
    return next((one.pid for one in cluster.snapshot().workers if one.id == worker_id), 0)


@contextmanager
def load(cluster: HostedCluster) -> Iterator[None]:
    """Lookups all the time."""
    stop = threading.Event()
    thread = threading.Thread(
        target=load_from_threads,
        args=(cluster.address,),
        kwargs={
            "clients": 4,
            "lookups": 1,
            "records": RECORDS,
            "more": lambda: not stop.is_set(),
        },
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def stopped_again_and_again(pid: int) -> Iterator[None]:
    """A process that is stopped for 150 of every 250 ms."""
    done = threading.Event()

    def stutter() -> None:
        while not done.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.15)
            os.kill(pid, signal.SIGCONT)
            done.wait(0.1)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_cluster_that_is_well_is_healthy() -> None:
    with hosted(2) as cluster:
        assert said(cluster, lambda found: found.level is Level.HEALTHY).text == ""


def test_a_worker_that_is_killed_is_missing_then_restarted() -> None:
    with hosted(3) as cluster:
        os.kill(pid_of(cluster, "w2"), signal.SIGKILL)
        found = said(cluster, lambda found: bool(found.text))
        assert found.text.startswith(("2 of 3 workers up: w2 starting", "w2 restarted"))
        found = said(cluster, lambda found: found.level is Level.HEALTHY)
        assert found.text.startswith("w2 restarted")


def test_a_frozen_worker_is_said_to_be_and_a_stopped_one_is_silent() -> None:
    with hosted(3) as cluster:
        cluster.freeze("w1")
        said(cluster, lambda found: "frozen w1" in found.purpose)
        cluster.thaw("w1")
        said(cluster, lambda found: found.level is Level.HEALTHY and "w1" not in found.line)
        with FrozenProcess(pid_of(cluster, "w2")):
            found = said(cluster, lambda found: found.level is Level.DEGRADED)
            assert "w2" in found.text


def test_a_worker_that_stutters_is_slow() -> None:
    with hosted(3) as cluster, load(cluster), stopped_again_and_again(pid_of(cluster, "w3")):
        found = said(cluster, lambda found: "w3 slow" in found.text)
        assert found.level is Level.DEGRADED


@pytest.mark.timeout(120)
def test_a_worker_that_dies_again_and_again_flaps_and_then_is_given_up() -> None:
    with hosted(2) as cluster:
        flapped = False
        for _ in range(6):
            pid = poll_for(lambda: pid_of(cluster, "w1"))
            os.kill(pid, signal.SIGKILL)
            poll_for(lambda dead=pid: pid_of(cluster, "w1") != dead or _gave_up(cluster))  # type: ignore[misc]
            flapped = flapped or "w1 keeps dying" in verdict(cluster.snapshot()).text
            if _gave_up(cluster):
                break
        assert flapped
        found = said(cluster, lambda found: "crash-looping" in found.text)
        assert found.hint == "restart"


def _gave_up(cluster: HostedCluster) -> bool:
    return "crash-looping" in verdict(cluster.snapshot()).text


def test_without_workers_it_is_an_outage() -> None:
    with hosted(2) as cluster:
        for worker_id in ("w1", "w2"):
            cluster.kill(worker_id)
        found = said(cluster, lambda found: found.level is Level.OUTAGE)
        assert (found.text, found.hint) == ("no workers", "spawn")


def test_a_worker_that_drains_is_no_alarm() -> None:
    with hosted(2) as cluster:
        cluster.drain("w1")
        assert verdict(cluster.snapshot()).level is Level.HEALTHY
        found = said(cluster, lambda found: "w1 left" in found.text)
        assert found.level is Level.HEALTHY
