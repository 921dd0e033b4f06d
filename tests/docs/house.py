"""The house: rooms as boxes, floor above floor, as the code's own imports have them.

A room is a package of `nodes`, one of its three modules that belong to no package, or `console`.
A room stands one floor above the highest that it imports, so that no arrow could run upward.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import grimp

from tests.docs.svg import GREY, arrow, box, picture, text

COLUMNS = 4
WIDTH, HEIGHT = 130, 34
ACROSS, DOWN = 180, 74
LEFT, TOP = 90, 24

Imports = dict[str, set[str]]
Floors = list[list[str]]
Places = dict[str, tuple[int, int]]
"""Each room's column, from the left, and floor, from the ground."""


def draw() -> str:
    """The picture."""
    imports = read_imports()
    floors = stack(imports)
    ways = [(a, b) for a, below in shortened(imports, floors).items() for b in sorted(below)]
    return _draw(place(floors, ways), ways)


def read_imports() -> Imports:
    """Which rooms each room imports."""
    graph = grimp.build_graph("nodes", "console", cache_dir=None)
    found: Imports = {}
    for module in sorted(graph.modules - {"nodes"}):
        room = _room(module)
        imported = {_room(one) for one in graph.find_modules_directly_imported_by(module)}
        found.setdefault(room, set()).update(imported - {room, "nodes"})
    return found


def _room(module: str) -> str:
    top, _, inside = module.partition(".")
    return inside.partition(".")[0] or top if top == "nodes" else top


def stack(imports: Imports) -> Floors:
    """The rooms of each floor, from the ground up.

    Raises:
        ValueError: some import each other in a circle, and have no floor.
    """
    floors: Floors = []
    left = dict(imports)
    while left:
        floor = sorted(room for room, below in left.items() if not below & left.keys())
        if not floor:
            raise ValueError(f"a circle of imports among {', '.join(sorted(left))}")
        floors.append(floor)
        left = {room: below for room, below in left.items() if room not in floor}
    return floors


def shortened(imports: Imports, floors: Floors) -> Imports:
    """The imports without those from a room that is reached through another one as well."""
    reached: Imports = {}
    for room in itertools.chain.from_iterable(floors):
        reached[room] = imports[room].union(*(reached[below] for below in imports[room]))
    return {
        room: {b for b in below if not any(b in reached[other] for other in below)}
        for room, below in imports.items()
    }


def place(floors: Floors, ways: list[tuple[str, str]]) -> Places:
    """Columns in which few arrows are long and none runs through a box, found by trying each
    floor's orders in turn until nothing gets better.
    """
    at: Places = {
        room: (column, number)
        for number, floor in enumerate(floors)
        for column, room in enumerate(floor)
    }
    cost, before = _cost(at, ways), float("inf")
    while cost < before:
        before = cost
        for number, floor in enumerate(floors):
            for columns in itertools.permutations(range(COLUMNS), len(floor)):
                other = at | {r: (c, number) for r, c in zip(floor, columns, strict=True)}
                if (better := _cost(other, ways)) < cost:
                    cost, at = better, other
    return at


def _cost(at: Places, ways: Iterable[tuple[str, str]]) -> float:
    taken = set(at.values())
    cost = 0.0
    for upper, lower in ways:
        (x, high), (to, low) = at[upper], at[lower]
        cost += abs(x - to) + 0.1 * x
        for floor in range(low + 1, high):
            across = x + (to - x) * (high - floor) / (high - low)
            cost += 20 * any(
                abs(across - column) < 0.6 for column, at_floor in taken if at_floor == floor
            )
    return cost


def _draw(at: Places, ways: Iterable[tuple[str, str]]) -> str:
    top = max(floor for _, floor in at.values())

    def corner(room: str) -> tuple[float, float]:
        column, floor = at[room]
        return LEFT + column * ACROSS, TOP + (top - floor) * DOWN

    parts = [
        text(16, TOP + (top - floor) * DOWN + HEIGHT / 2 + 5, f"floor {floor}", colour=GREY)
        for floor in range(top, -1, -1)
    ]
    for upper, lower in ways:
        (x, y), (to, below) = corner(upper), corner(lower)
        lean = max(-0.35, min(0.35, (to - x) / ACROSS * 0.3)) * WIDTH
        parts.append(arrow([(x + WIDTH / 2 + lean, y + HEIGHT), (to + WIDTH / 2 - lean, below)]))
    parts += [box(*corner(room), WIDTH, HEIGHT, room) for room in sorted(at)]
    return picture(LEFT + COLUMNS * ACROSS - 40, 2 * TOP + top * DOWN + HEIGHT, parts)
