"""Where the parts of the main screen stand: everything on it, nothing over another."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.plan import (
    LEFT_PANELS,
    LOWER_PANELS,
    MIN_HEIGHT,
    MIN_WIDTH,
    RIGHT_PANELS,
    Part,
    Plan,
    make_plan,
    panels_at_start,
)

SIZES = [(60, 16), (80, 24), (120, 36), (200, 60)]


def check(plan: Plan, width: int, height: int) -> None:
    """No part lies over another, and none off the screen."""
    for region in plan.values():
        assert region.x >= 0 and region.y >= 0
        assert region.right <= width and region.bottom <= height
    for one, other in itertools.combinations(plan.values(), 2):
        assert not one.overlaps(other)


@given(
    st.integers(1, 250),
    st.integers(1, 80),
    st.integers(2, 300),
    st.sampled_from(LEFT_PANELS),
    st.sampled_from(RIGHT_PANELS),
    st.sampled_from(LOWER_PANELS),
    st.sampled_from([None, Part.WORKERS, *LOWER_PANELS]),
)
def test_parts_stand_side_by_side(
    width: int, height: int, rows: int, left: Part, right: Part, lower: Part, zoomed: Part | None
) -> None:
    plan = make_plan((width, height), rows=rows, left=left, right=right, lower=lower, zoomed=zoomed)
    check(plan, width, height)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("workers", [0, 3, 30])
def test_buttons_query_line_and_health_are_there_at_every_size(
    size: tuple[int, int], workers: int
) -> None:
    plan = make_plan(size, rows=workers + 2)
    for part in (Part.HEAD, Part.WORKERS_HEAD, Part.WORKERS, Part.ASK, Part.MESSAGE, Part.KEYS):
        assert plan[part].area, part
    assert plan[Part.WORKERS].height <= size[1] // 2
    assert plan[Part.EVENTS].height >= 2


def test_the_worker_list_is_as_high_as_its_rows() -> None:
    assert make_plan((80, 24), rows=5)[Part.WORKERS].height == 5
    assert make_plan((120, 36), rows=8)[Part.WORKERS].height == 8


def test_charts_have_what_is_left() -> None:
    assert make_plan((80, 24), rows=5)[Part.CHARTS].height == 3
    assert make_plan((120, 36), rows=5)[Part.CHARTS].height >= 6
    assert Part.CHARTS not in make_plan((80, 24), rows=32)


def test_a_screen_that_is_too_small_has_one_thing_on_it() -> None:
    for size in ((MIN_WIDTH - 1, 40), (100, MIN_HEIGHT - 1), (20, 5)):
        assert list(make_plan(size, rows=5)) == [Part.TOO_SMALL]


def test_a_wide_and_tall_screen_shows_four_panels_at_once() -> None:
    plan = make_plan((120, 36), rows=5)
    assert {Part.ANSWER, Part.EVENTS, Part.LOOKUPS, Part.HEAT} <= plan.keys()
    assert Part.SLOW in make_plan((120, 36), rows=5, figures=Part.SLOW)
    for lowest in (3, 4, 10):
        assert Part.HEAT not in make_plan((120, 24), rows=5, lowest=lowest)


def test_a_zoomed_panel_has_nearly_all_of_it() -> None:
    for part in (Part.WORKERS, *LOWER_PANELS):
        plan = make_plan((80, 24), rows=5, zoomed=part)
        assert plan[part].height >= 18
        assert Part.HEAD in plan


def test_the_command_line_stands_where_the_message_was() -> None:
    message = make_plan((80, 24), rows=5)[Part.MESSAGE]
    opened = make_plan((80, 24), rows=5, line_open=True)
    assert opened[Part.LINE] == message
    assert Part.MESSAGE not in opened


@pytest.mark.parametrize(
    ("wanted", "last", "shown"),
    [
        ({}, {}, "answer events events"),
        ({}, {"left": "slow", "right": "heat", "lower": "lookups"}, "slow heat lookups"),
        ({"left": Part.LOOKUPS}, {"left": "slow", "right": "heat"}, "lookups heat events"),
        ({}, {"left": "heat", "right": "nonsense", "middle": "slow"}, "answer events events"),
    ],
)
def test_what_is_shown_at_start_is_what_the_file_says_else_what_was_last(
    wanted: dict[str, Part], last: dict[str, str], shown: str
) -> None:
    panels = panels_at_start(wanted, last)
    assert " ".join(panels[place] for place in ("left", "right", "lower")) == shown
