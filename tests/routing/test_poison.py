"""Which deaths count against a lookup: cases of one lookup that was at one worker after another."""

from __future__ import annotations

from random import Random

import pytest

from nodes.errors import PoisonLookup
from nodes.routing import (
    POLICIES,
    Ask,
    CallState,
    ProcessChange,
    ProcessEvent,
    Registry,
    Router,
    RoutingLimits,
    WaitUntil,
    Worker,
)
from nodes.support.addresses import Address

DEATH_NOTICE_S = 0.1


class Case:
    """A lookup of ten seconds, four workers (two on each of two machines), and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        self.router = Router(
            registry=self.registry,
            policy=POLICIES["load"],
            limits=RoutingLimits(death_notice_s=DEATH_NOTICE_S),
        )
        self.workers = [self.join(f"10.0.0.{1 + number % 2}") for number in range(4)]
        self.call = CallState(self.router, self.now + 10.0, counted=True)
        self.now += 1.0

    def join(self, host: str) -> Worker:
        """One more worker, on that machine."""
        port = 1000 + sum(1 for _ in self.registry)
        return self.registry.register(
            wanted_id="",
            instance=str(port),
            address=Address(host, port),
            pid=1,
            version="v",
            now=self.now,
        )

    def send(self) -> Worker:
        """It is sent to the next worker, which proves to be alive first if it must."""
        worker = self.asked()
        if self.call.must_prove(worker):
            self.now += 0.0005
            worker.alive_at = self.now
        self.now += 0.0005
        return worker

    def asked(self) -> Worker:
        """The worker that it is to be sent to now."""
        action = self.call.next_action(self.now)
        assert isinstance(action, Ask)
        return action.worker

    def breaks(self, worker: Worker) -> None:
        """The connection with the lookup on it ends."""
        self.call.failed(worker, "connection ended", self.now, broke=True)

    def die(self, worker: Worker, *, died: bool | None = True) -> None:
        """Its process ends, and the registration with it."""
        self.registry.lost(worker.generation, "killed", self.now, died=died)

    def report(self, worker: Worker, change: ProcessChange, why: str = "") -> None:
        """The supervisor of that worker says what happened to its process."""
        self.registry.local.add(worker.id, self.now)
        event = ProcessEvent(worker.id, change, why, instance=worker.instance)
        self.registry.report(event, self.now)

    def killed(self) -> Worker:
        """It is sent to the next worker, which dies of it."""
        worker = self.send()
        self.die(worker)
        self.breaks(worker)
        return worker

    def goes_on(self) -> bool:
        """Whether it is sent to another worker, now or when it is known who died."""
        action = self.call.next_action(self.now)
        if isinstance(action, WaitUntil):
            assert action.at <= self.now + DEATH_NOTICE_S
            self.now = action.at
            action = self.call.next_action(self.now)
        return isinstance(action, Ask)


def test_two_that_die_one_after_the_other_are_enough() -> None:
    case = Case()
    first, second = case.killed(), case.killed()
    with pytest.raises(PoisonLookup, match=f"{first.id} and {second.id} died"):
        case.call.next_action(case.now)


def test_one_is_not() -> None:
    case = Case()
    case.killed()
    assert case.goes_on()


def test_a_worker_has_to_prove_to_be_alive_only_after_a_death() -> None:
    case = Case()
    first = case.send()
    assert not case.call.must_prove(first)
    case.die(first)
    case.breaks(first)
    assert case.call.must_prove(case.asked())


def test_an_answer_asked_for_since_is_proof_and_one_asked_for_before_is_none() -> None:
    case = Case()
    other = case.workers[1]
    for seconds, proved in ((0.5, False), (0.01, True)):
        other.began(case.now)
        if not proved:
            case.killed()
            assert case.call.must_prove(other)
            case.now += 0.1
        other.answered(seconds, case.now)
        assert case.call.must_prove(other) is not proved


def test_one_that_died_before_it_could_prove_anything_does_not_count() -> None:
    case = Case()
    case.killed()
    second = case.asked()
    case.die(second)  # together with the first; what is sent to it finds nobody
    case.call.failed(second, "cannot be reached", case.now)
    assert case.goes_on()


def test_two_hedged_at_once_do_not_add_up() -> None:
    case = Case()
    first = case.send()
    case.now += 0.06
    second = case.asked()
    for worker in (first, second):
        case.die(worker)
        case.breaks(worker)
    assert case.goes_on()


def test_one_that_may_be_deadly_is_not_hedged() -> None:
    case = Case()
    case.killed()
    case.send()
    case.now += 0.2
    assert isinstance(case.call.next_action(case.now), WaitUntil)


def test_while_others_die_as_well_it_takes_a_third() -> None:
    case = Case()
    bystander = case.workers[3]
    case.killed()
    case.die(bystander)
    case.killed()
    assert case.goes_on()


def test_and_not_a_fourth() -> None:
    case = Case()
    case.join("10.0.0.2")
    case.killed()
    case.die(case.workers[3])
    case.killed()
    case.killed()
    with pytest.raises(PoisonLookup):
        case.call.next_action(case.now)


def test_what_died_long_before_has_nothing_to_do_with_it() -> None:
    case = Case()
    case.die(case.workers[3])
    case.now += 1.5
    case.killed()
    case.killed()
    with pytest.raises(PoisonLookup):
        case.call.next_action(case.now)


def test_the_end_of_a_machine_is_one_death() -> None:
    case = Case()
    first, other, second, another = case.workers
    other.late = another.late = True  # asked last
    assert [case.killed(), case.killed()] == [first, second]
    assert case.goes_on()


def test_an_operators_hand_does_not_count() -> None:
    case = Case()
    for worker in case.workers[:2]:
        case.report(worker, ProcessChange.KILLED)
    case.killed()
    case.killed()
    assert case.goes_on()


@pytest.mark.parametrize("draining", [True, False])
def test_one_that_leaves_or_is_given_up_did_not_die(draining: bool) -> None:
    case = Case()
    for _ in range(2):
        worker = case.send()
        if draining:
            case.registry.drain(worker.generation, "it leaves", case.now)
        case.die(worker, died=draining)
        case.breaks(worker)
    assert case.goes_on()


def test_a_connection_that_ends_is_no_death_whatever_becomes_of_the_worker_later() -> None:
    case = Case()
    for _ in range(2):
        case.breaks(case.send())
    case.now += 2 * DEATH_NOTICE_S
    for worker in case.workers[:2]:
        case.die(worker)
    assert case.goes_on()


def test_the_word_of_a_death_is_waited_for_a_moment() -> None:
    case = Case()
    for _ in range(2):
        worker = case.send()
        case.die(worker, died=None)  # its connection ended: its launcher will tell
        case.breaks(worker)
    action = case.call.next_action(case.now)
    assert isinstance(action, WaitUntil)
    assert action.at == pytest.approx(case.now + DEATH_NOTICE_S)
    for worker in case.workers[:2]:
        case.report(worker, ProcessChange.EXITED, "killed by SIGKILL")
    with pytest.raises(PoisonLookup):
        case.call.next_action(case.now)
