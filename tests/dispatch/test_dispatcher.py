"""The dispatcher over simulated workers: good, wrong, silent and dying ones."""

from __future__ import annotations

from random import Random

import pytest

from nodes.errors import BadRequest, DeadlineExceeded, NoWorkers, PoisonLookup, StoreDown
from nodes.routing import State
from nodes.transport import LinkLost
from nodes.wire import MAX_REFUSAL_CHARS
from tests.dispatch.harness import (
    ANSWER_S,
    DispatcherHarness,
    RecordedCall,
    Silence,
    Verb,
    dispatching,
    good,
)


def silent(*_args: object) -> object:
    """Never answers."""
    return Silence


def wrong(*_args: object) -> object:
    """Finds the request wrong."""
    return ("bad_request", "the year is wrong")


def test_an_answer_is_counted() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        answer = s.end_of(s.submit())
        assert (answer.worker, answer.attempts, answer.part) == (worker, 1, good())
        assert answer.took_s == pytest.approx(0.001)
        assert (worker.served, worker.errors) == (1, 0)
        s.end_of(s.submit())  # the first answer alone is no latency
        s.dispatcher.tick()
        assert worker.latency.estimate(s.time.now) == pytest.approx(0.001)


def test_one_that_is_not_counted_is_not() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        s.end_of(s.submit(counted=False))
        assert (worker.served, worker.errors, worker.attempts) == (0, 0, 0)


def test_equal_workers_are_served_equally() -> None:
    with dispatching() as s:
        workers = [s.worker(name, good) for name in "abc"]
        for _ in range(300):
            s.call()
        assert [worker.served for worker in workers] == [100] * 3


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
            s.call(timeout_s=0.3)
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


def storeless(*_args: object) -> object:
    """Is told nothing by the store of its records."""
    return ("store_down", "the store cannot be reached\x1b")


def test_a_store_that_is_down_is_no_worker_s_fault() -> None:
    told: list[str] = []
    with dispatching(listener=lambda kind, _worker, _text: told.append(kind)) as s:
        workers = [s.worker(name, storeless) for name in "abc"]
        for worker in workers:
            worker.in_store = True
        told.clear()
        for _ in range(20):
            with pytest.raises(StoreDown, match=r"^the store cannot be reached\\x1b$"):
                s.call()
        assert [(worker.errors, worker.breaker.open) for worker in workers] == [(0, False)] * 3
        assert told == []
        assert len(s.asked) <= 40, "once more elsewhere, at most"


def test_what_one_does_not_reach_another_may() -> None:
    with dispatching() as s:
        worker = s.worker("a", storeless)
        worker.in_store = True
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert (worker.errors, worker.served, s.router.reroutes) == (0, 0, 1)


@pytest.mark.parametrize("in_store", [True, False])
def test_one_whose_probes_say_that_it_cannot_read_its_records_is_asked_last(
    in_store: bool,
) -> None:
    told: list[tuple[str, str]] = []
    with dispatching(listener=lambda kind, _worker, text: told.append((kind, text))) as s:
        worker = s.worker("a", storeless)
        worker.in_store = in_store
        s.worker("b", good, served=5)
        for trouble in ("cannot be reached", "cannot be reached", ""):
            s.registry.probe_answered(
                worker.generation,
                version="v",
                cpu=0.0,
                memory=0,
                now=s.time.now,
                trouble=trouble,
            )
            if trouble:
                assert [s.call(), s.call()] == ["b", "b"]
        assert worker.state is State.UP
        assert told[-2:] == [
            ("store_down" if in_store else "damaged", "cannot be reached"),
            ("store_back" if in_store else "mended", "reads its records again"),
        ]
        worker.served = 0
        s.dispatcher.changed()
        assert s.router.pick_first() is worker


def test_a_worker_without_a_store_cannot_blame_one() -> None:
    with dispatching() as s:
        worker = s.worker("a", storeless)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert worker.errors == 1


def test_a_worker_that_is_not_there_is_rerouted() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        s.worker("b", good, served=5)
        s.links[worker.generation].alive = False
        assert s.call() == "b"


def test_a_silent_worker_is_given_up_after_its_attempt() -> None:
    with dispatching(attempt_timeout_s=0.05, hedge_floor_s=1.0) as s:
        s.worker("a", silent)
        s.worker("b", good, served=5)
        assert s.call() == "b"


def test_a_silent_worker_is_hedged_long_before() -> None:
    with dispatching() as s:
        worker = s.worker("a", silent)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert s.time.now < 100.0 + 0.07
        assert (s.router.hedges, s.router.reroutes) == (1, 0)
        assert (worker.errors, worker.late, worker.breaker.open) == (0, True, False)


def test_hedges_beyond_the_budget_wait_for_the_attempt() -> None:
    with dispatching(attempt_timeout_s=0.2) as s:
        worker = s.worker("a", silent)
        s.worker("b", good, served=5)
        while s.router.hedging.spend(s.time.now):
            pass
        assert s.call() == "b"
        assert (s.router.hedges, s.router.reroutes, worker.errors) == (0, 1, 1)


def test_one_that_was_late_is_asked_last_until_it_answers() -> None:
    with dispatching() as s:
        worker = s.worker("a", silent)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        for _ in range(8):
            assert s.call() == "b"
        assert s.asked.count("a") == 1
        s.links[worker.generation].verb = good
        s.links[worker.generation].answer_late(good())
        assert not worker.late
        assert s.call() == "a"


def test_a_page_of_a_version_is_asked_of_who_has_it() -> None:
    with dispatching() as s:
        s.worker("a", good)
        s.worker("b", good, served=5).version = "old"
        assert s.call(version="old") == "b"
        assert s.call(version="older") == "a"


def test_when_all_are_silent_the_deadline_says_so() -> None:
    with dispatching(attempt_timeout_s=0.05) as s:
        s.worker("a", silent)
        with pytest.raises(DeadlineExceeded, match=r"a: no answer yet"):
            s.call(timeout_s=0.2)
        assert s.time.now < 100.0 + 0.25


def test_one_that_is_lost_while_it_answers_is_rerouted_at_once() -> None:
    with dispatching() as s:
        worker = s.worker("a", silent)
        s.worker("b", good, served=5)
        call = s.submit()
        assert s.asked == ["a"]
        s.lose(worker)
        assert s.end_of(call).worker.id == "b"
        assert s.time.now == pytest.approx(100.001)


def test_nobody_is_there() -> None:
    with dispatching() as s, pytest.raises(NoWorkers, match="rollcall-nodes"):
        s.call()


def test_it_waits_for_one_that_is_expected() -> None:
    with dispatching(expecting=lambda: True) as s:
        calls = [s.submit() for _ in range(100)]
        s.worker("late", good)
        assert {s.end_of(call).worker.id for call in calls} == {"late"}
        assert [call.state for call in calls] == [None] * 100, "each waited for its turn"


def test_one_that_is_expected_and_never_comes_is_no_worker() -> None:
    with dispatching(expecting=lambda: True) as s, pytest.raises(NoWorkers, match="in time"):
        s.call(timeout_s=0.1)


def test_a_draining_worker_gets_nothing() -> None:
    with dispatching() as s:
        worker = s.worker("a", good)
        s.registry.drain(worker.generation, "asked", s.time.now)
        assert worker.state is State.DRAINING
        with pytest.raises(NoWorkers):
            s.call()


def ends(s: DispatcherHarness, name: str, *, died: bool) -> Verb:
    """A verb whose worker's registration ends before it has answered."""

    def verb(*_args: object) -> object:
        worker = s.registry.get(name)
        assert worker is not None
        s.lose(worker, died=died)
        return Silence

    return verb


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


def test_after_a_death_the_next_worker_proves_to_be_alive_before_its_own_counts() -> None:
    with dispatching() as s:
        s.worker("a", ends(s, "a", died=True))
        # Gone at the same moment, which nobody has noticed yet.
        gone = s.worker("b", good, served=5)
        s.links[gone.generation].alive = False
        s.worker("c", good, served=9)
        assert s.call() == "c"
        assert s.asked == ["a", "c"]


def test_many_calls_leave_nothing_in_flight() -> None:
    with dispatching() as s:
        flaky = Random(5)
        s.worker("a", lambda *_: good() if flaky.random() < 0.5 else ("internal", "now and then"))
        s.worker("b", good)
        calls = [s.submit() for _ in range(200)]
        assert len([s.end_of(call) for call in calls]) == 200
        assert sum(worker.served for worker in s.registry) == 200


def test_a_worker_gets_no_more_at_once_than_it_should_and_the_rest_in_order() -> None:
    with dispatching(max_calls=8) as s:
        s.worker("only", good)
        most = 0
        calls = [s.submit() for _ in range(30)]
        assert (len(s.asked), s.dispatcher.waiting) == (8, 22)
        while calls[-1].outcome is None:
            s.time.run(lambda: False, 0.0005)
            most = max(most, sum(worker.calls for worker in s.registry))
        assert most == 8
        took = [s.end_of(call).took_s for call in calls]
        assert took == sorted(took), "who has waited longest is next"


def test_who_asks_much_keeps_nobody_waiting() -> None:
    """Each who asks has a turn, however many calls of another's wait."""
    with dispatching(max_calls=2) as s:
        s.worker("only", good)
        bulk = [s.submit(asker="bulk") for _ in range(200)]
        single = s.submit(asker="single")
        assert s.end_of(single).took_s <= 3 * ANSWER_S
        assert sum(call.outcome is None for call in bulk) > 190
        took = [s.end_of(call).took_s for call in bulk]
        assert took == sorted(took)


def test_what_waits_goes_to_whoever_has_room_first() -> None:
    with dispatching(max_calls=1) as s:
        s.worker("stuck", silent)
        s.worker("quick", good, served=1)
        calls = [s.submit() for _ in range(10)]
        assert [s.end_of(call).worker.id for call in calls] == ["quick"] * 10


def test_one_whose_turn_does_not_come_is_told_so_and_blames_nobody() -> None:
    with dispatching(max_calls=2, hedge_floor_s=99.0) as s:
        worker = s.worker("only", silent)
        held = [s.submit(), s.submit()]
        with pytest.raises(DeadlineExceeded, match="its turn did not come"):
            s.call(timeout_s=0.05)
        assert (worker.in_flight, worker.errors) == (2, 0)
        s.links[worker.generation].answer_late(good())
        assert [s.end_of(call).worker.id for call in held] == ["only"] * 2


def test_what_waits_for_its_turn_hears_that_nobody_is_left() -> None:
    with dispatching(max_calls=2) as s:
        worker = s.worker("only", silent)
        calls = [s.submit() for _ in range(5)]
        s.lose(worker)
        for call in calls:
            with pytest.raises(NoWorkers):
                s.end_of(call)


def test_what_was_on_a_dying_worker_beside_a_deadly_lookup_is_answered() -> None:
    """Each of them is sent on alone, so that the next death tells the one from the others."""

    def dies_of(s: DispatcherHarness, name: str) -> Verb:
        end = ends(s, name, died=True)
        return lambda lookup: end() if lookup == b"deadly" else good()

    with dispatching() as s:
        first = s.worker("a", silent)
        deadly = s.submit(RecordedCall(b"deadly"))
        others = [s.submit(RecordedCall(b"one")), s.submit(RecordedCall(b"two"))]
        s.worker("b", dies_of(s, "b"))
        s.worker("c", dies_of(s, "c"))
        s.lose(first, died=True)
        with pytest.raises(PoisonLookup):
            s.end_of(deadly)
        assert {s.end_of(call).worker.id for call in others} <= {"b", "c"}


def test_a_call_that_somebody_else_began_goes_on_with_its_first_worker_counted() -> None:
    with dispatching() as s:
        first = s.worker("a", good)
        s.worker("b", good, served=5)
        call = RecordedCall()
        s.dispatcher.take_over(call, first, LinkLost("its connection ended"))
        answer = s.end_of(call)
        assert (answer.worker.id, answer.attempts) == ("b", 2)
        assert first.errors == 1
