"""Rates and latencies in bounded memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.routing import WindowedHistogram
from nodes.routing.ewma import PeakEwma
from nodes.routing.histogram import PER_OCTAVE, bucket_of, quick_bucket_of

SECONDS = st.floats(min_value=2e-6, max_value=600)


@given(st.lists(SECONDS, min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_within_nine_percent(samples: list[float], q: float) -> None:
    figures = WindowedHistogram()
    for sample in samples:
        figures.add(sample, 5.0)
    exact = sorted(samples)[max(0, math.ceil(q * len(samples)) - 1)]
    found = figures.percentile(q, 5.0)
    assert found is not None
    assert exact / 1.1 <= found <= exact * 1.1


@given(st.lists(SECONDS, max_size=50))
def test_many_at_once_are_counted_as_one_after_the_other(samples: list[float]) -> None:
    each, together = WindowedHistogram(), WindowedHistogram()
    for sample in samples:
        each.add(sample, 5.5)
    together.add_all(samples, 5)
    for q in (0.5, 0.99):
        assert together.percentile(q, 5.9) == each.percentile(q, 5.9)
    assert together.last_second(6.0) == each.last_second(6.0) == len(samples)


@given(st.floats(0.0, 5000.0))
def test_the_quick_way_finds_the_same_bucket_or_its_neighbour_at_an_edge(seconds: float) -> None:
    bucket = bucket_of(seconds)
    exact = math.log2(max(seconds * 1e6, 1.0)) * PER_OCTAVE
    at_edge = math.isclose(exact, round(exact), abs_tol=1e-9)
    assert abs(quick_bucket_of(seconds) - bucket) <= at_edge


def test_the_last_second_is_a_whole_one() -> None:
    figures = WindowedHistogram()
    for at in (3.9, 4.0, 4.99, 5.0):
        figures.add(0.001, at)
    assert [figures.last_second(now) for now in (4.5, 5.0, 5.9, 6.0, 7.0)] == [1, 2, 2, 1, 0]


def test_nothing_is_said_of_nothing() -> None:
    figures = WindowedHistogram()
    assert (figures.percentile(0.5, 0.0), figures.rate(0.0)) == (None, 0.0)


def test_of_the_first_seconds_the_rate_is_over_the_time_there_was() -> None:
    figures = WindowedHistogram(window=10)
    for number in range(100):
        figures.add(0.001, 50.0 + number / 50)  # 50 a second for 2 s
    assert figures.rate(52.0, since=50.0) == pytest.approx(50)
    assert figures.rate(54.0, since=50.0) == pytest.approx(25)
    assert figures.rate(50.1, since=50.0) <= 100, "what came in a moment is no rate"
    assert figures.rate(52.0, since=0.0) == figures.rate(52.0) <= 10


def test_the_rate_is_of_the_window() -> None:
    figures = WindowedHistogram(window=10)
    for number in range(1000):
        figures.add(0.001, number / 50)  # 50 a second for 20 s
    assert figures.rate(20.0) == pytest.approx(50, rel=0.1)
    assert figures.rate(40.0) == 0.0
    assert figures.percentile(0.5, 40.0) is None


def test_memory_does_not_grow_with_traffic() -> None:
    figures = WindowedHistogram(window=10)
    for number in range(100_000):
        figures.add(0.001 * (number % 7 + 1), number / 100)
    assert len(figures._seconds) <= 12
    assert all(len(counts) <= 7 for counts in figures._seconds.values())


def test_one_slow_answer_is_noise_and_two_are_a_trend() -> None:
    latency = PeakEwma()
    for _ in range(20):
        latency.answered(0.001, 1.0)
    latency.answered(0.1, 1.0)
    assert latency.estimate(1.0) == pytest.approx(0.001)
    latency.answered(0.1, 1.0)
    assert latency.estimate(1.0) > 0.02


def test_an_estimate_nobody_refreshes_fades() -> None:
    latency = PeakEwma()
    latency.answered(1.0, 0.0)
    assert latency.estimate(0.0) == 0.0  # one answer says nothing
    latency.answered(1.0, 0.0)
    assert latency.estimate(0.5) == 1.0
    assert latency.estimate(11.0) < 0.2
    assert PeakEwma().estimate(5.0) == 0.0
