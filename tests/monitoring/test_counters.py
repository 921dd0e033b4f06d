"""Counters never fall within one life of a master, whatever workers and lookups come and go."""

from __future__ import annotations

import re
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from nodes.dispatch.call import Answer, Call
from nodes.errors import DeadlineExceeded
from nodes.master.lookup_stats import MAX_NAMES, LookupStats
from nodes.master.snapshot import earlier_counts, worker_views
from nodes.monitoring.exposition import exposition
from nodes.routing import ProcessChange, ProcessEvent, Registry, Worker
from nodes.support.addresses import Address
from nodes.transport import encode_arguments
from nodes.wire import ClusterSnapshot, answer_part
from tests.console.fakes import cluster_snapshot

NEVER_FALLS = re.compile(r"\w+_(total|bucket|sum|count)\b")

STEPS = 100
SEEDS = 3

FOUND = answer_part(b'[{"a":1}]', count=1, after=None, catalog="v", files=())


class Cluster:
    """A registry and statistics of lookups to which anything happens, and snapshots of them."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(seed))
        self.registry.local.supervised = True
        self.names = ["getbyname"]
        self.stats = LookupStats(lambda: self.names)
        self.now = 1000.0
        self.processes = 0

    def registers(self, worker_id: str, instance: str = "") -> Worker:
        """A worker registers, from a process of its own unless one is named."""
        self.processes += 1
        return self.registry.register(
            wanted_id=worker_id,
            instance=instance or f"process {self.processes}",
            address=Address("127.0.0.1", 20_000 + self.processes),
            pid=1,
            version="v",
            now=self.now,
        )

    def works(self, worker: Worker, direct: int = 0) -> None:
        """It answers two lookups, fails one, is late for one, and has answered some directly."""
        for _ in range(3):
            worker.began(self.now)
        worker.answered(0.001, self.now)
        worker.answered(0.001, self.now)
        worker.failed(0.001, "it broke", self.now)
        worker.lost.hedged(self.now)
        worker.lost.rerouted()
        self.registry.probe_answered(
            worker.generation, version="v", cpu=1.0, memory=1, now=self.now, direct=(direct, 0)
        )

    def asks(self, name: str) -> None:
        """A lookup of that name is answered, and another fails."""
        call = Call(encode_arguments((name, "x")))
        worker = cast(Worker, SimpleNamespace(id="w1"))
        answer = Answer(FOUND, worker, 1, self.random.random())
        self.stats.answered_one(call, answer, self.now)
        self.stats.failed_one(call, DeadlineExceeded("late"), 2.0, self.now)

    def snapshot(self) -> ClusterSnapshot:
        """What there is to be seen."""
        views = worker_views(self.registry, frozenset(), self.now, self.now)
        figures = self.stats.figures(self.now, self.now)
        return cluster_snapshot(
            views,
            answered=self.stats.answered + self.registry.direct,
            errors_by_code=dict(self.stats.errors_by_code),
            durations=figures.durations,
            earlier=earlier_counts(self.registry, views),
        )

    def told(self) -> dict[str, float]:
        """What must never fall, by the beginning of its line."""
        lines = (line.rpartition(" ") for line in "".join(exposition(self.snapshot())).split("\n"))
        return {name: float(value) for name, _, value in lines if NEVER_FALLS.match(name)}

    def of_worker(self, name: str, worker_id: str = "w1") -> float | None:
        """A counter of a worker; None while there is none."""
        return self.told().get(f'rollcall_worker_{name}_total{{worker="{worker_id}"}}')

    # -- at random --------------------------------------------------------------------

    def step(self) -> None:
        """Something happens."""
        self.now += self.random.choice((0.1, 1.0, 200.0))
        worker_id = f"w{self.random.randint(1, 3)}"
        worker = self.registry.get(worker_id)
        if worker is None or not worker.live:
            self._comes(worker_id)
        else:
            self._goes_on(worker)
        if self.random.random() < 0.1:
            self.names = self.random.sample(["getbyname", "getbyyear", "getbyteam"], 2)
        self.asks(self.random.choice(("getbyname", "getbyyear", "getbyteam", "made_up")))

    def _comes(self, worker_id: str) -> None:
        local = self.registry.local
        if worker_id not in local and self.random.random() < 0.5:
            self.registry.reserve_again(worker_id, self.now)
        if worker_id in local:
            instance = f"local {self.processes}"
            self._report(worker_id, ProcessChange.PREPARED, instance)
            self.registers(worker_id, instance)
        else:
            self.registers(worker_id)

    def _goes_on(self, worker: Worker) -> None:
        match self.random.randint(0, 5):
            case 0:
                self.registry.lost(worker.generation, "killed", self.now)
                self._report(worker.id, ProcessChange.EXITED, worker.instance)
            case 1:
                self.registers(worker.id, worker.instance)
            case 2:
                self.registry.lost(worker.generation, "killed", self.now)
                self.registry.local.remove(worker.id)
                self.registry.forget_gone()
            case 3:
                self.registry.purge(self.now)
            case _:
                self.works(worker, direct=int(self.now) - 1000)

    def _report(self, worker_id: str, change: ProcessChange, instance: str) -> None:
        self.registry.report(ProcessEvent(worker_id, change, instance=instance), self.now)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_counter_falls_whatever_happens(seed: int) -> None:
    cluster = Cluster(seed)
    highest: dict[str, float] = {}
    for _ in range(STEPS):
        cluster.step()
        for series, value in cluster.told().items():
            assert value >= highest.get(series, 0.0), series
            highest[series] = value
    assert len(highest) > 50


def test_a_worker_that_comes_again_goes_on_counting() -> None:
    cluster = Cluster()
    first = cluster.registers("w1")
    cluster.works(first)
    cluster.registry.lost(first.generation, "killed", cluster.now)
    assert cluster.of_worker("attempts") is None, "of one that is gone nothing is told"
    again = cluster.registers("w1")
    assert cluster.of_worker("attempts") == 3
    cluster.works(again)
    assert (cluster.of_worker("attempts"), cluster.of_worker("lookups")) == (6, 4)


def test_so_does_one_that_has_been_forgotten_meanwhile() -> None:
    cluster = Cluster()
    for _ in range(3):
        worker = cluster.registers("w1")
        cluster.works(worker)
        cluster.registry.lost(worker.generation, "killed", cluster.now)
        cluster.registry.forget_gone()
    cluster.registers("w1")
    assert cluster.of_worker("errors") == 3


def test_what_failed_after_it_registered_anew_still_counts() -> None:
    cluster = Cluster()
    first = cluster.registers("w1", "one")
    first.began(cluster.now)
    cluster.registers("w1", "one")
    first.failed(0.1, "its registration is over", cluster.now)
    assert (cluster.of_worker("attempts"), cluster.of_worker("errors")) == (1, 1)


def test_while_a_process_is_started_anew_its_worker_s_counters_stay() -> None:
    cluster = Cluster()
    cluster.registry.reserve_again("w1", cluster.now)
    cluster._report("w1", ProcessChange.PREPARED, "one")
    worker = cluster.registers("w1", "one")
    cluster.works(worker)
    cluster._report("w1", ProcessChange.EXITED, "one")
    assert cluster.snapshot().workers[0].attempts == 0, "its view is of a process to come"
    assert (cluster.of_worker("attempts"), cluster.of_worker("restarts")) == (3, 1)


def test_lookups_asked_of_a_worker_directly_count_once_however_often_it_registers() -> None:
    cluster = Cluster()
    worker = cluster.registers("w1", "one")
    cluster.works(worker, direct=0)
    cluster.works(worker, direct=100)
    worker = cluster.registers("w1", "one")
    cluster.works(worker, direct=130)
    assert cluster.registry.direct == 130
    assert cluster.of_worker("lookups") == 6 + 130


def test_those_of_the_time_under_another_master_do_not_count_here() -> None:
    cluster = Cluster()
    cluster.works(cluster.registers("w1"), direct=1_000_000)
    assert cluster.registry.direct == 0


def test_however_many_names_are_declared_in_turn_there_are_few_series() -> None:
    cluster = Cluster()
    for number in range(2 * MAX_NAMES):
        cluster.names = [f"lookup{number}"]
        cluster.asks(f"lookup{number}")
        cluster.stats.fold(cluster.now)
    counted = "rollcall_lookup_duration_seconds_count"
    asked = {name: value for name, value in cluster.told().items() if name.startswith(counted)}
    assert len(asked) <= MAX_NAMES + 2
    assert sum(asked.values()) == 2 * MAX_NAMES
    assert asked[f'{counted}{{lookup="other"}}'] == MAX_NAMES
