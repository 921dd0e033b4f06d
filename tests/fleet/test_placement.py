"""Where the next worker starts, and who goes home."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.fleet.placement import Place, away, choose

PLACES = st.lists(
    st.builds(
        Place, st.sampled_from("abcdef"), st.integers(1, 5), st.integers(0, 6), st.booleans()
    ),
    max_size=6,
    unique_by=lambda place: place.name,
)


@pytest.mark.parametrize(
    ("places", "home", "chosen"),
    [
        ([], "", None),
        ([Place("a", 3, 3)], "", None),
        ([Place("a", 3, 0, lost=True)], "a", None),
        ([Place("a", 3, 1), Place("b", 3, 0)], "", "b"),
        ([Place("a", 3, 1), Place("b", 9, 7)], "", "a"),
        ([Place("a", 3, 1), Place("b", 3, 1)], "", "a"),
        ([Place("a", 3, 1), Place("b", 9, 0)], "a", "a"),
        ([Place("a", 1, 1), Place("b", 9, 0)], "a", "b"),
        ([Place("a", 9, 0, lost=True), Place("b", 1, 0)], "a", "b"),
        ([Place("b", 1, 0)], "gone", "b"),
    ],
)
def test_the_home_or_where_most_room_is(places: list[Place], home: str, chosen: str | None) -> None:
    assert choose(places, home) == chosen


@given(PLACES, st.integers(0, 30))
def test_workers_spread_as_evenly_as_the_room_allows(places: list[Place], count: int) -> None:
    now = {place.name: place for place in places}
    placed = 0
    for _ in range(count):
        name = choose(list(now.values()))
        if name is None:
            break
        assert now[name].left == max(place.left for place in now.values())
        now[name] = now[name]._replace(workers=now[name].workers + 1)
        placed += 1
    assert placed == min(count, sum(place.left for place in places))


def test_those_go_home_for_whom_there_is_room() -> None:
    homes = {"w1": "a", "w2": "a", "w3": "b", "w4": "c"}
    at = {"w1": "b", "w2": "b", "w3": "b", "w4": "b"}
    places = [Place("a", 2, 1), Place("b", 9, 4), Place("c", 2, 0, lost=True)]
    assert away(homes, at, places) == ["w1"]
    assert away(homes, at, [Place("a", 3, 1)]) == ["w1", "w2"]
    assert away(homes, dict.fromkeys(homes, "a") | {"w3": "b", "w4": "c"}, places) == []
