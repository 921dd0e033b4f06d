"""When a worker that died may be started again."""

from __future__ import annotations

import pytest

from nodes.fleet.restarts import Restarts, Wait


def test_five_restarts_in_ten_seconds_and_then_ever_longer_waits() -> None:
    restarts = Restarts()
    waits = [restarts.next(0.1 * number) for number in range(5)]
    assert [wait.seconds for wait in waits] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert not any(wait.crash_looping for wait in waits)
    now = 1.0
    for minutes in (1, 2, 4, 8, 10, 10, 10):
        wait = restarts.next(now)
        assert wait == Wait(60.0 * minutes, crash_looping=True)
        now += wait.seconds + 1.0
    restarts.clear()
    assert restarts.next(now) == Wait(0.0, crash_looping=False)


def test_one_that_was_well_for_a_while_after_a_retry_is_restarted_at_once() -> None:
    restarts = Restarts()
    for number in range(5):
        restarts.next(0.1 * number)
    retried_at = 1.0 + restarts.next(1.0).seconds
    second = restarts.next(retried_at + 59.0)
    assert second == Wait(120.0, crash_looping=True), "it lived, and not for long"
    retried_at += 59.0 + second.seconds
    assert restarts.next(retried_at + 60.0) == Wait(0.0, crash_looping=False)


def test_it_is_tried_for_ever() -> None:
    restarts = Restarts()
    now = 0.0
    for _ in range(1000):
        now += restarts.next(now).seconds
    assert restarts.next(now).seconds == 600.0


def test_a_worker_that_dies_now_and_then_is_restarted_for_ever() -> None:
    restarts = Restarts()
    assert not any(restarts.next(3.0 * number).crash_looping for number in range(1000))
