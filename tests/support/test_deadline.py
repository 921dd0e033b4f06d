"""Deadlines: what is left of a call's time, and never none."""

from __future__ import annotations

from nodes.support.deadline import SHORTEST_WAIT_S, seconds_left


def test_what_is_left() -> None:
    assert seconds_left(12.0, 10.0) == 2.0


def test_a_step_has_some_time_even_after_the_deadline() -> None:
    assert seconds_left(10.0, 10.0) == seconds_left(10.0, 99.0) == SHORTEST_WAIT_S > 0
