"""A lookup's way: from a client through the master to a worker's catalog, and back.

The steps are told here; that the rooms exist, and that what happens within one process follows the
code's imports, is looked up in the code.
"""

from __future__ import annotations

from tests.docs.house import read_imports
from tests.docs.svg import GREY, arrow, box, picture, text

PROCESSES = {
    "client's process": ("client",),
    "master's process": ("master", "dispatch", "routing"),
    "worker's process": ("worker", "catalog"),
}
PROCESS_OF = {room: process for process, rooms in PROCESSES.items() for room in rooms}
ROOMS = tuple(PROCESS_OF)

STEPS = [
    ("client", "master", "name and arguments"),
    ("master", "master", "looks at their form"),
    ("master", "dispatch", "the same bytes"),
    ("dispatch", "routing", "whom to ask?"),
    ("routing", "dispatch", "who has the least load"),
    ("dispatch", "worker", "the same bytes"),
    ("worker", "catalog", "one indexed read"),
    ("catalog", "worker", "finished JSON"),
    ("worker", "dispatch", "the same bytes"),
    ("dispatch", "dispatch", "is that an answer?"),
    ("dispatch", "routing", "how it went"),
    ("dispatch", "master", "an answer"),
    ("master", "client", "envelope and bytes"),
]
ASIDE = [
    "Late: routing has dispatch ask a second worker as well (a hedge); the first answer counts.",
    "Failed: routing names another worker, not asked so far (a reroute), until the deadline.",
]

ACROSS, WIDTH, HEIGHT = 165, 110, 32
TOP, DOWN = 56, 38


def draw() -> str:
    """The picture.

    Raises:
        ValueError: the code has no such rooms, or one that does not import the other it asks.
    """
    check(read_imports())
    bottom = TOP + HEIGHT + DOWN * len(STEPS) + 14
    parts: list[str] = []
    for process, rooms in PROCESSES.items():
        left, right = _middle(rooms[0]) - WIDTH / 2 - 10, _middle(rooms[-1]) + WIDTH / 2 + 10
        parts += [
            f'<rect x="{left:g}" y="14" width="{right - left:g}" height="{bottom - 4:g}" rx="8" '
            f'fill="none" stroke="{GREY}" stroke-dasharray="4 4"/>',
            text((left + right) / 2, 36, process, anchor="middle", colour=GREY),
        ]
    for room in ROOMS:
        middle = _middle(room)
        parts += [
            f'<path d="M{middle:g} {TOP + HEIGHT}V{bottom:g}" stroke="#d0d7de"/>',
            box(middle - WIDTH / 2, TOP, WIDTH, HEIGHT, room),
        ]
    for number, (asker, asked, words) in enumerate(STEPS, 1):
        y = TOP + HEIGHT + DOWN * number
        parts += _step(_middle(asker), _middle(asked), y, f"{number}. {words}")
    parts += [text(20, bottom + 36 + 22 * line, words) for line, words in enumerate(ASIDE)]
    return picture(_middle(ROOMS[-1]) + WIDTH / 2 + 24, bottom + 80, parts)


def check(imports: dict[str, set[str]]) -> None:
    """Holds the steps against the code's imports; raises `ValueError` where they differ."""
    for asker, asked, words in STEPS:
        if not {asker, asked} <= imports.keys():
            raise ValueError(f"there is no such room: {words}")
        same = PROCESS_OF[asker] == PROCESS_OF[asked] and asker != asked
        if same and asked not in imports[asker] and asker not in imports[asked]:
            raise ValueError(f"{asker} and {asked} do not import each other: {words}")


def _middle(room: str) -> float:
    return 80 + ROOMS.index(room) * ACROSS


def _step(start: float, end: float, y: float, words: str) -> list[str]:
    if start == end:
        loop = [(start, y - 8), (start + 16, y - 8), (start + 16, y + 4), (start, y + 4)]
        return [arrow(loop), _label(start + 22, y + 3, words, "start")]
    return [arrow([(start, y), (end, y)]), _label((start + end) / 2, y - 8, words, "middle")]


def _label(x: float, y: float, words: str, anchor: str) -> str:
    """Text with white around it, so that no line runs through it."""
    halo = 'stroke="#fff" stroke-width="5" paint-order="stroke"'
    return f"<g {halo}>{text(x, y, words, anchor=anchor)}</g>"
