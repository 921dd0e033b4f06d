"""Who gets the next lookup."""

from __future__ import annotations

from random import Random

import pytest

from nodes.routing import POLICIES, Registry, State, Worker, key_now, pick
from nodes.routing.breaker import Breaker
from nodes.support.addresses import Address


class WorkerGroup:
    """A registry with workers in it, and a clock."""

    def __init__(self, count: int, policy: str = "load") -> None:
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        self.policy = POLICIES[policy]
        self.now = 100.0
        self.workers = [self.join() for _ in range(count)]

    def join(self) -> Worker:
        """One more worker, proved."""
        port = 1000 + sum(1 for _ in self.registry)
        worker = self.registry.register(
            wanted_id="",
            instance=str(port),
            address=Address("127.0.0.1", port),
            pid=port,
            version="v",
            now=self.now,
        )
        self.prove(worker)
        return worker

    def prove(self, worker: Worker) -> None:
        """A good probe."""
        self.registry.probe_answered(
            worker.generation, version="v", cpu=0.0, memory=0, now=self.now
        )

    def pick(self, *exclude: Worker) -> Worker | None:
        """Who would be next."""
        generations = {worker.generation for worker in exclude}
        workers = self.registry.available
        return pick(workers, key_now(workers, self.policy, self.now), self.now, generations)

    def serve(self, times: int, seconds: float = 0.001) -> None:
        """One lookup after the other, each answered in `seconds`."""
        for _ in range(times):
            worker = self.pick()
            assert worker is not None
            worker.began(self.now)
            self.now += seconds
            worker.answered(seconds, self.now)


def test_nobody_is_picked_when_there_is_nobody() -> None:
    assert WorkerGroup(0).pick() is None


def test_the_least_load_is_picked_and_among_equals_the_fewest_tasks() -> None:
    group = WorkerGroup(3)
    first, second, third = group.workers
    first.began(group.now)
    second.served, third.served = 5, 4
    assert group.pick() is third
    third.began(group.now)
    assert group.pick() is second


def test_those_tried_are_not_picked_again() -> None:
    group = WorkerGroup(2)
    first, second = group.workers
    assert group.pick(first) is second
    assert group.pick(first, second) is None


@pytest.mark.parametrize(("policy", "spread"), [("load", 50), ("tasks", 1), ("latency", 1000)])
def test_equal_workers_share_equally(policy: str, spread: int) -> None:
    group = WorkerGroup(3, policy)
    group.serve(1000)
    served = [worker.served for worker in group.workers]
    assert sum(served) == 1000
    assert max(served) - min(served) <= spread


@pytest.mark.parametrize("policy", ["load", "tasks"])
@pytest.mark.parametrize("first_s", [0.005, 0.05, 0.5])
def test_a_slow_first_answer_costs_a_worker_no_lookups(policy: str, first_s: float) -> None:
    group = WorkerGroup(3, policy)
    for _ in range(1000):
        worker = group.pick()
        assert worker is not None
        worker.began(group.now)
        took = 0.0003 if worker.served else first_s if worker is group.workers[0] else 0.001
        group.now += took
        worker.answered(took, group.now)
    served = [worker.served for worker in group.workers]
    assert max(served) - min(served) <= 0.05 * max(served)


def test_a_newcomer_takes_its_part_and_not_everything() -> None:
    group = WorkerGroup(3)
    group.serve(1000)
    fresh = group.join()
    assert (fresh.served, fresh.head_start > 300) == (0, True)
    group.serve(1000)
    assert 200 <= fresh.served <= 300


def test_with_the_plain_rule_a_newcomer_takes_all_until_it_is_level() -> None:
    group = WorkerGroup(3, "tasks")
    group.serve(999)
    fresh = group.join()
    group.serve(333)
    assert fresh.served == 333
    assert {worker.served for worker in group.workers} == {333}


def test_a_slow_worker_gets_less() -> None:
    group = WorkerGroup(4)
    slow = group.workers[0]
    for _ in range(400):
        worker = group.pick()
        assert worker is not None
        worker.began(group.now)
        took = 0.2 if worker is slow else 0.01
        group.now += 0.01
        worker.answered(took, group.now)
    assert slow.served < 40


def test_suspects_come_last() -> None:
    group = WorkerGroup(2)
    suspect, good = group.workers
    group.registry.probe_missed(suspect.generation, "late", group.now)
    assert suspect.state is State.SUSPECT
    for _ in range(50):
        good.began(group.now)
    assert group.pick() is good
    assert group.pick(good) is suspect


def _open(group: WorkerGroup, worker: Worker) -> None:
    for _ in range(Breaker.FAILURES):
        worker.began(group.now)
        worker.failed(0.0001, "boom", group.now)


def test_a_failing_worker_is_out_until_its_time_is_over() -> None:
    group = WorkerGroup(4)
    bad = group.workers[0]
    _open(group, bad)
    assert bad.breaker.open
    assert all(group.pick() is not bad for _ in range(10))
    # Tried when nobody else is left for this lookup.
    assert group.pick(*group.workers[1:]) is bad


def test_a_failing_worker_is_tried_once_for_a_lookup_as_any_other() -> None:
    group = WorkerGroup(2)
    _open(group, group.workers[0])
    assert group.pick(*group.workers) is None


def test_when_most_seem_to_fail_all_are_tried() -> None:
    group = WorkerGroup(4)
    for worker in group.workers[:3]:
        _open(group, worker)
    for _ in range(20):
        group.workers[3].began(group.now)
    assert group.pick() in group.workers[:3]


def test_a_failure_is_slow_however_quick_it_came() -> None:
    group = WorkerGroup(2)
    group.serve(20)
    bad = group.workers[0]
    bad.began(group.now)
    bad.failed(0.0001, "boom", group.now)
    assert bad.latency.estimate(group.now) > 10 * group.workers[1].latency.estimate(group.now)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_that_refuses_lookups_is_not_next_for_it(policy: str) -> None:
    group = WorkerGroup(3, policy)
    for _ in range(30):
        worker = group.pick()
        assert worker is not None
        worker.began(group.now)
        group.now += 0.001
        if worker is group.workers[0]:
            worker.refused(0.001, group.now)
        else:
            worker.answered(0.001, group.now)
    assert group.workers[0].refusals == 10
