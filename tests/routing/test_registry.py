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
    rule,
)

from nodes.routing import (
    AddressHeld,
    GivenUp,
    LocalWorker,
    Phase,
    ProcessChange,
    ProcessEvent,
    Registry,
    State,
    Worker,
)
from nodes.routing.states import ENDS
from nodes.support.addresses import Address

PORTS = st.integers(1, 6)
INSTANCES = st.sampled_from("abcdef")
IDS = st.sampled_from(["", "w1", "w2", "north"])


class RegistryMachine(RuleBasedStateMachine):
    """Registers, probes, drains, loses and uses workers at random."""

    workers: Bundle[Worker] = Bundle("workers")
    calls: Bundle[Worker] = Bundle("calls")
    local: Bundle[str] = Bundle("local")

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, int]] = []
        self.registry = Registry(listener=self._note, random=Random(0))
        self.now = 0.0
        self.in_flight: dict[int, int] = {}
        self.served: dict[int, int] = {}
        self.ended: set[int] = set()
        self.given_up: set[str] = set()
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
        except GivenUp:
            assert instance in self.given_up
            return multiple()
        except AddressHeld as held:
            assert held.holder in holders
            assert str(address) in str(held)
            return multiple()
        assert not holders
        assert instance not in self.given_up
        kept = self.registry.local.get(wanted)
        if kept is not None and kept.instance != instance:
            assert worker.id != wanted, "it is kept for another process"
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
                assert f"missed {Registry.DOWN_AFTER} probes" in worker.why

    @rule(worker=workers)
    def drain(self, worker: Worker) -> None:
        self.registry.drain(worker.generation, "asked", self.now)
        assert worker.state in (State.DRAINING, State.DOWN)

    @rule(worker=workers)
    def lose(self, worker: Worker) -> None:
        self.registry.lost(worker.generation, "gone", self.now)
        assert self.registry.lost(worker.generation, "again", self.now) is None
        assert worker.state is State.DOWN

    @rule(target=calls, worker=workers)
    def begin(self, worker: Worker) -> MultipleResults[Worker] | Worker:
        if worker not in self.registry.available:
            return multiple()
        worker.began(self.now)
        self.in_flight[worker.generation] += 1
        return worker

    @rule(worker=consumes(calls), outcome=st.sampled_from(["answered", "failed", "released"]))
    def end(self, worker: Worker, outcome: str) -> None:
        self.in_flight[worker.generation] -= 1
        if outcome == "answered":
            self.served[worker.generation] += 1
            worker.answered(0.001, self.now)
        elif outcome == "failed":
            worker.failed(0.001, "boom", self.now)
        else:
            worker.released()

    @rule(target=local)
    def reserve(self) -> str:
        worker_id = self.registry.reserve(self.now)
        assert worker_id not in self.reserved
        held = self.registry.get(worker_id)
        assert held is None
        self.reserved.append(worker_id)
        return worker_id

    @rule(worker_id=local)
    def release(self, worker_id: str) -> None:
        self.registry.local.remove(worker_id)
        if worker_id in self.reserved:
            self.reserved.remove(worker_id)

    @rule(worker_id=local, change=st.sampled_from(ProcessChange), instance=INSTANCES)
    def report(self, worker_id: str, change: ProcessChange, instance: str) -> None:
        if change in (ProcessChange.REGISTERED, ProcessChange.CONNECTION_ENDED):
            return  # the registry's own to tell
        before = self.registry.local.get(worker_id)
        before_wanted = before is not None and before.wanted
        if before is not None and change is not ProcessChange.PREPARED:
            instance = before.instance
        elif self.registry.local.of_instance(instance) is not None:
            return  # no two processes have one secret
        self.registry.report(
            ProcessEvent(worker_id, change, "why", instance=instance, pid=7), self.now
        )
        after = self.registry.local.get(worker_id)
        assert (after is None) is (worker_id not in self.reserved)
        if after is not None and change in ENDS:
            self.given_up.add(instance)
            assert not [w for w in self.registry.live() if w.instance == instance]
        if after is not None and before is not None and not before_wanted:
            assert after.phase is Phase.STOPPING, "what is not wanted is never wanted again"

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
        assert len(down) <= Registry.MAX_TOMBSTONES
        assert all(self.now - w.since <= Registry.KEEP_TOMBSTONES_S for w in down)


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
    assert len(kept) == min(count, Registry.MAX_TOMBSTONES)
    assert kept[-1] == f"x{count - 1}"


def register(registry: Registry, name: str, instance: str = "") -> Worker:
    """The worker of that name, which is its instance as well unless told, registers at 0.0."""
    return registry.register(
        wanted_id=name,
        instance=instance or name,
        address=Address(name, 1),
        pid=7,
        version="v",
        now=0.0,
    )


def registry_with(*names: str) -> tuple[Registry, list[Worker]]:
    """A registry, and workers of those names."""
    registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(0))
    return registry, [register(registry, name) for name in names]


def test_a_process_that_ends_takes_no_other_of_the_same_pid_with_it() -> None:
    """As in another container, or on another machine."""
    registry, (here, elsewhere) = registry_with("here", "elsewhere")
    registry.local.add("here", 0.0)
    ended = ProcessEvent("here", ProcessChange.EXITED, "killed by SIGKILL", instance="here")
    assert registry.report(ended, 1.0) is here
    assert (here.live, elsewhere.live) == (False, True)
    assert registry.report(ended, 2.0) is None
    assert elsewhere.live


def test_a_worker_that_was_given_up_with_its_machine_does_not_come_back() -> None:
    """Another has its place by the time that its machine can be reached again."""
    registry, (worker,) = registry_with("w1")
    registry.local.add("w1", 0.0)
    lost = ProcessEvent("w1", ProcessChange.MACHINE_LOST, "north is lost", instance="w1")
    assert registry.report(lost, 1.0) is worker
    with pytest.raises(GivenUp):
        register(registry, "w1")
    assert not registry.live()


@pytest.mark.parametrize("connection_first", [True, False])
def test_what_an_operator_ends_is_told_of_as_that_and_not_as_lost(connection_first: bool) -> None:
    told: list[tuple[str, str]] = []
    registry = Registry(
        listener=lambda kind, _worker, text: told.append((kind, text)), random=Random(0)
    )
    worker = register(registry, "w1")
    registry.local.add("w1", 0.0)
    registry.report(ProcessEvent("w1", ProcessChange.KILLED, "by an operator"), 1.0)
    exited = ProcessEvent("w1", ProcessChange.EXITED, "killed by SIGKILL", instance="w1")
    if connection_first:
        registry.connection_ended(worker.generation, "its connection ended", 2.0)
    registry.report(exited, 3.0)
    assert told[1:] == [("left", "killed by an operator")]
    assert (worker.why, worker.live, worker.died) == ("killed by an operator", False, False)


P, C = Phase, ProcessChange


def test_a_death_is_an_end_that_nobody_wanted_and_is_forgotten_after_a_minute() -> None:
    local = LocalWorker(0.0)
    for at in (10.0, 20.0):
        local.change(ProcessEvent("w1", C.EXITED), at)
    for change in (C.REGISTERED, C.REPLACED, C.EXITED, C.KILLED, C.EXITED):
        local.change(ProcessEvent("w1", change), 30.0)
    assert [local.deaths_last_minute(now) for now in (30.0, 75.0, 95.0)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("changes", "phase", "expected", "restarts"),
    [
        ([], P.STARTING, True, 0),
        ([C.PREPARED, C.STARTED], P.STARTING, True, 0),
        ([C.PREPARED, C.STARTED, C.REGISTERED], P.RUNNING, False, 0),
        ([C.REGISTERED, C.CONNECTION_ENDED], P.RESTARTING, True, 0),
        ([C.REGISTERED, C.CONNECTION_ENDED, C.REGISTERED], P.RUNNING, False, 0),
        ([C.REGISTERED, C.EXITED], P.RESTARTING, True, 1),
        ([C.REGISTERED, C.EXITED, C.PREPARED, C.STARTED], P.STARTING, True, 1),
        ([C.REGISTERED, C.REPLACED], P.REPLACING, True, 0),
        ([C.REGISTERED, C.REPLACED, C.CONNECTION_ENDED], P.REPLACING, True, 0),
        ([C.REGISTERED, C.REPLACED, C.EXITED, C.PREPARED], P.STARTING, True, 1),
        ([C.EXITED_TOO_OFTEN], P.CRASH_LOOPING, False, 1),
        ([C.EXITED_TOO_OFTEN, C.REPLACED, C.PREPARED], P.STARTING, True, 1),
        ([C.REGISTERED, C.FROZEN], P.RUNNING, False, 0),
        ([C.REGISTERED, C.KILLED], P.STOPPING, False, 0),
        ([C.REGISTERED, C.ASKED_TO_LEAVE, C.EXITED], P.STOPPING, False, 0),
        ([C.STOPPED, C.PREPARED, C.REGISTERED, C.REPLACED], P.STOPPING, False, 0),
    ],
)
def test_what_a_local_workers_process_is(
    changes: list[ProcessChange], phase: Phase, expected: bool, restarts: int
) -> None:
    local = LocalWorker(0.0)
    for change in changes:
        local.change(ProcessEvent("w1", change, instance="a", pid=7), 1.0)
    assert (local.phase, local.expected(2.0), local.restarts) == (phase, expected, restarts)
    # One that is told to leave may take its time; all others are not waited for that long.
    assert local.expected(20.0) is (phase is P.REPLACING)


def test_what_a_supervisor_tells_reaches_the_registration() -> None:
    registry, _ = registry_with()
    registry.local.supervised = True
    assert registry.local.expected(0.0), "its first worker"
    registry.local.add("a", 0.0)
    registry.local.begin()
    local = registry.local.get("a")
    assert local is not None
    registry.report(ProcessEvent("a", ProcessChange.PREPARED, instance="a"), 1.0)
    worker = register(registry, "a")
    assert registry.connection_ended(worker.generation, "EOF", 2.0) is worker
    assert local.phase is Phase.RESTARTING
    awaits_word: bool | None = worker.died
    assert awaits_word is None, "its supervisor will tell"
    registry.report(ProcessEvent("a", ProcessChange.EXITED, "SIGSEGV", instance="a"), 3.0)
    assert worker in registry.deaths.latest
    assert worker.why == "SIGSEGV"
    assert registry.local.wanted == 1
    registry.report(ProcessEvent("a", ProcessChange.STOPPED), 4.0)
    assert registry.local.wanted == 0


def test_one_that_is_asked_to_leave_is_sent_no_more_lookups() -> None:
    registry, [stays, leaves] = registry_with("a", "b")
    registry.local.add("b", 0.0)
    registry.report(ProcessEvent("b", ProcessChange.ASKED_TO_LEAVE, "by an operator"), 1.0)
    assert registry.available == (stays,)
    assert (leaves.state, leaves.why) == (State.DRAINING, "by an operator")


def test_those_that_are_gone_are_forgotten_and_their_ids_can_be_had_again() -> None:
    registry, [stays, leaves, dies] = registry_with("a", "b", "c")
    registry.local.add("c", 0.0)
    registry.lost(leaves.generation, "EOF", 1.0)
    registry.lost(dies.generation, "EOF", 1.0)
    assert not registry.reserve_again("a", 2.0), "it lives"
    assert not registry.reserve_again("c", 2.0), "it is about to come"
    assert registry.forget_gone() == ["b"]
    assert [worker.id for worker in registry] == ["a", "c"]
    assert registry.forget_gone() == []
    registry.local.remove("c")
    assert registry.reserve_again("c", 3.0)
    registry.report(ProcessEvent("c", ProcessChange.PREPARED, instance="new"), 3.0)
    assert register(registry, "c", instance="new").id == "c"
    assert registry.live() == [stays, registry.get("c")]
