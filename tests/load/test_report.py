"""Latencies counted, merged and told."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.cli.bench import text_of
from nodes.load import Histogram, LoadReport, LoadStats

DURATIONS = st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=200)


def histogram(durations: list[float]) -> Histogram:
    """One of these durations."""
    made = Histogram()
    for seconds in durations:
        made.add(seconds)
    return made


@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_within_a_hundredth_of_the_truth(durations: list[float], q: float) -> None:
    ordered = sorted(durations)
    truth = next(d for n, d in enumerate(ordered, 1) if n >= q * len(ordered))
    assert histogram(durations).percentile(q) == pytest.approx(truth, rel=0.01, abs=2e-8)


@given(DURATIONS, DURATIONS)
def test_merged_is_the_same_as_counted_together(some: list[float], others: list[float]) -> None:
    merged = histogram(some)
    merged.merge(histogram(others))
    together = histogram(some + others)
    assert merged.counts == together.counts
    assert (merged.count, merged.longest) == (together.count, together.longest)
    assert merged.total == pytest.approx(together.total)


@given(DURATIONS, st.integers(1, 40))
def test_rows_hold_everything_once_in_order(durations: list[float], most: int) -> None:
    rows = histogram(durations).rows(most)
    assert len(rows) <= most
    assert sum(row.calls for row in rows) == len(durations)
    assert all(before.high == after.low for before, after in itertools.pairwise(rows))
    assert rows[0].low <= max(min(durations), 1e-6) * 1.0001
    assert rows[-1].high >= max(durations) * 0.9999


def test_it_crosses_a_pipe_whole() -> None:
    stats = LoadStats()
    stats.note(0.25, [("w1", ""), ("", "deadline")])
    assert msgspec.json.decode(msgspec.json.encode(stats), type=LoadStats) == stats


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None
    assert Histogram().rows() == []


def report(stats: LoadStats, **changed: object) -> LoadReport:
    """That of a stats which took two seconds."""
    how = {"clients": 4, "processes": 4, "rate": 0.0, "batch": 1, "direct": False, "seconds": 2.0}
    return LoadReport.of(stats, **{**how, **changed})  # type: ignore[arg-type]


def test_a_report_says_what_came_of_it() -> None:
    stats = LoadStats()
    for number in range(99):
        stats.note(0.001, [(f"w{1 + number % 2}", "")])
    stats.note(0.5, [("", "no_workers")])
    made = report(stats)
    assert (made.lookups, made.failed, made.lookups_per_s) == (100, 1, 49.5)
    assert made.workers == {"w1": 50, "w2": 49}
    assert made.errors == {"no_workers": 1}
    assert made.latency_ms["p50"] == pytest.approx(1.0, rel=0.01)
    assert made.latency_ms["max"] == 500.0
    text = text_of(made)
    assert "100 lookups in 2.0 s: 50 answered a second, 1 errors" in text
    assert "w1: 50 answered, 51%" in text
    assert "no_workers: 1 errors" in text
    assert "max 500 ms" in text
    assert sum(line.endswith("#") for line in text.splitlines()) == 2


def test_a_batch_is_one_call_of_many_lookups() -> None:
    stats = LoadStats(unsent=3)
    stats.note(0.010, [("", "")] * 99 + [("", "deadline")])
    made = report(stats, batch=100, rate=500.0)
    assert (made.lookups, made.failed, made.unsent) == (100, 1, 300)
    assert made.workers == {}
    assert (made.loop, made.wanted_per_s) == ("open", 500.0)
    text = text_of(made)
    assert "300 more were due" in text
    assert "latency of a batch" in text


def test_a_load_that_asked_nothing_can_be_told() -> None:
    made = report(LoadStats())
    assert (made.lookups, made.lookups_per_s, made.histogram) == (0, 0.0, ())
    assert "0 lookups" in text_of(made)
