"""The registry against a plain model, whatever happens in whatever order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from nodes.routing import Address, AddressHeld, Registry, State, Worker

PORTS = st.integers(1, 6)
INSTANCES = st.sampled_from("abcdef")
IDS = st.sampled_from(["", "w1", "w2", "north"])


class RegistryMachine(RuleBasedStateMachine):
    """Registers, probes, drains, loses and uses workers at random."""

    workers: Bundle[Worker] = Bundle("workers")
    calls: Bundle[Worker] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, int]] = []
        self.registry = Registry(listener=self._note, random=Random(0))
        self.now = 0.0
        self.in_flight: dict[int, int] = {}
        self.served: dict[int, int] = {}
        self.ended: set[int] = set()
        self.reserved: list[str] = []
        self.newest = 0

    def _note(self, kind: str, worker: Worker, _text: str) -> None:
        self.events.append((kind, worker.generation))
        if kind in ("lost", "left"):
            assert worker.generation not in self.ended
            self.ended.add(worker.generation)

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.registry.purge(self.now)

    @rule(target=workers, port=PORTS, instance=INSTANCES, wanted=IDS)
    def register(self, port: int, instance: str, wanted: str) -> MultipleResults[Worker] | Worker:
        address = Address("127.0.0.1", port)
        live = self.registry.live()
        holders = [w for w in live if w.address == address and w.instance != instance]
        try:
            worker = self.registry.register(
                wanted_id=wanted,
                instance=instance,
                address=address,
                pid=ord(instance),
                version="v",
                now=self.now,
            )
        except AddressHeld as held:
            assert held.holder in holders
            assert str(address) in str(held)
            return multiple()
        assert not holders
        assert worker.generation > self.newest
        assert worker.state is State.STARTING
        self.newest = worker.generation
        self.in_flight[worker.generation] = self.served[worker.generation] = 0
        return worker

    @rule(worker=workers, good=st.booleans())
    def probe(self, worker: Worker, good: bool) -> None:
        before, misses = worker.state, worker.misses
        if good:
            self.registry.probe_answered(
                worker.generation, version="v2", cpu=1.0, memory=5, now=self.now
            )
            if before is not State.DOWN:
                assert worker.misses == 0
                assert worker.state is (State.DRAINING if before is State.DRAINING else State.UP)
        else:
            self.registry.probe_missed(worker.generation, "late", self.now)
            if before is not State.DOWN and misses + 1 >= Registry.DOWN_AFTER:
                assert worker.state is State.DOWN
                assert "missed 3 probes" in worker.why

    @rule(worker=workers)
    def drain(self, worker: Worker) -> None:
        self.registry.drain(worker.generation, "asked", self.now)
        assert worker.state in (State.DRAINING, State.DOWN)

    @rule(worker=workers)
    def lose(self, worker: Worker) -> None:
        self.registry.lost(worker.generation, "gone", self.now)
        assert self.registry.lost(worker.generation, "again", self.now) is None
        assert worker.state is State.DOWN

    @rule(worker=workers)
    def exit(self, worker: Worker) -> None:
        # Of one process, the live registration is the one that ends; one that it replaced
        # keeps its own reason.
        replaced = any(
            w.instance == worker.instance and w is not worker for w in self.registry.live()
        )
        self.registry.exited(worker.instance, "killed by SIGKILL", self.now)
        if self.registry.get(worker.id) is worker and not replaced:
            assert worker.why == "killed by SIGKILL"

    @rule(target=calls, worker=workers)
    def begin(self, worker: Worker) -> MultipleResults[Worker] | Worker:
        if worker not in self.registry.available:
            return multiple()
        self.registry.began(worker, self.now)
        self.in_flight[worker.generation] += 1
        return worker

    @rule(worker=consumes(calls), outcome=st.sampled_from(["answered", "failed", "released"]))
    def end(self, worker: Worker, outcome: str) -> None:
        self.in_flight[worker.generation] -= 1
        if outcome == "answered":
            self.served[worker.generation] += 1
            self.registry.answered(worker, 0.001, self.now)
        elif outcome == "failed":
            self.registry.failed(worker, 0.001, "boom", self.now)
        else:
            self.registry.released(worker)

    @rule()
    def reserve(self) -> None:
        worker_id = self.registry.reserve()
        assert worker_id not in self.reserved
        assert self.registry.get(worker_id) is None
        self.reserved.append(worker_id)

    @precondition(lambda self: self.reserved)
    @rule()
    def release(self) -> None:
        self.registry.release(self.reserved.pop())

    @invariant()
    def counts_are_the_models(self) -> None:
        for worker in self.registry:
            assert worker.in_flight == self.in_flight[worker.generation] >= 0
            assert worker.served == self.served[worker.generation]

    @invariant()
    def live_ones_differ_and_nobody_down_is_available(self) -> None:
        live = self.registry.live()
        assert len({w.id for w in live}) == len(live)
        assert len({w.address for w in live}) == len(live)
        assert len({w.instance for w in live}) == len(live)
        for worker in self.registry.available:
            assert worker.state not in (State.DOWN, State.DRAINING)
        assert {w.generation for w in live}.isdisjoint(self.ended)

    @invariant()
    def tombstones_are_few(self) -> None:
        self.registry.purge(self.now)
        down = [worker for worker in self.registry if not worker.live]
        assert len(down) <= Registry.MOST_TOMBSTONES
        assert all(self.now - w.since <= Registry.KEEP_TOMBSTONES for w in down)


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_thawed_worker_is_up_after_one_good_probe() -> None:
    registry = Registry(listener=lambda _k, _w, _t: None, random=Random(0))
    worker = registry.register(
        wanted_id="", instance="a", address=Address("::1", 7), pid=1, version="v", now=0.0
    )
    registry.probe_missed(worker.generation, "late", 1.0)
    registry.probe_missed(worker.generation, "late", 2.0)
    assert worker.state is State.SUSPECT
    registry.probe_answered(worker.generation, version="v", cpu=0.0, memory=0, now=3.0)
    assert (worker.state, worker.misses, worker.why) == (State.UP, 0, "")
    assert str(worker.address) == "[::1]:7"


@pytest.mark.parametrize("count", [1, 300])
def test_many_tombstones_are_forgotten_oldest_first(count: int) -> None:
    registry = Registry(listener=lambda _k, _w, _t: None, random=Random(0))
    for number in range(count):
        worker = registry.register(
            wanted_id=f"x{number}",
            instance=str(number),
            address=Address("h", number),
            pid=number,
            version="v",
            now=float(number) / 1000,
        )
        registry.lost(worker.generation, "gone", float(number) / 1000)
    registry.purge(1.0)
    kept = [worker.id for worker in registry]
    assert len(kept) == min(count, Registry.MOST_TOMBSTONES)
    assert kept[-1] == f"x{count - 1}"


def test_a_process_that_ends_takes_no_other_of_the_same_pid_with_it() -> None:
    """As in another container, or on another machine."""
    registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(0))
    here, elsewhere = (
        registry.register(
            wanted_id=name, instance=name, address=Address(host, 1), pid=7, version="v", now=0.0
        )
        for name, host in (("here", "127.0.0.1"), ("direct", "10.0.0.2"))
    )
    assert registry.exited("here", "killed by SIGKILL", 1.0) is here
    assert (here.live, elsewhere.live) == (False, True)
    assert registry.exited("here", "killed by SIGKILL", 2.0) is None
    assert elsewhere.live
