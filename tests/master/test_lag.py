"""Lag: how much more patience is due when the master's own machine is busy or late."""

from __future__ import annotations

import pytest

from nodes.master.lag import Lag

Tick = tuple[float, float]
"""Seconds that a tick came late, and percent of all cores that were busy."""


@pytest.mark.parametrize(
    ("ticks", "seconds", "stretch"),
    [
        pytest.param([], 0.0, 1.0, id="at the start"),
        pytest.param([(0.0, 10.0)], 0.0, 1.0, id="in time"),
        pytest.param([(-0.01, 10.0)], 0.0, 1.0, id="early"),
        pytest.param([(0.5, 10.0)], 0.5, 3.0, id="late: at once"),
        pytest.param([(0.5, 10.0), (0.0, 10.0)], 0.46, 2.84, id="in time again: little by little"),
        pytest.param([(0.1, 10.0), (0.5, 10.0)], 0.5, 3.0, id="later than before"),
        pytest.param([(0.5, 10.0), (0.1, 10.0)], 0.46, 2.84, id="less late than before"),
        pytest.param([(60.0, 10.0)], 60.0, 5.0, id="however late, up to a bound"),
        pytest.param([(0.0, 89.9)], 0.0, 1.0, id="almost busy"),
        pytest.param([(0.0, 90.0)], 0.0, 2.0, id="busy"),
        pytest.param([(0.0, 90.0), (0.0, 10.0)], 0.0, 1.0, id="busy no longer"),
        pytest.param([(0.1, 90.0)], 0.1, 2.0, id="busy and a little late"),
        pytest.param([(0.5, 90.0)], 0.5, 3.0, id="busy and very late"),
    ],
)
def test_patience_follows_what_was_noted(ticks: list[Tick], seconds: float, stretch: float) -> None:
    lag = Lag()
    for late, busy in ticks:
        lag.note(late, busy)
    assert lag.seconds == pytest.approx(seconds)
    assert lag.stretch == pytest.approx(stretch)


@pytest.mark.parametrize(
    ("busy_percents", "busy"),
    [
        pytest.param([95.0] * 4, False, id="not at once"),
        pytest.param([95.0] * 5, True, id="once it has lasted"),
        pytest.param([95.0, 85.0] * 20, False, id="not while it wavers"),
        pytest.param([95.0] * 5 + [85.0, 95.0] * 20, True, id="nor does it flicker once it is"),
        pytest.param([95.0] * 5 + [50.0] * 12, True, id="until it has been over"),
        pytest.param([95.0] * 5 + [50.0] * 13, False, id="for a while"),
    ],
)
def test_a_machine_is_said_to_be_busy_without_a_flicker(
    busy_percents: list[float], busy: bool
) -> None:
    lag = Lag()
    for percent in busy_percents:
        lag.note(0.0, percent)
    assert lag.busy is busy


def test_it_falls_by_half_in_two_seconds() -> None:
    lag = Lag()
    lag.note(1.0, 0.0)
    for _ in range(8):
        lag.note(0.0, 0.0)
    assert lag.seconds == pytest.approx(0.5, abs=0.02)
