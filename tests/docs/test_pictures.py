"""The pictures in docs/: what is committed is what the code has now."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs import DOCS, PICTURES
from tests.docs.house import place, read_imports, shortened, stack
from tests.docs.lookup import check


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_what_is_committed_is_what_is_drawn_now(path: Path) -> None:
    drawn = PICTURES[path]()
    ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert path.read_text() == drawn, "draw it anew: .venv/bin/python -m tests.docs"


def test_a_room_stands_above_all_that_it_imports() -> None:
    imports = read_imports()
    floors = stack(imports)
    level = {room: number for number, floor in enumerate(floors) for room in floor}
    assert level.keys() == imports.keys()
    for room, below in imports.items():
        assert all(level[one] < level[room] for one in below)


def test_the_table_of_rooms_has_each() -> None:
    page = (DOCS / "architecture.md").read_text()
    listed = re.findall(r"^\| `(?:nodes\.)?(\w+)` \|", page, re.M)
    assert sorted(listed) == sorted(read_imports())


def test_a_circle_has_no_floor() -> None:
    with pytest.raises(ValueError, match="a circle of imports among a, b"):
        stack({"a": {"b"}, "b": {"a"}, "c": set()})


def test_an_arrow_is_left_out_where_a_longer_way_leads() -> None:
    imports = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert shortened(imports, stack(imports)) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_no_arrow_runs_through_a_box() -> None:
    at = place([["c"], ["b"], ["a"]], [("a", "b"), ("b", "c"), ("a", "c")])
    assert len({column for column, _ in at.values()}) > 1


def test_steps_that_the_code_does_not_take_are_not_drawn() -> None:
    imports = read_imports()
    with pytest.raises(ValueError, match="no such room"):
        check({room: below for room, below in imports.items() if room != "routing"})
    with pytest.raises(ValueError, match="dispatch and routing do not import each other"):
        check(imports | {"dispatch": set()})
