"""Lines that never wrap: what does not fit is left out, the least important first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.lines import Field, Run, Tone, fit, line_text, line_width

FIELDS = st.lists(
    st.builds(
        Field,
        st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=30),
        st.integers(0, 100),
        right=st.booleans(),
        shrinks=st.booleans(),
    ),
    max_size=12,
)
SCREEN = [
    Field("OUTAGE", 100, Tone.BAD_BLOCK),
    Field("every lookup fails: no workers", 99, shrinks=True),
    Field("(s spawns)", 95),
    Field("Rollcall", 10, right=True),
    Field("people@efa7e7", 50, right=True),
    Field("hosting 127.0.0.1:23000", 60, right=True),
    Field("4m", 40, right=True),
]


@given(FIELDS, st.integers(2, 250))
def test_a_line_is_exactly_as_wide_as_the_screen(fields: list[Field], width: int) -> None:
    assert line_width(fit(fields, width)) == width


@given(FIELDS, st.integers(20, 250))
def test_nothing_is_left_out_for_something_less_important(fields: list[Field], width: int) -> None:
    # What is shown is told by its text: of each text there is one field.
    unique = {field.text: field for field in fields}.values()
    whole = [field for field in unique if field.text and not field.shrinks]
    shown = {run.text for run in fit(whole, width)}
    left_out = [field for field in whole if field.text not in shown]
    for field in left_out:
        smaller = [
            one
            for one in whole
            if one.text in shown
            and one.priority < field.priority
            and len(one.text) >= len(field.text)
        ]
        assert not smaller


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (30, " OUTAGE  every lookup fails:~ "),
        (60, " OUTAGE  every lookup fails: no workers  (s spawns)      4m"),
        (
            80,
            " OUTAGE  every lookup fails: no workers  (s spawns)     hosting 127.0.0.1:23000",
        ),
    ],
)
def test_health_is_the_last_to_go(width: int, line: str) -> None:
    assert line_text(fit(SCREEN, width)).rstrip() == line.rstrip()


@pytest.mark.parametrize("width", [120, 200])
def test_on_a_wide_screen_all_of_it_is_there(width: int) -> None:
    line = line_text(fit(SCREEN, width))
    assert all(field.text in line for field in SCREEN)
    assert line.endswith(" Rollcall  people@efa7e7  hosting 127.0.0.1:23000  4m ")


def test_fields_without_a_text_take_no_room() -> None:
    assert line_text(fit([Field("a"), Field(""), Field("b")], 8)) == " a  b   "
    assert fit([], 3) == (Run(" "), Run(" "), Run(" "))
