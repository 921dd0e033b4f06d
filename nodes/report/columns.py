"""Time cut into columns: of a figure, each keeps the lowest value, the mean and the highest.

So a single bad second stays visible, however long the time is that a chart shows.
"""

from __future__ import annotations

import math

from nodes.report.model import Peak, Range, Series

STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds that a column may take; beyond the last, whole hours."""

MAX_GAP_S = 5.0
"""Seconds between two samples up to which the later one speaks of all of them."""


def step_for(span_s: float, most: int) -> float:
    """The least of those steps with which so many seconds take at most so many columns."""
    for step in STEPS_S:
        if span_s <= step * most:
            return float(step)
    return math.ceil(span_s / most / STEPS_S[-1]) * float(STEPS_S[-1])


class Grid:
    """The columns of a stretch of time.

    Args:
        first, last: Unix time in seconds.
        most: columns at most.
    """

    def __init__(self, first: float, last: float, most: int) -> None:
        self.first = first
        self.step_s = step_for(last - first, most)
        self.count = max(1, math.ceil((last - first) / self.step_s))

    def column(self, at: float) -> int | None:
        """Where that time is, None for nowhere."""
        index = math.floor((at - self.first) / self.step_s)
        if index == self.count and at - self.first <= self.count * self.step_s:
            index -= 1  # the very end
        return index if 0 <= index < self.count else None

    def spanned(self, since: float, at: float) -> range:
        """The columns of which a sample speaks that came after one of `since`."""
        end = self.column(at)
        if end is None:
            return range(0)
        if not 0 < at - since <= MAX_GAP_S:
            return range(end, end + 1)
        begin = self.column(max(since, self.first))
        return range(end if begin is None else min(begin + 1, end), end + 1)


class Ranges:
    """The range of one figure in each column."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._columns: list[list[float] | None] = [None] * grid.count
        self._peak: Peak | None = None

    def add(self, since: float, at: float, value: float | None) -> None:
        """Takes a value that was measured at a time, after one of `since`."""
        if value is None or not math.isfinite(value):
            return
        for index in self._grid.spanned(since, at):
            column = self._columns[index]
            if column is None:
                self._columns[index] = [value, value, 1.0, value]
            else:
                column[0] = min(column[0], value)
                column[1] += value
                column[2] += 1.0
                column[3] = max(column[3], value)
            if self._peak is None or value > self._peak.value:
                self._peak = Peak(at, value)

    def series(self) -> Series:
        """All of it."""
        return Series(tuple(map(_range, self._columns)), self._peak)


def _range(column: list[float] | None) -> Range | None:
    if column is None:
        return None
    low, total, count, high = column
    return (low, total / count, high)
