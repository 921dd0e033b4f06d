"""Hysteresis: what wavers does not flicker."""

from __future__ import annotations

import pytest

from nodes.support.hysteresis import Hysteresis


@pytest.mark.parametrize(
    ("holds", "on"),
    [
        pytest.param("0000", "0000", id="never"),
        pytest.param("1111", "0011", id="once it has lasted"),
        pytest.param("1011011", "0000000", id="not while it only comes and goes"),
        pytest.param("11100000", "00111100", id="until it has been gone a while"),
        pytest.param("111001001111", "001111111111", id="not off while it comes back"),
        pytest.param("1110--00-000", "001111111111", id="between the thresholds it stays"),
        pytest.param("----", "0000", id="nor is it on between them"),
    ],
)
def test_a_condition_counts_once_it_lasts(holds: str, on: str) -> None:
    switch = Hysteresis(on_after=2, off_after=3)
    told = [
        switch.note(now, holds=None if sign == "-" else sign == "1")
        for now, sign in enumerate(holds)
    ]
    assert "".join(str(int(one)) for one in told) == on


def test_with_no_time_to_last_it_counts_at_once() -> None:
    switch = Hysteresis(on_after=0, off_after=2)
    assert switch.note(10.0, holds=True)
    assert switch.note(11.0, holds=False)
    assert switch.note(12.9, holds=False)
    assert not switch.note(13.0, holds=False)
