"""The plan of the main screen: where each part of it stands; pure.

The worker list is as high as its rows, up to half of the screen; what is left goes to the charts
and to the panels below. On a wide screen those stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from textual.geometry import Region

MIN_WIDTH, MIN_HEIGHT = 60, 16
"""Cells and lines below which the screen says how large it must be, and nothing else."""

WIDE_CELLS = 110
"""Cells from which the lower panels stand side by side."""

HEAD_LINES = 2
SIGN_CELLS, HINT_CELLS = 3, 34
LOWER_LINES = 3
"""Lines that the lower panels have at least, their heads apart."""

MIN_CHART_LINES, MAX_CHART_LINES = 3, 16

ANSWER_LINES = 8
"""Lines for answer and events, their heads among them, before charts have more than they need."""

WIDE_CHART_LINES = 6
CHART_PART = 0.4
"""Lines that charts have at least on a wide screen, and the part of a high one that they have."""


class Part(StrEnum):
    """The parts of the screen, by the ids of their widgets."""

    TOO_SMALL = "too-small"
    HEAD = "head"
    CHARTS = "charts"
    WORKERS_HEAD = "workers-head"
    WORKERS = "workers"
    LEFT_TABS = "left-tabs"
    ASK = "ask"
    SIGN = "sign"
    HINT = "hint"
    RIGHT_TABS = "right-tabs"
    LEFT_LOWER_TABS = "left-lower-tabs"
    RIGHT_LOWER_TABS = "right-lower-tabs"
    ANSWER = "answer"
    EVENTS = "events"
    SLOW = "slow"
    LOOKUPS = "lookups"
    HEAT = "heat"
    MESSAGE = "message"
    LINE = "line"
    KEYS = "keys"


TALL_LINES = 15
"""Lines for the panels below the workers from which a wide screen shows four of them at once."""

LEFT_PANELS = (Part.ANSWER, Part.SLOW, Part.LOOKUPS)
RIGHT_PANELS = (Part.EVENTS, Part.HEAT)
LOWER_PANELS = (Part.EVENTS, Part.SLOW, Part.LOOKUPS, Part.HEAT, Part.ANSWER)
"""The panels below the workers: left and right on a wide screen, else in one place."""

PLACES = {"left": LEFT_PANELS, "right": RIGHT_PANELS, "lower": LOWER_PANELS}
"""The places for panels, and what can be shown in each: the last is for a narrow screen."""

OF_FRONT = (Part.ANSWER, Part.SLOW, Part.LOOKUPS)
"""The panels that are of the cluster in front alone."""

PANELS = {
    "1": Part.WORKERS,
    "2": Part.ANSWER,
    "3": Part.EVENTS,
    "4": Part.SLOW,
    "5": Part.LOOKUPS,
    "6": Part.HEAT,
}
"""The panels by their digits."""

TITLES = {
    Part.WORKERS: "Workers",
    Part.ANSWER: "Ask",
    Part.EVENTS: "Events",
    Part.SLOW: "Slow lookups",
    Part.LOOKUPS: "Lookups",
    Part.HEAT: "Heat",
}

Plan = Mapping[Part, Region]


def panels_at_start(wanted: Mapping[str, Part], last: Mapping[str, str]) -> dict[str, Part]:
    """Which panel each place shows at first.

    Args:
        wanted: what the operator's settings file says.
        last: what was shown last, by its id; it may be of another version.
    """
    panels = {"left": Part.ANSWER, "right": Part.EVENTS, "lower": Part.EVENTS}
    for place, possible in PLACES.items():
        before = next((part for part in possible if part == last.get(place)), panels[place])
        panels[place] = wanted.get(place, before)
    return panels


def is_wide(width: int) -> bool:
    """Whether the lower panels stand side by side."""
    return width >= WIDE_CELLS


def make_plan(
    size: tuple[int, int],
    *,
    rows: int,
    left: Part = Part.ANSWER,
    right: Part = Part.EVENTS,
    lower: Part = Part.EVENTS,
    figures: Part = Part.LOOKUPS,
    lowest: int = 4,
    zoomed: Part | None = None,
    line_open: bool = False,
) -> Plan:
    """Where the parts stand that are shown.

    Args:
        size: of the screen, in cells and lines.
        rows: lines that the worker table would fill, its header and total among them.
        left, right: the panels shown on a wide screen.
        lower: the panel shown on a narrow one.
        figures: the one of lookups by name and slow lookups that a wide and tall one shows.
        lowest: lines that the lowest panels of a wide and tall screen would fill.
        zoomed: the one that has the whole screen; None for none.
        line_open: whether the command line is open: it stands where the message is.
    """
    width, height = size
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return {Part.TOO_SMALL: Region(0, 0, width, height)}
    plan = {
        Part.HEAD: Region(0, 0, width, HEAD_LINES),
        (Part.LINE if line_open else Part.MESSAGE): Region(0, height - 2, width, 1),
        Part.KEYS: Region(0, height - 1, width, 1),
    }
    top, bottom = HEAD_LINES, height - 2
    if zoomed is not None:
        return plan | _zoomed(zoomed, width, top, bottom)
    workers = min(max(3, rows), max(4, height // 2 - 1))
    fixed = 1 + workers + 3  # the heads of the workers and of both lower panels, the query line
    free = bottom - top - fixed - LOWER_LINES
    if free < 0:
        workers = max(3, workers + free)
    charts = _chart_lines(free, height)
    spare = bottom - top - 1 - workers - ANSWER_LINES - 1 - lowest
    tall = is_wide(width) and spare >= WIDE_CHART_LINES
    if tall:
        charts = min(spare, max(MAX_CHART_LINES, round((bottom - top) * CHART_PART)))
    plan[Part.CHARTS] = Region(0, top, width, charts)
    top += charts
    plan[Part.WORKERS_HEAD] = Region(0, top, width, 1)
    plan[Part.WORKERS] = Region(0, top + 1, width, workers)
    top += 1 + workers
    if tall or (is_wide(width) and bottom - top >= TALL_LINES):
        plan |= _four(figures, width, top, bottom, lowest)
    elif is_wide(width):
        plan |= _side_by_side(left, right, width, top, bottom)
    else:
        plan |= _stacked(lower, width, top, bottom)
    return {part: region for part, region in plan.items() if region.area}


def _chart_lines(free: int, height: int) -> int:
    """Lines of the charts: a third of what is free on a high screen."""
    if free < MIN_CHART_LINES:
        return 0
    wanted = MIN_CHART_LINES if height < 30 else max(6, round(free * 0.4))
    return min(free, wanted, MAX_CHART_LINES)


def _side_by_side(left: Part, right: Part, width: int, top: int, bottom: int) -> dict[Part, Region]:
    split = width * 54 // 100
    return {
        Part.LEFT_TABS: Region(0, top, split, 1),
        Part.RIGHT_TABS: Region(split + 1, top, width - split - 1, 1),
        **_asking(split, top + 1),
        left: Region(0, top + 2, split, bottom - top - 2),
        right: Region(split + 1, top + 1, width - split - 1, bottom - top - 1),
    }


def _four(figures: Part, width: int, top: int, bottom: int, lowest: int) -> dict[Part, Region]:
    """The answer above figures of lookups, to the left; the events above the heat map."""
    split = width * 54 // 100
    right = width - split - 1
    lower = max(min(1 + lowest, bottom - top - ANSWER_LINES), (bottom - top) * 2 // 5)
    middle = bottom - lower
    return {
        Part.LEFT_TABS: Region(0, top, split, 1),
        Part.RIGHT_TABS: Region(split + 1, top, right, 1),
        **_asking(split, top + 1),
        Part.ANSWER: Region(0, top + 2, split, middle - top - 2),
        Part.EVENTS: Region(split + 1, top + 1, right, middle - top - 1),
        Part.LEFT_LOWER_TABS: Region(0, middle, split, 1),
        Part.RIGHT_LOWER_TABS: Region(split + 1, middle, right, 1),
        figures: Region(0, middle + 1, split, lower - 1),
        Part.HEAT: Region(split + 1, middle + 1, right, lower - 1),
    }


def _stacked(lower: Part, width: int, top: int, bottom: int) -> dict[Part, Region]:
    return {
        Part.LEFT_TABS: Region(0, top, width, 1),
        **_asking(width, top + 1),
        Part.RIGHT_TABS: Region(0, top + 2, width, 1),
        lower: Region(0, top + 3, width, bottom - top - 3),
    }


def _asking(width: int, top: int) -> dict[Part, Region]:
    hint = min(HINT_CELLS, width // 3)
    return {
        Part.SIGN: Region(0, top, SIGN_CELLS, 1),
        Part.ASK: Region(SIGN_CELLS, top, width - hint - SIGN_CELLS, 1),
        Part.HINT: Region(width - hint, top, hint, 1),
    }


def _zoomed(part: Part, width: int, top: int, bottom: int) -> dict[Part, Region]:
    if part is Part.WORKERS:
        return {
            Part.WORKERS_HEAD: Region(0, top, width, 1),
            part: Region(0, top + 1, width, bottom - top - 1),
        }
    if part is Part.ANSWER:
        return {
            Part.LEFT_TABS: Region(0, top, width, 1),
            **_asking(width, top + 1),
            part: Region(0, top + 2, width, bottom - top - 2),
        }
    return {
        Part.RIGHT_TABS: Region(0, top, width, 1),
        part: Region(0, top + 1, width, bottom - top - 1),
    }
