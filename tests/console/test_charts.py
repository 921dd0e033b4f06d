"""Charts of blocks: as large as they are wanted, on one scale, from then to now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.bars import heat_cell, share_bar, share_scale, trend
from console.charts import (
    Mark,
    Point,
    chart,
    columns,
    linear_scale,
    log_scale,
    nice_top,
    place_of,
    resample,
    time_axis,
)
from console.histogram import histogram
from console.lines import Tone, line_text, line_width
from console.text import ASCII, UNICODE, Glyphs

BOTH = pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
VALUES = st.lists(st.none() | st.floats(0, 1e9), max_size=60)


# -- time --------------------------------------------------------------------------


def test_time_runs_from_left_to_right() -> None:
    points = [Point(float(at), float(at)) for at in range(100)]
    values = resample(points, 99.0, 10.0, 10)
    assert values == sorted(v for v in values if v is not None)
    assert values[-1] == 99.0


def test_of_each_place_the_mean_or_the_highest() -> None:
    points = [Point(9.1, 1.0), Point(9.9, 3.0)]
    assert resample(points, 10.0, 10.0, 5)[-1] == 2.0
    assert resample(points, 10.0, 10.0, 5, mean=False)[-1] == 3.0


def test_what_was_not_measured_is_empty_and_a_gap_between_samples_is_none() -> None:
    values = resample([Point(5.0, 7.0)], 10.0, 10.0, 40)
    assert values[:10] == [None] * 10
    assert resample([Point(float(at), 1.0) for at in range(11)], 10.0, 10.0, 40).count(None) <= 3


@given(st.floats(0, 500), st.integers(0, 200))
def test_a_place_is_within_the_chart_or_none(back: float, width: int) -> None:
    place = place_of(1000.0 - back, 1000.0, 300.0, width)
    assert place is None or 0 <= place < width


def test_marks_stand_where_it_happened_and_never_over_the_ends() -> None:
    marks = [
        Mark(100.0 - back, letter, Tone.BAD) for back, letter in ((30, "K"), (59, "b"), (60, "z"))
    ]
    line = line_text(time_axis(marks, 100.0, 60.0, 40))
    assert line.startswith("-60s")
    assert line.endswith("now")
    assert abs(line.index("K") - 20) <= 1
    assert "b" not in line


def test_what_happened_just_now_is_seen() -> None:
    line = line_text(time_axis([Mark(100.0, "K", Tone.BAD)], 100.0, 60.0, 40))
    assert line.endswith("K")
    assert "now" not in line


def test_of_two_marks_in_one_place_the_first_is_shown_before_what_follows_from_it() -> None:
    marks = [Mark(70.0, letter, Tone.BAD) for letter in "hKx"]
    assert "K" in line_text(time_axis(marks, 100.0, 60.0, 40))


def test_an_axis_that_ends_in_the_past_says_so() -> None:
    marks = [Mark(70.0, "K", Tone.BAD)]
    line = line_text(time_axis(marks, 100.0, 60.0, 40, age_s=18.2))
    assert line.startswith("-78s")
    assert line.endswith("-18s")
    assert "now" not in line


# -- columns -----------------------------------------------------------------------


@BOTH
@given(values=VALUES, height=st.integers(1, 12), top=st.floats(0.1, 1e9))
def test_columns_fill_their_size(
    values: list[float | None], height: int, top: float, glyphs: Glyphs
) -> None:
    lines = columns(values, height, top, glyphs)
    assert len(lines) == height
    assert all(line_width(line) == len(values) for line in lines)
    assert set("".join(map(line_text, lines))) <= set(glyphs.blocks)


@BOTH
def test_the_highest_reaches_the_top_and_the_least_is_seen(glyphs: Glyphs) -> None:
    top, bottom = map(line_text, columns([100.0, 50.0, 0.001, 0.0, None], 2, 100.0, glyphs))
    assert top == f"{glyphs.blocks[-1]}    "
    assert bottom == f"{glyphs.blocks[-1] * 2}{glyphs.blocks[1]}  "


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (0.3, 0.3), (1, 1), (2.3, 2.5), (187, 200), (201, 250), (276, 300), (900, 1000)],
)
def test_an_axis_ends_at_a_round_figure(highest: float, top: float) -> None:
    assert nice_top(highest) == pytest.approx(top)


@pytest.mark.parametrize(
    ("values", "floor", "top"),
    [
        ([0.3, 2.0], 0.2, 2),
        ([0.27, 152.0], 0.1, 200),
        ([1.0], 0.5, 1),
        ([None, 0.0], 0.0, 1),
        ([40.0, 41.0, None], 20, 50),
    ],
)
def test_latencies_have_an_axis_on_which_a_peak_leaves_room_for_the_rest(
    values: list[float | None], floor: float, top: float
) -> None:
    scale = log_scale(values)
    assert scale.floor == pytest.approx(floor)
    assert scale.top == pytest.approx(top)
    parts = [scale.part(value) for value in values if value]
    assert all(0.0 < part <= 1.0 for part in parts)


def test_the_figures_at_an_axis_stand_where_their_values_are() -> None:
    values = [0.3, 1.0, 10.0, 100.0]
    lines = chart(
        "p99",
        values,
        size=(10, 13),
        glyphs=UNICODE,
        scale=log_scale(values),
        now=0.0,
        span_s=60.0,
    )
    texts = [line_text(line) for line in lines[1:-1]]
    for value, index in ((1.0, 8), (10.0, 9), (100.0, 10)):
        [row] = [n for n, text in enumerate(texts) if text.split("│")[0].strip() == f"{value:g}"]
        assert texts[row][index - 1] in "▁▂▃▄▅▆▇█"
        assert row == 0 or texts[row - 1][index - 1] in " ┈"


@BOTH
@given(values=VALUES, width=st.integers(20, 120), height=st.integers(3, 16))
def test_a_chart_is_as_large_as_it_is_wanted(
    values: list[float | None], width: int, height: int, glyphs: Glyphs
) -> None:
    shown = [*values, *[None] * width][: width - 6]
    for scale in (linear_scale(shown), log_scale(shown)):
        lines = chart(
            "p99",
            shown,
            size=(width, height),
            glyphs=glyphs,
            scale=scale,
            now=0.0,
            span_s=60.0,
        )
        assert len(lines) == height
        assert all(line_width(line) == width for line in lines)


@BOTH
@given(values=VALUES, top=st.floats(0, 1e9))
def test_a_trend_has_a_place_for_each_value(
    values: list[float | None], top: float, glyphs: Glyphs
) -> None:
    line = trend(values, top, glyphs)
    assert len(line) == len(values)
    assert set(line) <= set(glyphs.blocks)


def test_trends_on_one_scale_can_be_compared() -> None:
    assert trend([100.0], 100.0, UNICODE) == "█"
    assert trend([14.0], 100.0, UNICODE) == "▁"
    assert trend([0.0, None], 100.0, UNICODE) == "▁ "


# -- shares ------------------------------------------------------------------------


@BOTH
@given(share=st.floats(-1, 2), fair=st.floats(0, 1), width=st.integers(0, 60))
def test_a_bar_is_as_wide_as_wanted(share: float, fair: float, width: int, glyphs: Glyphs) -> None:
    assert cell_len(share_bar(share, fair, width, glyphs)) == width


@BOTH
@pytest.mark.parametrize("workers", [3, 30])
def test_a_worker_that_does_its_part_ends_at_the_mark(workers: int, glyphs: Glyphs) -> None:
    fair = 1 / workers
    assert share_bar(fair, fair, 20, glyphs).strip(" ") == glyphs.bar * 10 + glyphs.fair
    assert share_bar(0.0, fair, 20, glyphs).strip(" ") == glyphs.fair
    assert share_bar(3 * fair, fair, 20, glyphs) == glyphs.bar * 20


@given(st.integers(4, 60))
def test_the_scale_is_as_wide_as_the_bars(width: int) -> None:
    assert len(share_scale(width)) == width


# -- histogram and heat ------------------------------------------------------------


@BOTH
@given(
    counts=st.lists(st.integers(0, 10**6), max_size=30),
    width=st.integers(16, 80),
    height=st.integers(0, 12),
)
def test_a_histogram_fits(counts: list[int], width: int, height: int, glyphs: Glyphs) -> None:
    latencies = [(float(2**n), count) for n, count in enumerate(counts)]
    lines = histogram(latencies, (width, height), glyphs)
    assert len(lines) <= height
    assert all(line_width(line) <= max(width, 18) for line in lines)


def test_a_histogram_says_what_share_each_bucket_has() -> None:
    lines = histogram([(0.25, 58), (0.5, 31), (1.0, 0), (50.0, 11)], (40, 8), UNICODE)
    assert [line_text(line).split()[0] for line in lines] == ["<0.25", "<0.50", "<50"]
    assert [line_text(line).split()[-2:] for line in lines] == [
        ["58", "58%"],
        ["31", "31%"],
        ["11", "11%"],
    ]


def test_each_bar_of_a_histogram_begins_where_the_one_above_it_ends() -> None:
    lines = histogram([(0.25, 50), (0.5, 25), (1.0, 25)], (57, 8), UNICODE)
    bars = [line_text(line)[7:47] for line in lines]
    assert bars == ["█" * 20 + " " * 20, "░" * 20 + "█" * 10 + " " * 10, "░" * 30 + "█" * 10]


def test_heat_needs_no_colour() -> None:
    cells = [heat_cell(value, 100.0, UNICODE) for value in (0.0, 15.0, 99.0, 100.0, None)]
    assert cells == ["0", "1", "9", "9", "·"]
