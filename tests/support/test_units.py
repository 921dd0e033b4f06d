"""Durations and latencies as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.support.units import counted, duration, latency, milliseconds


@pytest.mark.parametrize(
    ("value", "text", "with_unit"),
    [
        (None, "-", "-"),
        (0.0, "0.00", "0.00 ms"),
        (0.414, "0.41", "0.41 ms"),
        (8.26, "8.3", "8.3 ms"),
        (120.4, "120", "120 ms"),
        (999.4, "999", "999 ms"),
        (1200, "1.20s", "1.20s"),
        (9_996, "10.0s", "10.0s"),
        (12_340, "12.3s", "12.3s"),
        (99_960, "100s", "100s"),
        (3_000_000, "3000s", "3000s"),
        (4_000_000, ">1h", ">1h"),
    ],
)
def test_latency_examples(value: float | None, text: str, with_unit: str) -> None:
    assert milliseconds(value) == text
    assert latency(value) == with_unit


@given(st.floats(0, 1e12))
def test_a_latency_fits_its_column(value: float) -> None:
    assert len(milliseconds(value)) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (42.9, "42s"),
        (59.99, "59s"),
        (60, "1m00s"),
        (187, "3m07s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (7500, "2h05m"),
        (86_399, "23h59m"),
        (86_400, "1d00h"),
        (4 * 86_400 + 3 * 3600, "4d03h"),
        (1200 * 86_400, "1200d"),
    ],
)
def test_duration_examples(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(-1e3, 8e10))
def test_a_duration_fits_its_column(seconds: float) -> None:
    assert len(duration(seconds)) <= 7


def test_one_and_many_things() -> None:
    assert counted(1, "client") == "1 client"
    assert counted(2_000, "client") == "2,000 clients"
    assert counted(0, "process", "processes") == "0 processes"
