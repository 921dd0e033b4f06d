"""One lookup's life, over real sockets to small workers that fail in every way."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from nodes.dispatch.dispatcher import AT_ONCE, Dispatcher
from nodes.errors import BadRequest, DeadlineExceeded, NoWorkers, PoisonLookup
from nodes.routing import POLICIES, Address, Registry, Router, RoutingLimits, State, Worker
from nodes.routing.worker import Listener
from nodes.transport import Server, Service
from nodes.wire import MAX_REFUSAL_CHARS, answer_part
from tests.kit import PATIENCE, poll_for

Verb = Callable[..., object]


def good(*_args: object) -> bytes:
    """Answers."""
    return answer_part(b"[]", count=0, after=None, catalog="v", files=())


class DispatcherHarness:
    """A dispatcher, and workers that are servers of this process."""

    def __init__(
        self,
        *,
        expecting: Callable[[], bool] = lambda: False,
        listener: Listener = lambda _k, _w, _t: None,
        **limits: float,
    ) -> None:
        self.registry = Registry(listener=listener, random=Random(0))
        self.router = Router(
            registry=self.registry, policy=POLICIES["load"], limits=RoutingLimits(**limits)
        )
        self.dispatcher = Dispatcher(router=self.router, expecting=expecting)
        self.changed = self.dispatcher.changed
        self.servers: dict[int, Server] = {}
        self.asked: list[str] = []

    def worker(self, name: str, verb: Verb, *, served: int = 0) -> Worker:
        """A worker that is up. Among equals, the one with the fewest `served` is asked first."""
        harness = self

        class OneVerb(Service):
            def verb(self, asked: str) -> Verb | None:
                if asked == "probe":
                    return lambda: "alive"

                def counted(*args: object) -> object:
                    harness.asked.append(name)
                    return verb(*args)

                return counted

        server = Server(OneVerb, name=name)
        server.start()
        with self.changed:
            worker = self.registry.register(
                wanted_id=name,
                instance=name,
                address=Address(*server.address),
                pid=1,
                version="v",
                now=0.0,
            )
            self.registry.probe_answered(worker.generation, version="v", cpu=0.0, memory=0, now=0.0)
            worker.served = served
            self.dispatcher.joined(worker)
            self.changed.notify_all()
        self.servers[worker.generation] = server
        return worker

    def lose(self, worker: Worker, *, died: bool = False) -> None:
        """Its registration ends, maybe as its process has died."""
        with self.changed:
            self.registry.lost(worker.generation, "gone", time.monotonic(), died=died)
            self.changed.notify_all()
        self.dispatcher.left(worker.generation)

    def call(self, timeout: float = PATIENCE) -> str:
        """Asks; returns who answered."""
        return self.dispatcher.call("lookup", lambda _left: ("getbyname",), timeout=timeout).worker

    def close(self) -> None:
        """Ends all of it."""
        self.dispatcher.close()
        for server in self.servers.values():
            server.stop()


@contextmanager
def dispatching(**options: Any) -> Iterator[DispatcherHarness]:
    """A harness; after it, nothing is in flight."""
    made = DispatcherHarness(**options)
    try:
        yield made
        assert [worker.in_flight for worker in made.registry] == [0] * len(made.servers)
    finally:
        made.close()


def test_an_answer_is_counted() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        answer = s.dispatcher.call("lookup", lambda _left: (), timeout=PATIENCE)
        assert (answer.worker, answer.attempts, answer.part) == ("a", 1, good())
        assert (worker.served, worker.errors) == (1, 0)


def test_one_that_is_not_counted_is_not() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        s.dispatcher.call("suggest", lambda _left: (), timeout=PATIENCE, counted=False)
        assert (worker.served, worker.errors) == (0, 0)


def wrong(*_args: object) -> object:
    """Finds the request wrong."""
    return ("bad_request", "the year is wrong")


def test_two_workers_must_refuse_a_request_and_neither_is_blamed() -> None:
    with dispatching() as s:
        workers = [
            s.worker("a", wrong),
            s.worker("b", wrong, served=5),
            s.worker("c", good, served=9),
        ]
        with pytest.raises(BadRequest, match="the year is wrong"):
            s.call()
        assert s.asked == ["a", "b"]
        assert [(worker.errors, worker.breaker.open) for worker in workers] == [(0, False)] * 3


def test_the_refusal_of_the_only_worker_is_enough() -> None:
    with dispatching() as s:
        s.worker("a", wrong)
        with pytest.raises(BadRequest, match="the year is wrong"):
            s.call()


def test_one_that_alone_finds_a_request_wrong_is_not_believed() -> None:
    with dispatching() as s:
        worker = s.worker("a", wrong)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert (worker.errors, worker.served) == (0, 0)


def test_the_second_opinion_is_that_of_another_catalog_if_there_is_one() -> None:
    with dispatching() as s:
        s.worker("a", wrong)
        s.worker("b", wrong, served=5)
        s.worker("c", good, served=9).version = "next"
        assert s.call() == "c"
        assert s.asked == ["a", "c"]


def test_a_refusal_is_short_and_can_be_shown() -> None:
    with dispatching() as s:
        s.worker("a", lambda *_: ("bad_request", "the year\x1b[2J " + "x" * 5000))
        with pytest.raises(BadRequest, match=r"the year\\x1b\[2J xxx") as caught:
            s.call()
        assert len(caught.value.message) == MAX_REFUSAL_CHARS
        assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda *_: ("internal", "my secret"), "a: answered with an error of its own: internal"),
        (lambda *_: b"my secret", "a: answered with something else than an answer"),
        (lambda *_: 1 / 0, "a: refused the call"),
    ],
)
def test_nobody_hears_a_worker_s_own_words(bad: Verb, said: str) -> None:
    told: list[str] = []
    with dispatching(listener=lambda _kind, _worker, text: told.append(text)) as s:
        s.worker("a", bad)
        with pytest.raises(DeadlineExceeded) as caught:
            s.call(timeout=0.3)
        assert str(caught.value).endswith(said)
        assert said.removeprefix("a: ") in told, "the event of its breaker"
        assert not [text for text in [str(caught.value), *told] if "secret" in text]


@pytest.mark.parametrize(
    "bad",
    [
        lambda *_: ("internal", "the catalog cannot be read"),
        lambda *_: "garbage",
        lambda *_: ("no such code", "x"),
        lambda *_: b"not an answer",
        lambda *_: good() + b',"worker":"another"',
        lambda *_: ("forbidden", "says the worker"),
        lambda *_: ("no_workers", "says the worker"),
        lambda *_: None,
        lambda *_: 1 / 0,
    ],
    ids=[
        "internal",
        "text",
        "unknown code",
        "bytes",
        "forged",
        "forbidden",
        "no workers",
        "nothing",
        "exception",
    ],
)
def test_a_worker_that_fails_is_blamed_and_another_answers(bad: Verb) -> None:
    with dispatching() as s:
        worker = s.worker("a", bad)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert (worker.served, worker.errors) == (0, 1)
        assert s.router.reroutes == 1


def test_a_worker_that_is_not_there_is_rerouted() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        s.worker("b", good, served=5)
        s.servers[worker.generation].stop()
        assert s.call() == "b"


def test_a_silent_worker_is_given_up_after_its_attempt() -> None:
    over = threading.Event()
    with dispatching(attempt_timeout_s=0.05) as s:
        s.worker("a", lambda *_: over.wait(PATIENCE))
        s.worker("b", good, served=5)
        assert s.call() == "b"
        over.set()


def test_a_silent_worker_is_hedged_long_before() -> None:
    over = threading.Event()
    with dispatching() as s:
        silent = s.worker("a", lambda *_: over.wait(PATIENCE))
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert (s.router.hedges, s.router.reroutes) == (1, 0)
        assert (silent.errors, silent.late, silent.breaker.open) == (0, True, False)
        over.set()


def test_hedges_beyond_the_budget_wait_for_the_attempt() -> None:
    over = threading.Event()
    with dispatching(attempt_timeout_s=0.2) as s:
        silent = s.worker("a", lambda *_: over.wait(PATIENCE))
        s.worker("b", good, served=5)
        while s.router.hedging.spend(0.0):
            pass
        assert s.call() == "b"
        assert (s.router.hedges, s.router.reroutes, silent.errors) == (0, 1, 1)
        over.set()


def test_the_first_who_answers_wins_and_the_other_lane_is_closed() -> None:
    over = threading.Event()
    answers = iter([True])

    def late_once(*_args: object) -> object:
        if next(answers, False):
            over.wait(PATIENCE)
        return good()

    with dispatching() as s:
        s.worker("a", late_once)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert s.call() == "b", "the one that was late is asked last"
        over.set()
        for _ in range(8):
            s.call()
        assert s.asked.count("a") == 1


def test_what_is_left_of_the_time_travels_along() -> None:
    left: list[float] = []
    with dispatching() as s:

        def noting(seconds: float) -> object:
            left.append(seconds)
            return good()

        s.worker("a", lambda _: ("internal", "no"))
        s.worker("b", noting, served=5)
        s.dispatcher.call("lookup", lambda seconds: (seconds,), timeout=1.5)
    assert 0.0 < left[0] < 1.5


def test_a_page_of_a_version_is_asked_of_who_has_it() -> None:
    with dispatching() as s:
        s.worker("a", good)
        old = s.worker("b", good, served=5)
        old.version = "old"
        call = s.dispatcher.call
        assert call("lookup", lambda _: (), timeout=PATIENCE, version="old").worker == "b"
        assert call("lookup", lambda _: (), timeout=PATIENCE, version="older").worker == "a"


def test_when_all_are_silent_the_deadline_says_so() -> None:
    over = threading.Event()
    with dispatching(attempt_timeout_s=0.05) as s:
        s.worker("a", lambda *_: over.wait(PATIENCE))
        with pytest.raises(DeadlineExceeded, match=r"a: no answer yet"):
            s.call(timeout=0.2)
        over.set()


def test_one_that_is_lost_while_it_answers_is_rerouted_at_once() -> None:
    over, asked = threading.Event(), threading.Event()

    def hang(*_args: object) -> object:
        asked.set()
        over.wait(PATIENCE)
        return None

    with dispatching() as s:
        worker = s.worker("a", hang)
        s.worker("b", good, served=5)
        answered: list[str] = []
        caller = threading.Thread(target=lambda: answered.append(s.call()))
        caller.start()
        assert asked.wait(PATIENCE)
        s.lose(worker)
        caller.join(PATIENCE)
        assert answered == ["b"]
        over.set()


def test_nobody_is_there() -> None:
    with dispatching() as s, pytest.raises(NoWorkers, match="rollcall-nodes"):
        s.call()


def test_it_waits_for_one_that_is_expected() -> None:
    with dispatching(expecting=lambda: True) as s:
        answered: list[str] = []
        caller = threading.Thread(target=lambda: answered.append(s.call()))
        caller.start()
        s.worker("late", good)
        caller.join(PATIENCE)
        assert answered == ["late"]


def test_one_that_is_expected_and_never_comes_is_no_worker() -> None:
    with dispatching(expecting=lambda: True) as s, pytest.raises(NoWorkers, match="in time"):
        s.call(timeout=0.1)


def test_a_draining_worker_gets_nothing() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        with s.changed:
            s.registry.drain(worker.generation, "asked", 0.0)
        assert worker.state is State.DRAINING
        with pytest.raises(NoWorkers):
            s.call()


def end(s: DispatcherHarness, name: str, *, died: bool) -> None:
    """Ends the registration of that worker, from one of its own verbs; nobody hears the answer."""
    worker = s.registry.get(name)
    assert worker is not None
    over = threading.Thread(target=s.lose, args=(worker,), kwargs={"died": died})
    over.start()
    over.join(PATIENCE)


def ends(s: DispatcherHarness, name: str, *, died: bool) -> Verb:
    """A verb whose worker's registration ends before it has answered."""
    return lambda *_args: end(s, name, died=died)


def test_a_lookup_that_kills_two_workers_is_not_tried_on_a_third() -> None:
    with dispatching() as s:
        s.worker("a", ends(s, "a", died=True))
        s.worker("b", ends(s, "b", died=True), served=5)
        third = s.worker("c", good, served=9)
        with pytest.raises(PoisonLookup, match="a and b died"):
            s.call()
        assert "c" not in s.asked
        assert third.served == 9


def test_workers_that_are_given_up_did_not_die_of_the_lookup() -> None:
    with dispatching() as s:
        s.worker("a", ends(s, "a", died=False))
        s.worker("b", ends(s, "b", died=False), served=5)
        s.worker("c", good, served=9)
        assert s.call() == "c"


def test_after_a_death_the_next_worker_proves_to_be_alive_before_it_is_asked() -> None:
    with dispatching() as s:
        s.worker("a", ends(s, "a", died=True))
        # Gone at the same moment, which nobody has noticed yet.
        gone = s.worker("b", good, served=5)
        s.servers[gone.generation].stop()
        s.worker("c", good, served=9)
        assert s.call() == "c"
        assert s.asked == ["a", "c"]


def test_many_callers_leave_nothing_in_flight() -> None:
    with dispatching() as s:
        flaky = Random(5)
        s.worker("a", lambda *_: good() if flaky.random() < 0.5 else ("internal", "now and then"))
        s.worker("b", good)
        done: list[str] = []
        callers = [
            threading.Thread(target=lambda: done.extend(s.call() for _ in range(50)))
            for _ in range(4)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(PATIENCE)
        assert len(done) == 200
        assert sum(worker.served for worker in s.registry) == 200


def test_a_worker_gets_no_more_at_once_than_it_can_do() -> None:
    go, most, inside, lock = threading.Event(), 0, 0, threading.Lock()

    def busy(*_args: object) -> bytes:
        nonlocal most, inside
        with lock:
            inside += 1
            most = max(most, inside)
        go.wait(PATIENCE)
        with lock:
            inside -= 1
        return good()

    with dispatching() as here:
        here.worker("only", busy)
        with ThreadPoolExecutor(3 * AT_ONCE) as callers:
            calls = [callers.submit(here.call) for _ in range(3 * AT_ONCE)]
            poll_for(lambda: inside == AT_ONCE)
            go.set()
            assert {call.result() for call in calls} == {"only"}
        assert most == AT_ONCE


def test_one_whose_turn_does_not_come_is_told_so_and_blames_nobody() -> None:
    go = threading.Event()
    with dispatching() as here:
        worker = here.worker("only", lambda *_args: go.wait(PATIENCE) and good())
        with ThreadPoolExecutor(AT_ONCE) as callers:
            calls = [callers.submit(here.call) for _ in range(AT_ONCE)]
            poll_for(lambda: worker.in_flight == AT_ONCE)
            with pytest.raises(DeadlineExceeded, match="its turn did not come"):
                here.call(timeout=0.05)
            assert (worker.in_flight, worker.errors) == (AT_ONCE, 0)
            go.set()
            assert {call.result() for call in calls} == {"only"}


def test_what_waits_for_its_turn_hears_that_nobody_is_left() -> None:
    go = threading.Event()
    with dispatching() as here:
        worker = here.worker("only", lambda *_args: go.wait(PATIENCE))
        with ThreadPoolExecutor(2 * AT_ONCE) as callers:
            calls = [callers.submit(here.call) for _ in range(2 * AT_ONCE)]
            poll_for(lambda: worker.in_flight == AT_ONCE)
            here.lose(worker)
            for call in calls:
                with pytest.raises(NoWorkers):
                    call.result()
        go.set()


def test_what_was_on_a_dying_worker_beside_a_deadly_lookup_is_answered() -> None:
    """Each of them is sent on alone, so that the next death tells the one from the others."""
    dying, dead = threading.Barrier(4), threading.Event()

    def arguments(name: str, _left: float) -> tuple[str]:
        return (name,)

    def die_of(name: str) -> Verb:
        def verb(lookup: str) -> object:
            if name == "a":
                dying.wait(PATIENCE)
            elif lookup != "deadly":
                return good()
            if lookup == "deadly":
                end(s, name, died=True)
                dead.set()
            dead.wait(PATIENCE)
            return None

        return verb

    patient = dispatching(attempt_timeout_s=PATIENCE, hedge_floor_s=PATIENCE)
    with patient as s, ThreadPoolExecutor(3) as callers:
        s.worker("a", die_of("a"))
        call = s.dispatcher.call
        asked = {
            name: callers.submit(call, "lookup", functools.partial(arguments, name), timeout=9.0)
            for name in ("deadly", "one", "two")
        }
        poll_for(lambda: len(s.asked) == 3)
        s.worker("b", die_of("b"))
        s.worker("c", die_of("c"))
        dying.wait(PATIENCE)
        with pytest.raises(PoisonLookup):
            asked["deadly"].result()
        assert {asked[name].result().worker for name in ("one", "two")} <= {"b", "c"}
