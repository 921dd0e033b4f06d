"""Many workers: the heap tells the same worker as a look at each of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.routing import POLICIES, Registry, Router, RoutingLimits, State, Worker
from nodes.routing.router import FOLD_MANY_S
from nodes.support.addresses import Address

WORKERS = 12
NEVER = 10**6
FOLDED_S = 1.25 * FOLD_MANY_S
"""Seconds after which both have folded: sums of `FOLD_MANY_S` itself may fall short of it."""


class Group:
    """Some workers behind a router, to which the same is done as to those of another group."""

    def __init__(self, policy: str, *, ranked_from: int) -> None:
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        limits = RoutingLimits(ranked_from=ranked_from, max_calls=4)
        self.router = Router(registry=self.registry, policy=POLICIES[policy], limits=limits)
        self.under_way: list[tuple[Worker, float]] = []
        self.now = 100.0
        self.joined = 0
        for _ in range(WORKERS):
            self.join()

    def join(self) -> None:
        self.joined += 1
        self.registry.register(
            wanted_id="",
            instance=str(self.joined),
            address=Address("127.0.0.1", self.joined),
            pid=self.joined,
            version="v",
            now=self.now,
        )

    def pick(self) -> int | None:
        """The next lookup is sent; the worker's generation."""
        worker = self.router.pick_first()
        if worker is None:
            return None
        worker.began(self.now)
        self.under_way.append((worker, self.now))
        return worker.generation

    def end(self, which: int, how: str) -> None:
        """What became of one of the lookups under way."""
        if not self.under_way:
            return
        worker, began = self.under_way.pop(which % len(self.under_way))
        took = self.now - began
        match how:
            case "answered":
                worker.replied(began, 1)
                self.router.took(worker, took, 1)
            case "failed":
                worker.failed(took, "boom", self.now)
            case "overtaken":
                worker.overtaken(took, self.now)
                worker.late = True
            case "refused":
                worker.refused(took, self.now)
            case _:
                worker.released()

    def happen(self, which: int, what: str) -> None:
        """Something happens to one of the workers."""
        live = self.registry.live()
        if not live:
            return
        worker = live[which % len(live)]
        match what:
            case "proved":
                self.prove(worker, which)
            case "missed":
                self.registry.probe_missed(worker.generation, "late", self.now)
            case "came late":
                worker.came_late(self.now)
            case "leaves":
                self.registry.drain(worker.generation, "it leaves", self.now)
            case "dies":
                self.registry.lost(worker.generation, "died", self.now)
            case _:
                self.join()

    def prove(self, worker: Worker, direct: int = 0) -> None:
        self.registry.probe_answered(
            worker.generation, version="v", cpu=0.0, memory=0, now=self.now, direct=(0, direct % 3)
        )

    def pass_time(self, seconds: float) -> None:
        """Some time passes, and what was measured is folded in."""
        self.now += seconds
        self.router.fold(self.now)


NUMBERS = st.integers(0, 50)
ENDS = st.sampled_from(["answered"] * 5 + ["failed", "overtaken", "refused", "released"])
EVENTS = st.sampled_from(["proved"] * 4 + ["missed", "came late", "leaves", "dies", "joins"])
STEPS = st.one_of(
    st.just(Group.pick),
    st.builds(lambda n, how: lambda group: group.end(n, how), NUMBERS, ENDS),
    st.builds(lambda n, what: lambda group: group.happen(n, what), NUMBERS, EVENTS),
    st.builds(
        lambda s: lambda group: group.pass_time(s), st.sampled_from([FOLDED_S, 0.3, 2.0, 30.0])
    ),
)


@pytest.mark.parametrize("policy", POLICIES)
@given(steps=st.lists(STEPS, max_size=150))
@settings(max_examples=100, deadline=None)
def test_the_heap_tells_the_same_as_a_look_at_each(
    policy: str, steps: list[Callable[[Group], object]]
) -> None:
    ranked, scanned = Group(policy, ranked_from=1), Group(policy, ranked_from=NEVER)
    for step in steps:
        assert step(ranked) == step(scanned)
        assert ranked.pick() == scanned.pick()


def test_a_thousand_workers_share_equally() -> None:
    group = Group("load", ranked_from=RoutingLimits().ranked_from)
    while group.joined < 1000:
        group.join()
    for worker in group.registry.live():
        group.prove(worker)
    for number in range(5000):
        group.pick()
        group.now += 0.0001
        group.end(0, "answered")
        if number % 100 == 0:
            group.pass_time(0.01)
    assert {worker.served for worker in group.registry.live()} == {5}


def test_one_that_left_is_not_picked() -> None:
    group = Group("load", ranked_from=1)
    first = group.pick()
    for worker in group.registry.live():
        if worker.generation != first:
            group.registry.drain(worker.generation, "it leaves", group.now)
    assert [worker.state for worker in group.registry.available] == [State.STARTING]
    assert group.pick() == first
