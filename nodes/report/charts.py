"""Charts of a report, as SVG: steps from column to column, and an area from lowest to highest.

They stretch to whatever width there is; so texts stand beside them, and not within.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from nodes.report.markup import Markup, element
from nodes.report.model import Mark, Range, Report, Series
from nodes.report.telling import Clock, number
from nodes.wire import Level

HEIGHT = 100.0
"""Units of a chart's height; each column is one unit wide."""

MAX_LETTERS = 48
"""Marks that have room side by side: of those closer together, the first has the letter."""

TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
MAX_TICKS = 7
DAY_S = 86400

BAND_HEIGHTS = {"OUTAGE": 1.0, "MASTER_LOST": 1.0, "DEGRADED": 0.75, "STARTING": 0.5}
"""How much of its height a level takes in the band, so that it is told without colours."""

LEAST_LOG = 0.01
"""The lowest value of a logarithmic scale, in milliseconds."""


class Scale(NamedTuple):
    """A vertical axis.

    Attributes:
        low, high: its ends.
        ticks: values that are told at it.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def y(self, value: float) -> float:
        """Where a value is, 0 at the top."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(max(one, LEAST_LOG)) for one in (value, low, high))
        part = (value - low) / (high - low)
        return round(HEIGHT * (1 - min(1.0, max(0.0, part))), 1)


def linear_scale(highest: float) -> Scale:
    """From zero to a round number that is not below."""
    if not 0 < highest < math.inf:
        return Scale(0.0, 1.0, (0.0, 1.0))
    unit = 10.0 ** math.floor(math.log10(highest))
    top = next(n * unit for n in (1, 2, 4, 5, 8, 10) if n * unit >= highest * (1 - 1e-9))
    return Scale(0.0, top, (0.0, top / 2, top))


def count_scale(highest: float) -> Scale:
    """For what has no halves."""
    top = max(1, math.ceil(highest))
    top += top % 2 if top > 1 else 0
    return Scale(0.0, float(top), (0.0, top / 2, float(top)) if top > 1 else (0.0, 1.0))


def log_scale(lowest: float, highest: float) -> Scale:
    """Whole powers of ten."""
    begin = math.floor(math.log10(max(lowest, LEAST_LOG)))
    end = max(begin + 1, math.ceil(math.log10(max(highest, LEAST_LOG)) - 1e-9))
    step = 1 if end - begin <= 4 else 2
    ticks = tuple(10.0**n for n in range(begin, end + 1, step))
    return Scale(10.0**begin, 10.0**end, ticks, log=True)


# -- paths ----------------------------------------------------------------------------------


def _runs(columns: Sequence[Range | None]) -> Iterator[tuple[int, list[Range]]]:
    """The columns of which something is known, those side by side together."""
    indexed = enumerate(columns)
    for known, run in groupby(indexed, key=lambda one: one[1] is not None):
        if known:
            some = list(run)
            yield some[0][0], [value for _, value in some if value is not None]


def _steps(start: int, heights: Sequence[float], step: int = 1) -> str:
    """A line through these heights, from the place `start` on, to the right or to the left."""
    said = [f"{heights[0]:g}"]
    at, height = start, heights[0]
    for other in heights:
        if other != height:
            said.append(f"H{at}V{other:g}")
            height = other
        at += step
    return "".join((*said, f"H{at}"))


def line(columns: Sequence[Range | None], scale: Scale) -> str:
    """The means, as a path."""
    return "".join(
        f"M{start} {_steps(start, [scale.y(mean) for _, mean, _ in run])}"
        for start, run in _runs(columns)
    )


def area(columns: Sequence[Range | None], scale: Scale) -> str:
    """From the lowest to the highest of each column, as a path."""
    parts = []
    for start, run in _runs(columns):
        highest = [scale.y(high) for _, _, high in run]
        lowest = [scale.y(low) for low, _, _ in reversed(run)]
        back = _steps(start + len(run), lowest, -1)
        parts.append(f"M{start} {_steps(start, highest)}V{back}Z")
    return "".join(parts)


# -- what is drawn ----------------------------------------------------------------------------


class Curve(NamedTuple):
    """A series as it is drawn; `kind` is its colour's name."""

    series: Series
    kind: str


class Axes(NamedTuple):
    """What the charts of a report have in common."""

    columns: int
    step_s: float
    first: float
    clock: Clock
    marks: tuple[Mark, ...]

    @classmethod
    def of(cls, report: Report, clock: Clock) -> Axes:
        """Of that report."""
        charts = report.charts
        return cls(len(charts.levels), charts.step_s, report.first, clock, report.events.marks)

    @property
    def marks_are_few(self) -> bool:
        """Whether there is room for all of them in a chart."""
        return len(self.marks) <= MAX_LETTERS

    def at(self, column: float) -> float:
        """The time at which a column begins, Unix time in seconds."""
        return self.first + column * self.step_s

    def left(self, column: float) -> str:
        """Where a column is, as CSS has it."""
        return f"left:{100 * column / self.columns:.2f}%"


def drawing(axes: Axes, *content: str | Iterable[str], height: float, label: str) -> Markup:
    """An SVG picture as wide as there is room."""
    return element(
        "svg",
        *content,
        viewBox=f"0 0 {axes.columns} {height:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def chart(
    axes: Axes,
    title: str,
    told: str,
    curves: Sequence[Curve],
    scale: Scale,
) -> Markup:
    """One chart with its axes.

    Args:
        axes: see there.
        title: what it shows.
        told: the same in words.
        curves: what is drawn.
        scale: its vertical axis.
    """
    known = any(one is not None for curve in curves for one in curve.series.columns)
    keys = (
        element("span", element("i", class_=curve.kind), curve.kind)
        for curve in curves
        if len(curves) > 1
    )
    figures = (
        element("span", number(tick), style=f"top:{scale.y(tick):g}%") for tick in scale.ticks
    )
    picture = drawing(axes, _drawn(axes, curves, scale), height=HEIGHT, label=f"{title}: {told}")
    return element(
        "figure",
        element("figcaption", element("b", title), keys, element("span", told)),
        element("div", figures, class_="figures"),
        element("div", picture, class_="plot")
        if known
        else element("div", "nothing is known of it", class_="plot none"),
        time_axis(axes),
        class_="chart",
    )


def _drawn(axes: Axes, curves: Sequence[Curve], scale: Scale) -> Iterator[Markup]:
    """The lines of a chart, from behind to before."""
    for tick in scale.ticks:
        yield element("path", d=f"M0 {scale.y(tick):g}H{axes.columns}", class_="rule")
    for mark in axes.marks if axes.marks_are_few else ():
        kind = "mark bad" if mark.bad else "mark"
        yield element("path", d=f"M{mark.column} 0V{HEIGHT:g}", class_=kind)
    for curve in curves:
        path = area(curve.series.columns, scale)
        yield element("path", d=path, class_=f"area {curve.kind}")
        path = line(curve.series.columns, scale)
        yield element("path", d=path, class_=f"line {curve.kind}")


def time_axis(axes: Axes) -> Markup:
    """Times below a chart."""
    span_s = axes.columns * axes.step_s
    days = math.ceil(span_s / DAY_S / MAX_TICKS)
    step_s = next((one for one in TICKS_S if span_s <= one * MAX_TICKS), days * DAY_S)
    shift_s = axes.clock.offset_s
    start = math.ceil((axes.first + shift_s) / step_s) * step_s - shift_s
    ticks = []
    for index in range(MAX_TICKS + 1):
        column = (start + index * step_s - axes.first) / axes.step_s
        if column <= axes.columns * 0.94:
            told = axes.clock.tick(start + index * step_s, step_s)
            kind = "odd" if index % 2 else None
            ticks.append(element("span", told, style=axes.left(column), class_=kind))
    return element("div", ticks, class_="times")


def band(axes: Axes, levels: Sequence[str]) -> Markup:
    """The verdict over time: a band, in which what is worse stands higher."""
    rects: list[Markup] = []
    begin = 0
    for level, run in groupby(levels):
        width = len(list(run))
        if level:
            height = 20 * BAND_HEIGHTS.get(level, 0.35)
            rects.append(
                element(
                    "rect",
                    x=str(begin),
                    y=f"{20 - height:g}",
                    width=str(width),
                    height=f"{height:g}",
                    class_=level.lower(),
                )
            )
        begin += width
    worst = min((Level[one] for one in levels if one), default=None)
    label = "the verdict over time" + (f", at worst {worst.word}" if worst is not None else "")
    return element(
        "figure",
        element("div", class_="figures"),
        element("div", [_letter(axes, *one) for one in letters(axes)], class_="letters"),
        element("div", class_="figures"),
        element("div", drawing(axes, rects, height=20, label=label), class_="band"),
        time_axis(axes),
        class_="chart",
    )


def letters(axes: Axes) -> list[tuple[Mark, list[Mark]]]:
    """The marks that there is room for over the time, each with all that it stands for."""
    placed: list[list[Mark]] = []
    for mark in axes.marks:
        if placed and mark.column - placed[-1][0].column < axes.columns / MAX_LETTERS:
            placed[-1].append(mark)
        else:
            placed.append([mark])
    return [(next((one for one in some if one.bad), some[0]), some) for some in placed]


def _letter(axes: Axes, shown: Mark, marks: Sequence[Mark]) -> Markup:
    told = [f"{axes.clock.time(axes.at(one.column))} {one.text}" for one in marks[:5]]
    return element(
        "span",
        shown.letter,
        class_="bad" if shown.bad else None,
        style=axes.left(shown.column),
        title="; ".join(told),
    )


def spark(rates: Sequence[float | None], states: Sequence[str], highest: float) -> Markup:
    """A worker's small chart: its rate, over a strip of how it was."""
    scale = Scale(0.0, max(highest, 1e-9), ())
    columns = [None if rate is None else (rate, rate, rate) for rate in rates]
    drawn = [
        element("path", d=line(columns, scale), class_="line rate", transform="scale(1 .16)"),
    ]
    begin = 0
    for state, run in groupby(states):
        width = len(list(run))
        if state:
            drawn.append(
                element("rect", x=str(begin), y="18", width=str(width), height="4", class_=state)
            )
        begin += width
    return element(
        "svg",
        drawn,
        viewBox=f"0 -1 {max(1, len(states))} 23",
        preserveAspectRatio="none",
        class_="spark",
        role="img",
        aria_label=f"lookups a second, {highest:.0f} at the highest of all workers",
    )
