"""Charts of blocks: columns over time, bars of shares, trends, a histogram, a heat map; pure.

Time runs from left (then) to right (now). A place without a value is None and stays empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from console.lines import Line, Run, Tone
from console.text import Glyphs, fit, number

Values = Sequence[float | None]

LEAST_TOP = 1e-6
"""A highest value below which there is nothing to draw."""

AXIS_CELLS = 6
"""Cells left of a chart, for the figures at its axis."""


class Point(NamedTuple):
    """A value at a time (Unix, seconds)."""

    at: float
    value: float | None


class Mark(NamedTuple):
    """Something that happened, as one letter on the axis of time."""

    at: float
    letter: str
    tone: Tone


def resample(
    points: Iterable[Point], now: float, span_s: float, width: int, *, mean: bool = True
) -> list[float | None]:
    """Values of the last `span_s` seconds in `width` places: the mean of each, or the highest."""
    places: list[list[float]] = [[] for _ in range(width)]
    for at, value in points:
        place = place_of(at, now, span_s, width)
        if value is not None and place is not None:
            places[place].append(value)
    if mean:
        found = [sum(place) / len(place) if place else None for place in places]
    else:
        found = [max(place, default=None) for place in places]
    return _bridged(found, max(1, math.ceil(width / max(1.0, span_s)) + 1))


def place_of(at: float, now: float, span_s: float, width: int) -> int | None:
    """The place of a moment among `width` places of the last `span_s` seconds."""
    back = now - at
    if width <= 0 or not 0 <= back < span_s:
        return None
    return width - 1 - min(width - 1, int(back / span_s * width))


def _bridged(values: list[float | None], most: int) -> list[float | None]:
    """Gaps of at most `most` places take the value before them: there is one sample a second,
    and there may be more places than seconds.
    """
    bridged = list(values)
    for index, value in enumerate(values):
        if value is None:
            before = [v for v in values[max(0, index - most) : index] if v is not None]
            bridged[index] = before[-1] if before else None
    return bridged


STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
LOG_STEPS = (1, 2, 5, 10)
"""Where an axis may end, times a power of ten: a linear one, and a logarithmic one."""

SPARE = 0.7
"""Part of the lowest value at which a logarithmic axis begins at most: what is there is seen."""


def nice_top(highest: float, steps: Sequence[float] = STEPS) -> float:
    """The end of an axis: the next of the steps times a power of ten."""
    if highest < LEAST_TOP:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in steps if step * power >= highest * 0.999)


class Scale(NamedTuple):
    """An axis from its floor to its top; logarithmic where the floor is not zero."""

    top: float
    floor: float = 0.0

    def part(self, value: float) -> float:
        """How far up a value is, from 0 to 1."""
        if not self.floor:
            return value / self.top
        if value <= self.floor:
            return 0.0
        return math.log(value / self.floor) / math.log(self.top / self.floor)

    def row(self, value: float, rows: int) -> int:
        """The line of a chart, from the top, that a value reaches into."""
        return rows - 1 - min(rows - 1, int(self.part(value) * rows))

    @property
    def figures(self) -> list[float]:
        """What stands at the axis, the most important first."""
        if not self.floor:
            return [self.top, 0.0, self.top / 2]
        low, high = math.ceil(math.log10(self.floor)), math.floor(math.log10(self.top))
        return [self.top, self.floor, *(10.0**power for power in range(low, high + 1))]


def linear_scale(values: Iterable[float | None]) -> Scale:
    """From zero to a round figure."""
    return Scale(nice_top(max((value for value in values if value is not None), default=0.0)))


def log_scale(*lists: Iterable[float | None]) -> Scale:
    """From a round figure below the lowest value to one above the highest."""
    found = [value for values in lists for value in values if value and value > LEAST_TOP]
    if not found:
        return Scale(1.0)
    power = 10.0 ** math.floor(math.log10(min(found) * SPARE))
    floor = max(step * power for step in LOG_STEPS if step * power <= min(found) * SPARE * 1.001)
    return Scale(nice_top(max(found), LOG_STEPS), floor)


def columns(
    values: Values,
    height: int,
    top: float,
    glyphs: Glyphs,
    *,
    low: Values | None = None,
    upper: Tone = Tone.FAINT,
) -> list[Line]:
    """Columns of blocks, from the top line down.

    Args:
        values: a value for each column.
        height: lines.
        top: the value that fills all of them.
        glyphs: what the terminal can show.
        low: values up to whose height a column is drawn as usual; what is above them is drawn as
            `upper` says.
        upper: see `low`.
    """
    steps = len(glyphs.blocks) - 1
    lines = []
    for level in range(height - 1, -1, -1):
        cells = []
        for index, value in enumerate(values):
            filled = 0 if value is None else _steps(value, height, top, steps) - level * steps
            under = low[index] if low is not None else value
            strong = under is not None and _steps(under, height, top, steps) > level * steps
            text = glyphs.blocks[max(0, min(steps, filled))]
            cells.append(Run(text, Tone.BAR if strong else upper))
        lines.append(merged(cells))
    return lines


def _steps(value: float, height: int, top: float, steps: int) -> int:
    """How many steps of a column a value fills; what is there at all fills one."""
    exact = value / top * height * steps
    return max(1, round(exact)) if value > 0 else 0


def merged(runs: Iterable[Run]) -> Line:
    """The same line in as few runs as can be."""
    groups = groupby(runs, key=lambda run: (run.tone, run.action))
    return tuple(Run("".join(r.text for r in group), *how) for how, group in groups)


def ago(span_s: float) -> str:
    """How far back an axis of time begins."""
    return f"-{span_s:.0f}s" if span_s < 120 else f"-{span_s / 60:.0f}m"


def time_axis(
    marks: Iterable[Mark],
    now: float,
    span_s: float,
    width: int,
    *,
    age_s: float = 0.0,
    end: str = "now",
    of: str = "",
) -> Line:
    """The line under a chart: how far back it goes, what it is of, the marks of what happened, and
    what its end is called. Where two marks fall on one place the first is shown, but a hedge only
    if there is nothing else.

    Args:
        marks: what happened.
        now, span_s: the time at the right end, and how far back the left end is.
        width: cells that it takes.
        age_s: how long ago the right end is, in seconds: less than one is no age.
        end: what the right end is called, if it has no age.
        of: the name of the cluster, where there are several.
    """
    start = f"{ago(span_s + age_s)} {of}".rstrip()
    end = end if age_s < 1 else ago(age_s)
    placed: dict[int, Mark] = {}
    for mark in marks:
        place = place_of(mark.at, now, span_s, width)
        if place is not None and place > len(start):
            known = placed.get(place)
            placed[place] = mark if known is None or known.letter == "h" else known
    if any(place >= width - len(end) - 1 for place in placed):
        end = ""  # what happened just now says more
    cells = [Run(" ", Tone.FAINT)] * width
    for offset, text in ((0, start), (width - len(end), end)):
        for index, char in enumerate(text):
            if 0 <= offset + index < width:
                cells[offset + index] = Run(char, Tone.FAINT)
    for place, mark in placed.items():
        cells[place] = Run(mark.letter, mark.tone)
    return merged(cells)


def chart(
    title: str,
    values: Values,
    *,
    size: tuple[int, int],
    glyphs: Glyphs,
    scale: Scale,
    marks: Sequence[Mark] = (),
    now: float,
    span_s: float,
    age_s: float = 0.0,
    low: Values | None = None,
    upper: Tone = Tone.FAINT,
    text: Callable[[float], str] = number,
    end: str = "now",
    of: str = "",
) -> list[Line]:
    """A chart with its axes. The title is on the first line where there are four or more; where
    there are fewer, the axis of time says what it is of.

    Args:
        title: what it shows.
        values: of each place from then to now.
        size: cells and lines that it takes.
        glyphs: what the terminal can show.
        scale: its vertical axis.
        marks: what happened.
        now, span_s, age_s, end, of: see `time_axis`.
        low, upper: see `columns`.
        text: a figure, as it stands at the axis.
    """
    width, height = size
    titled = height >= 4
    rows = height - 1 - titled
    lines = [rule(title, width, glyphs)] if titled else []
    figures = _axis_figures(scale, rows, text)
    drawn = _columns_of(scale, values, low)
    body = columns(drawn[0], rows, 1.0, glyphs, low=drawn[1], upper=upper)
    for index, line in enumerate(body):
        figure = figures.get(index, "")
        lead = Run(f"{fit(figure, AXIS_CELLS - 1, right=True)}{glyphs.axis}", Tone.FAINT)
        lines.append((lead, *(_ruled(line, glyphs) if figure and titled else line)))
    of = "" if titled else of
    axis = time_axis(marks, now, span_s, width - AXIS_CELLS, age_s=age_s, end=end, of=of)
    lead_text = fit(f" {title}", AXIS_CELLS) if not titled else " " * AXIS_CELLS
    lines.append((Run(lead_text, Tone.MUTED), *axis))
    return lines


def _columns_of(
    scale: Scale, values: Values, low: Values | None
) -> tuple[list[float | None], list[float | None] | None]:
    """Values as parts of the height: what is there at all is more than none of it."""

    def part(value: float | None) -> float | None:
        return None if value is None else max(scale.part(value), LEAST_TOP if value else 0.0)

    return [part(one) for one in values], None if low is None else [part(one) for one in low]


def _axis_figures(scale: Scale, rows: int, text: Callable[[float], str]) -> dict[int, str]:
    """The figures at the axis, by their lines: none beside another."""
    placed: dict[int, str] = {}
    for figure in scale.figures:
        row = 0 if figure == scale.top else scale.row(figure, rows)
        at_the_end = figure in (scale.floor, 0.0) and row not in placed
        if at_the_end or all(abs(row - other) > 1 for other in placed):
            placed[row] = text(figure)
    return placed


def _ruled(line: Line, glyphs: Glyphs) -> Line:
    """A line of a chart with a figure at its axis: what is empty of it is ruled."""
    return merged(
        Run(glyphs.grid, Tone.GRID) if char == " " else Run(char, run.tone)
        for run in line
        for char in run.text
    )


def rule(title: str, width: int, glyphs: Glyphs) -> Line:
    """A line with a title in it."""
    lead = f"{glyphs.rule} "
    rest = max(0, width - len(lead) - len(title) - 1)
    return (
        Run(lead, Tone.FAINT),
        Run(title[: max(0, width - len(lead))], Tone.STRONG),
        Run(f" {glyphs.rule * rest}"[: max(0, width - len(lead) - len(title))], Tone.FAINT),
    )
