"""Charts of blocks: columns over time, bars of shares, trends, a histogram, a heat map; pure.

Time runs from left (then) to right (now). A place without a value is None and stays empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from console.lines import Line, Run, Tone
from console.text import Glyphs, fit, number
from nodes.support.units import milliseconds

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


def nice_top(highest: float) -> float:
    """The end of an axis: the next of 1, 2, 2.5, 5, 10 times a power of ten."""
    if highest < LEAST_TOP:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= highest * 0.999)


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
    marks: Iterable[Mark], now: float, span_s: float, width: int, *, age_s: float = 0.0
) -> Line:
    """The line under a chart: how far back it goes, and the marks of what happened. Where two
    fall on one place the first is shown, but a hedge only if there is nothing else.

    Args:
        marks: what happened.
        now, span_s: the time at the right end, and how far back the left end is.
        width: cells that it takes.
        age_s: how long ago the right end is, in seconds: less than one is now.
    """
    start, end = ago(span_s + age_s), "now" if age_s < 1 else ago(age_s)
    cells = [Run(" ", Tone.FAINT)] * width
    for offset, text in ((0, start), (width - len(end), end)):
        for index, char in enumerate(text):
            if 0 <= offset + index < width:
                cells[offset + index] = Run(char, Tone.FAINT)
    for mark in marks:
        place = place_of(mark.at, now, span_s, width)
        if (
            place is not None
            and len(start) < place < width - len(end) - 1
            and cells[place].text in " h"
        ):
            cells[place] = Run(mark.letter, mark.tone)
    return merged(cells)


def chart(
    title: str,
    values: Values,
    *,
    size: tuple[int, int],
    glyphs: Glyphs,
    marks: Sequence[Mark] = (),
    now: float,
    span_s: float,
    age_s: float = 0.0,
    low: Values | None = None,
    upper: Tone = Tone.FAINT,
    unit: str = "",
    end: str = "now",
) -> list[Line]:
    """A chart with its axes. The title is on the first line where there are four or more.

    Args:
        title: what it shows.
        values: of each place from then to now.
        size: cells and lines that it takes.
        glyphs: what the terminal can show.
        marks: what happened.
        now, span_s, age_s: see `time_axis`.
        low, upper: see `columns`.
        unit: what the figures at the axis are in: "ms" for a latency, else a number.
        end: what the right end is called.
    """
    width, height = size
    titled = height >= 4
    rows = height - 1 - titled
    top = nice_top(max((value for value in values if value is not None), default=0.0))
    shown = milliseconds(top) if unit == "ms" else number(top)
    lines = [rule(title, width, glyphs)] if titled else []
    label = title if not titled else ""
    for index, body in enumerate(columns(values, rows, top, glyphs, low=low, upper=upper)):
        figure = shown if index == 0 else "0" if index == rows - 1 else label
        label = "" if index else label
        scale = Run(f"{fit(figure, AXIS_CELLS - 1, right=True)}{glyphs.axis}", Tone.FAINT)
        lines.append((scale, *body))
    axis = time_axis(marks, now, span_s, width - AXIS_CELLS, age_s=age_s)
    lead = fit(f" {title}", AXIS_CELLS) if not titled else " " * AXIS_CELLS
    lines.append((Run(lead, Tone.MUTED), *axis))
    return lines


def rule(title: str, width: int, glyphs: Glyphs) -> Line:
    """A line with a title in it."""
    lead = f"{glyphs.rule} "
    rest = max(0, width - len(lead) - len(title) - 1)
    return (
        Run(lead, Tone.FAINT),
        Run(title[: max(0, width - len(lead))], Tone.STRONG),
        Run(f" {glyphs.rule * rest}"[: max(0, width - len(lead) - len(title))], Tone.FAINT),
    )


def trend(values: Values, top: float, glyphs: Glyphs) -> str:
    """One line of blocks, on a scale that is given: rows beside each other can be compared."""
    steps = len(glyphs.blocks) - 1
    cells = []
    for value in values:
        part = min(1.0, value / top) if value is not None and top >= LEAST_TOP else 0.0
        filled = round(part * steps)
        least = 1 if value is not None else 0
        cells.append(glyphs.blocks[max(least, min(steps, filled))])
    return "".join(cells)


def share_bar(share: float, fair: float, width: int, glyphs: Glyphs) -> str:
    """A bar from nothing to twice the fair share, with a mark at the fair share.

    3 workers and 30 read alike: a bar that ends at the mark is a worker that does its part.
    """
    if width <= 0:
        return ""
    steps = len(glyphs.eighths)
    part = 0.0 if fair <= 0 else min(1.0, max(0.0, share / fair / 2))
    filled = round(part * width * steps)
    whole, rest = divmod(filled, steps)
    cells = [glyphs.bar] * whole + [" "] * (width - whole)
    if rest and whole < width:
        cells[whole] = glyphs.eighths[rest]
    middle = width // 2
    if middle < width and cells[middle] == " ":
        cells[middle] = glyphs.fair
    return "".join(cells)


def share_scale(width: int) -> str:
    """What stands above the bars: where nothing, the fair share and twice of it are."""
    middle = width // 2
    text = f"0{' ' * max(0, middle - 3)}fair"
    return fit(f"{text}{' ' * max(0, width - len(text) - 2)}2x", width)


def histogram(
    latencies: Sequence[tuple[float, int]], size: tuple[int, int], glyphs: Glyphs
) -> list[Line]:
    """Bars of a latency histogram, quickest first, with the percentage of each.

    Args:
        latencies: the upper bound of each bucket in milliseconds, and how many are in it.
        size: cells and lines that it takes.
        glyphs: what the terminal can show.
    """
    width, height = size
    buckets = _joined([bucket for bucket in latencies if bucket[1]], height)
    total = sum(amount for _, amount in buckets)
    room = max(1, width - 14)
    most = max((amount for _, amount in buckets), default=1)
    lines: list[Line] = []
    for bound, amount in buckets:
        label = f"<{milliseconds(bound)}" if math.isfinite(bound) else "more"
        length = amount / most * room
        filled, rest = int(length), int(length % 1 * len(glyphs.eighths))
        drawn = glyphs.bar * filled + (glyphs.eighths[rest] if rest else "")
        percent = amount / total
        share = f"{percent:4.0%}" if percent >= 0.01 else " <1%"
        lines.append(
            (Run(fit(label, 7, right=True), Tone.MUTED), Run(f" {drawn} ", Tone.BAR), Run(share))
        )
    return lines


def _joined(buckets: Sequence[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """At most that many buckets: neighbours are joined."""
    if not buckets or most <= 0:
        return []
    each = math.ceil(len(buckets) / most)
    groups = [buckets[start : start + each] for start in range(0, len(buckets), each)]
    return [(group[-1][0], sum(amount for _, amount in group)) for group in groups]


def heat_cell(value: float | None, top: float, glyphs: Glyphs) -> str:
    """A place of a heat map: a digit from 0 to 9, so that it needs no colour; "." for no value."""
    if value is None:
        return glyphs.nothing
    return str(min(9, int(value / top * 10))) if top > 0 else "0"
