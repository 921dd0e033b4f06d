"""What a worker that is late, or fails, is said to have done: hedges, reroutes, latencies."""

from __future__ import annotations

import pytest

from nodes.errors import DeadlineExceeded
from nodes.routing import Worker
from nodes.routing.histogram import quantile
from nodes.routing.lost_attempts import LostAttempts
from nodes.routing.slowness import slowness
from tests.dispatch.harness import DispatcherHarness, Silence, dispatching, good

HEDGE_S = 0.05
"""Seconds after which a lookup is late: the floor of all limits."""

WITHIN = 0.1
"""How exact the figures of a histogram are."""


def silent(*_args: object) -> object:
    """Never answers."""
    return Silence


def p99(worker: Worker, s: DispatcherHarness) -> float:
    """The 99th percentile of its recent attempts, in seconds."""
    found = quantile(worker.latencies(s.time.now), 0.99)
    assert found is not None
    return found


def lost(worker: Worker) -> tuple[int, int]:
    """Lookups hedged and rerouted away from it."""
    return worker.lost.hedged_away, worker.lost.rerouted_away


def wait(s: DispatcherHarness, seconds: float) -> None:
    """Lets time pass."""
    s.time.run(lambda: False, seconds)


def test_a_hedge_is_said_of_the_late_worker_and_not_of_the_one_that_won() -> None:
    with dispatching() as s:
        late, quick = s.worker("a", silent), s.worker("b", good, served=5)
        answer = s.end_of(s.submit())
        assert (answer.worker, answer.attempts) == (quick, 2)
        assert [lost(late), lost(quick)] == [(1, 0), (0, 0)]
        assert [late.attempts, quick.attempts] == [1, 1]
        assert s.router.hedges == 1
        wait(s, 0.02)
        assert p99(late, s) >= HEDGE_S
        assert p99(quick, s) < HEDGE_S


def test_while_it_is_unanswered_an_attempt_is_as_late_as_it_is_old() -> None:
    with dispatching() as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        s.end_of(s.submit())
        for _ in range(3):
            wait(s, 1.0)
            assert p99(late, s) == pytest.approx(s.time.now - 100.0, rel=WITHIN)


def test_its_late_reply_says_how_late_it_was() -> None:
    with dispatching() as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        s.end_of(s.submit())
        s.time.now = 100.150
        s.links[late.generation].answer_late(good())
        wait(s, 3.0)
        assert p99(late, s) == pytest.approx(0.150, rel=WITHIN)
        assert late.served == 0


def test_an_attempt_that_ends_with_its_connection_was_at_least_so_late() -> None:
    with dispatching() as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        s.end_of(s.submit())
        wait(s, 1.0)
        ended = s.time.now
        s.lose(late)
        wait(s, 2.0)
        assert p99(late, s) == pytest.approx(ended - 100.0, rel=WITHIN)


def test_a_late_worker_that_answers_first_after_all_was_hedged_and_lost_nothing() -> None:
    with dispatching() as s:
        late, other = s.worker("a", silent), s.worker("b", silent, served=5)
        call = s.submit()
        wait(s, 0.1)
        s.links[late.generation].answer_late(good())
        assert s.end_of(call).worker is late
        assert [lost(late), lost(other)] == [(1, 0), (0, 0)]
        assert p99(late, s) == pytest.approx(0.1, rel=WITHIN)


def test_a_failure_is_rerouted_away_from_the_worker_that_failed() -> None:
    with dispatching() as s:
        bad, quick = s.worker("a", lambda *_: 1 / 0), s.worker("b", good, served=5)
        assert s.call() == "b"
        assert [lost(bad), lost(quick)] == [(0, 1), (0, 0)]
        assert (bad.attempts, bad.errors, bad.failures.last_second(101.0)) == (1, 1, 1)
        assert s.router.reroutes == 1
        assert not bad.latencies(s.time.now), "a failure is never quick"


def test_an_attempt_that_took_too_long_is_rerouted_and_counts_as_that_long() -> None:
    with dispatching(hedge_share=0.0, hedge_burst=0.0) as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        assert s.call() == "b"
        assert lost(late) == (0, 1)
        assert p99(late, s) >= 0.5 / (1 + WITHIN)


def test_all_workers_together_are_the_cluster() -> None:
    with dispatching() as s:
        workers = [
            s.worker("a", silent),
            s.worker("b", silent, served=1),
            s.worker("c", lambda *_: 1 / 0, served=2),
        ]
        with pytest.raises(DeadlineExceeded):
            s.call(timeout_s=2.0)
        assert s.router.hedges > 1
        assert sum(one.lost.hedged_away for one in workers) == s.router.hedges
        assert sum(one.lost.rerouted_away for one in workers) == s.router.reroutes


def test_a_call_that_is_not_counted_says_nothing_of_latency() -> None:
    with dispatching() as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        s.end_of(s.submit(counted=False))
        assert not late.latencies(s.time.now)


def slow_now(s: DispatcherHarness) -> set[int]:
    """The generations of the workers that are slow at this moment."""
    found = slowness(s.router.registry.available, s.time.now)
    return {worker.generation for worker, slow in found if slow}


@pytest.mark.parametrize(("apart_s", "slow"), [(0.2, False), (1.5, True), (15.0, False)])
def test_hedges_in_two_of_the_last_seconds_make_a_worker_slow(apart_s: float, slow: bool) -> None:
    with dispatching() as s:
        late = s.worker("a", silent)
        s.worker("b", good, served=5)
        for _ in range(2):
            s.end_of(s.submit())
            assert late.late
            s.links[late.generation].answer_late(good())
            wait(s, apart_s)
            late.latency, late.served = type(late.latency)(), 0
        wait(s, 0.0 if slow else 2.0)
        assert (late.generation in slow_now(s)) is slow


def test_hedges_of_the_last_minute_are_told_apart_from_all_there_were() -> None:
    lost = LostAttempts()
    for second in range(200):
        for _ in range(2):
            lost.hedged(100.0 + second)
    assert (lost.hedged_away, lost.hedged_last_minute(299.5)) == (400, 120)
    assert lost.hedged_last_minute(309.5) == 100
    assert lost.hedged_last_minute(400.0) == 0


def test_one_that_takes_far_longer_than_usual_is_slow() -> None:
    with dispatching() as s:
        workers = [s.worker(name, good) for name in "abc"]
        for worker, took_s in zip(workers, (0.001, 0.001, 0.1), strict=True):
            for _ in range(2):
                worker.latency.answered(took_s, s.time.now)
        assert slow_now(s) == {workers[2].generation}
