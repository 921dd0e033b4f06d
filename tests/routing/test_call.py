"""The call policy, as tables: what has happened at which time, and what the call does next."""

from __future__ import annotations

import math
from random import Random

import msgspec
import pytest

from nodes.errors import BadRequest, DeadlineExceeded, LookupFailed, NoWorkers, StoreDown
from nodes.routing import (
    POLICIES,
    Ask,
    CallState,
    Registry,
    Router,
    RoutingLimits,
    Worker,
)
from nodes.support.addresses import Address

DEADLINE_S = 4.0
LIMITS = RoutingLimits(hedge_floor_s=0.25, attempt_timeout_s=1.0, round_pause_s=0.125)
"""Like all times here, such that their sums are exact."""

NO_HEDGES = msgspec.structs.replace(LIMITS, hedge_share=0.0, hedge_burst=0.0)
NO_RETRIES = msgspec.structs.replace(LIMITS, retry_share=0.0, retry_burst=0.0, retry_per_s=0.0)

Outcome = str | float | type[LookupFailed]
"""The worker that is asked, the second until which it waits, or the error that ends it."""

Step = tuple[float, str, Outcome]
"""A time in seconds, what happens then ("" or a worker and a verb), and what the call does next."""


class CallHarness:
    """One call over workers named a, b, c, ...; of equals, the first is picked."""

    def __init__(self, workers: str, limits: RoutingLimits = LIMITS) -> None:
        self.expecting = False
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        self.router = Router(registry=self.registry, policy=POLICIES["load"], limits=limits)
        self.workers = {name: self._join(name) for name in workers}
        self.call = CallState(self.router, DEADLINE_S, counted=True)

    def _join(self, name: str) -> Worker:
        worker = self.registry.register(
            wanted_id=name,
            instance=name,
            address=Address("10.0.0.1", ord(name)),
            pid=1,
            version="v",
            now=0.0,
        )
        self.registry.probe_answered(worker.generation, version="v", cpu=0.0, memory=0, now=0.0)
        worker.served = worker.head_start = ord(name)
        return worker

    def happens(self, event: str, now: float) -> None:
        """Tells the call of an event."""
        name, _, verb = event.partition(" ")
        if verb == "fails":
            self.call.failed(self.workers[name], "broken", now)
        elif verb == "breaks":
            self.call.failed(self.workers[name], "its connection ended", now, broke=True)
        elif verb == "has no store":
            self.call.store_failed(self.workers[name], "the store cannot be reached", now)
        elif verb == "is probed":
            self._probe(self.workers[name], now)
        elif verb == "is in trouble":
            self._probe(self.workers[name], now, trouble="cannot be reached")
        elif verb == "refuses":
            self.call.refused(self.workers[name], "the year is wrong", now)
        else:
            assert not event

    def _probe(self, worker: Worker, now: float, trouble: str = "") -> None:
        worker.in_store = True
        self.registry.probe_answered(
            worker.generation, version="v", cpu=0.0, memory=0, now=now, trouble=trouble
        )

    def next(self, now: float) -> Outcome:
        """What the call does now."""
        self.call.expired(now)
        try:
            action = self.call.next_action(now, expecting=lambda: self.expecting)
        except LookupFailed as error:
            return type(error)
        return action.worker.id if isinstance(action, Ask) else action.at


def run(harness: CallHarness, steps: list[Step]) -> None:
    """Takes the steps, and compares what follows from each."""
    for now, event, expected in steps:
        harness.happens(event, now)
        found = harness.next(now)
        assert found == expected, (now, event)


@pytest.mark.parametrize(
    ("workers", "steps"),
    [
        pytest.param("ab", [(0.0, "", "a"), (0.125, "", 0.25)], id="the first is asked"),
        pytest.param("ab", [(0.0, "", "a"), (0.125, "a fails", "b")], id="a failure is rerouted"),
        pytest.param(
            "a",
            [(0.0, "", "a"), (0.5, "a fails", 0.625), (0.5625, "", 0.625), (0.625, "", "a")],
            id="a second round, after a pause",
        ),
        pytest.param(
            "abcd",
            [(0.0, "", "a"), (0.25, "", "b"), (0.375, "", 0.5), (0.5, "", "c"), (0.75, "", 1.0)],
            id="two hedges, and no third",
        ),
        pytest.param(
            "abcd",
            [(0.0, "", "a"), (0.25, "", "b"), (0.5, "", "c"), (0.875, "b fails", "d")],
            id="a hedge takes the place of one that failed",
        ),
        pytest.param(
            "ab",
            [
                (0.0, "", "a"),
                (0.25, "", "b"),
                (0.5, "", 1.0),
                (1.0, "", 1.25),
                (1.25, "", 1.375),
                (4.0, "", DeadlineExceeded),
            ],
            id="the last attempt is kept beyond its time",
        ),
        pytest.param("a", [(0.0, "", "a"), (4.0, "", DeadlineExceeded)], id="a silent worker"),
        pytest.param("", [(0.0, "", NoWorkers)], id="nobody is there"),
        pytest.param(
            "a", [(0.0, "", "a"), (0.1, "a refuses", BadRequest)], id="one refusal of one"
        ),
        pytest.param(
            "abc",
            [(0.0, "", "a"), (0.125, "a refuses", "b"), (0.25, "b refuses", BadRequest)],
            id="two refusals of three",
        ),
        pytest.param(
            "ab",
            [(0.0, "", "a"), (0.125, "a refuses", "b"), (0.25, "b fails", BadRequest)],
            id="a refusal that nobody else can confirm",
        ),
        pytest.param(
            "abc",
            [(0.0, "", "a"), (0.125, "a breaks", "b"), (0.375, "", 1.125)],
            id="what may be deadly is not hedged",
        ),
        pytest.param(
            "abc",
            [(0.0, "", "a"), (0.125, "a has no store", "b"), (0.25, "b has no store", StoreDown)],
            id="a store that two do not reach",
        ),
        pytest.param("a", [(0.0, "", "a"), (0.1, "a has no store", StoreDown)], id="one of one"),
        pytest.param(
            "ab",
            [(0.0, "", "a"), (0.1, "b is in trouble", 0.25), (0.125, "a has no store", StoreDown)],
            id="one that does not reach the store either is not asked",
        ),
        pytest.param(
            "ab",
            [(0.0, "", "a"), (0.125, "b is in trouble", 0.25), (0.25, "", 1.0)],
            id="a store in trouble is not asked the same twice",
        ),
        pytest.param(
            "ab",
            [(0.0, "", "a"), (0.25, "", "b"), (0.375, "a has no store", 1.25)],
            id="one does not reach the store, and another is at it",
        ),
        pytest.param(
            "a",
            [(0.0, "", "a"), (1.0, "a is in trouble", 1.125), (4.0, "", StoreDown)],
            id="a store that was not heard of in time",
        ),
        pytest.param(
            "ab",
            [
                (0.0, "", "a"),
                (0.125, "b is in trouble", 0.25),
                (0.75, "a is probed", 1.0),
                (1.0, "", 1.125),
                (1.5, "a is probed", 1.625),
                (2.625, "", 2.75),
                (2.75, "b is probed", "b"),
            ],
            id="one that waits for its store is given up only once it is silent",
        ),
    ],
)
def test_what_a_call_does_next(workers: str, steps: list[Step]) -> None:
    run(CallHarness(workers), steps)


@pytest.mark.parametrize(
    ("limits", "workers", "steps"),
    [
        pytest.param(
            NO_HEDGES,
            "ab",
            [(0.0, "", "a"), (0.25, "", 1.0), (1.0, "", "b")],
            id="without hedges, the attempt's time decides",
        ),
        pytest.param(
            NO_RETRIES,
            "a",
            [(0.0, "", "a"), (0.25, "a fails", 0.375), (0.375, "", 0.5)],
            id="without retries, there is no second round",
        ),
        pytest.param(
            NO_RETRIES,
            "ab",
            [(0.0, "", "a"), (0.25, "a fails", "b")],
            id="a failure is rerouted all the same",
        ),
        pytest.param(
            NO_RETRIES,
            "ab",
            [(0.0, "", "a"), (0.25, "a has no store", StoreDown)],
            id="a store costs no more than the budget",
        ),
    ],
)
def test_what_a_call_does_within_its_budgets(
    limits: RoutingLimits, workers: str, steps: list[Step]
) -> None:
    run(CallHarness(workers, limits), steps)


def test_it_waits_for_a_worker_that_is_expected() -> None:
    harness = CallHarness("")
    harness.expecting = True
    run(harness, [(0.0, "", DEADLINE_S), (DEADLINE_S, "", NoWorkers)])


def test_a_page_of_a_version_is_asked_of_a_worker_that_has_it() -> None:
    harness = CallHarness("abc")
    harness.workers["b"].version = "old"
    for version, asked in (("old", "b"), ("older", "a")):
        harness.call = CallState(harness.router, DEADLINE_S, counted=True, version=version)
        run(harness, [(0.0, "", asked)])
        harness.call.abandon(0.0)


def test_an_answer_ends_the_call_and_the_others_are_abandoned() -> None:
    harness = CallHarness("ab")
    run(harness, [(0.0, "", "a"), (0.25, "", "b")])
    slow, quick = harness.workers.values()
    before = quick.served
    harness.call.answered(quick, 0.375)
    assert harness.call.abandon(0.375) == [slow]
    assert (slow.in_flight, slow.errors, slow.late) == (0, 0, True)
    assert (quick.in_flight, quick.served, quick.late) == (0, before + 1, False)
    assert (harness.call.attempts, harness.router.hedges, harness.router.reroutes) == (2, 1, 0)


def test_with_nothing_to_decide_but_the_deadline_it_waits_for_that() -> None:
    harness = CallHarness("a", RoutingLimits(attempt_timeout_s=math.inf))
    run(harness, [(0.0, "", "a"), (0.25, "", DEADLINE_S)])


def test_a_deadline_names_what_failed_before_as_well_as_who_is_silent() -> None:
    s = CallHarness("a", NO_HEDGES)
    assert isinstance(s.call.next_action(0.0, expecting=lambda: False), Ask)
    s.call.failed(s.workers["a"], "boom", 0.5)
    s.call.next_action(0.5, expecting=lambda: False)
    assert isinstance(s.call.next_action(1.0, expecting=lambda: False), Ask)
    with pytest.raises(DeadlineExceeded, match="last: a: no answer yet, and before a: boom"):
        s.call.next_action(DEADLINE_S, expecting=lambda: False)


def test_a_call_remembers_what_became_of_its_attempts() -> None:
    harness = CallHarness("abcd")
    steps = [
        (0.0, "", "a"),
        (0.125, "a fails", "b"),
        (0.375, "", "c"),
        (0.5, "b refuses", 0.625),
        (0.625, "", "d"),
        (1.375, "", 1.5),
    ]
    for now, event, _ in steps:
        harness.happens(event, now)
        harness.next(now)
    call, workers = harness.call, harness.workers
    call.answered(workers["d"], 1.5)
    call.abandon(1.5)
    assert [(one.worker, one.began, one.ended, one.outcome.value) for one in call.past] == [
        ("a", 0.0, 0.125, "failed"),
        ("b", 0.125, 0.5, "refused"),
        ("c", 0.375, 1.375, "timed out"),
        ("d", 0.625, 1.5, "answered"),
    ]
