"""When a worker that died may be started again."""

from __future__ import annotations

import pytest

from nodes.fleet.restarts import Restarts


def test_five_restarts_in_ten_seconds_and_no_more() -> None:
    restarts = Restarts()
    waits = [restarts.next(0.1 * number) for number in range(5)]
    assert waits == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert restarts.next(1.0) is None
    assert restarts.next(10.05) is not None
    restarts.clear()
    assert restarts.next(10.06) == 0.0


def test_a_worker_that_dies_now_and_then_is_restarted_for_ever() -> None:
    restarts = Restarts()
    assert all(restarts.next(3.0 * number) is not None for number in range(1000))
