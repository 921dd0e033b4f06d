"""Five minutes of every worker, and no more."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from console.history import HISTORY_S, History
from nodes.wire import LookupView
from tests.console.fakes import NOON, cluster_snapshot, worker_view


def note(history: History, at: float, *ids: int, rate: float = 0.0) -> None:
    """Notes a snapshot of workers at a moment, in seconds after noon."""
    workers = [worker_view(number, lookups_per_s=rate) for number in ids]
    history.add(cluster_snapshot(workers, taken_at=NOON + at))


def test_a_sample_is_what_the_snapshot_said() -> None:
    history = History()
    worker = worker_view(
        1, lookups_per_s=12.5, p99_ms=3.5, in_flight=2, cpu_percent=40.0, memory_bytes=2**20
    )
    history.add(cluster_snapshot([worker]))
    assert history.samples("w1") == [(NOON, 12.5, 3.5, 2, 40.0, 2**20)]
    assert history.samples("w2") == []


def test_a_worker_without_an_answer_has_no_latency_to_draw() -> None:
    history = History()
    note(history, 0.0, 1)
    assert history.samples("w1")[0].p99_ms is None


def test_one_sample_a_second_however_often_it_looks() -> None:
    history = History()
    for tick in range(100):
        note(history, tick * 0.1, 1)
    times = [sample.at for sample in history.samples("w1")]
    assert len(times) == 10
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(times))


def test_no_more_than_five_minutes_are_kept() -> None:
    random = Random(7)
    history, now = History(), 0.0
    for _ in range(2000):
        now += random.choice([0.2, 0.5, 1.0, 1.3])
        note(history, now, 1, rate=now)
    samples = history.samples("w1")
    assert len(samples) <= HISTORY_S + 1
    assert samples[0].at >= samples[-1].at - HISTORY_S
    assert samples[-1].at > NOON + now - 1.0
    assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)


def test_whoever_is_gone_is_forgotten_and_starts_anew() -> None:
    history = History()
    for at in range(5):
        note(history, at, 1, 2)
    note(history, 5, 2)
    assert history.samples("w1") == []
    assert len(history.samples("w2")) == 6
    note(history, 6, 1, 2)
    assert len(history.samples("w1")) == 1


@pytest.mark.parametrize("step", [-3600.0, 400 * 86400.0])
def test_what_was_seen_stays_as_old_as_it_is_when_the_masters_clock_is_set(step: float) -> None:
    history, lookup = History(), LookupView("getbyname", 1.0, None, None, 0, 0, 0)
    for up in range(10):
        at = NOON + up + (step if up >= 5 else 0.0)
        workers = [worker_view(1)]
        history.add(cluster_snapshot(workers, taken_at=at, uptime_s=up, lookups=(lookup,)))
    ages = [NOON + step + 9 - sample.at for sample in history.samples("w1")]
    assert ages == list(range(9, -1, -1))
    assert [sample.at for sample in history.cluster] == [one.at for one in history.samples("w1")]
    assert [point.at for point in history.lookup_points("getbyname")] == [
        one.at for one in history.cluster
    ]


def test_another_master_whose_clock_is_behind_begins_anew() -> None:
    history = History()
    for up, at in ((100, 0.0), (101, 1.0), (1, -3600.0), (2, -3599.0)):
        history.add(cluster_snapshot([worker_view(1)], taken_at=NOON + at, uptime_s=up))
    assert [sample.at - NOON for sample in history.samples("w1")] == [-3600.0, -3599.0]


def test_what_is_given_out_is_a_copy() -> None:
    history = History()
    note(history, 0, 1)
    history.samples("w1").clear()
    assert len(history.samples("w1")) == 1
