"""Taking a failing worker out, and letting it come back."""

from __future__ import annotations

from random import Random

from nodes.routing.breaker import Breaker


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker(Random(3))
    assert [breaker.failed(now) for _ in range(3)] == [False, False, True]
    return breaker


def test_three_in_a_row_open_it_and_an_answer_between_does_not() -> None:
    breaker = Breaker(Random(3))
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert not breaker.open
    assert breaker.allows(0.0)


def test_one_call_decides_when_its_time_is_over() -> None:
    breaker = opened()
    assert not breaker.allows(0.7)
    assert breaker.allows(1.3)
    breaker.began(1.3)
    assert not breaker.allows(1.3)
    assert breaker.succeeded()
    assert breaker.allows(1.3)
    assert not breaker.open


def test_the_wait_doubles_to_a_minute_with_jitter() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(10):
        began = now
        while not breaker.allows(now):
            now += 0.01
        waits.append(now - began)
        breaker.began(now)
        assert breaker.failed(now) is False
    for wait, nominal in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], strict=True):
        assert 0.75 * nominal <= wait <= 1.25 * nominal + 0.02
    assert len(set(waits[-4:])) > 1


def test_a_straggler_says_nothing_new() -> None:
    breaker = opened()
    assert breaker.failed(0.5) is False
    assert breaker.allows(1.3)


def test_a_call_that_says_nothing_of_the_worker_leaves_the_decision_to_the_next() -> None:
    breaker = opened()
    breaker.began(2.0)
    breaker.released()
    assert breaker.allows(2.0)
