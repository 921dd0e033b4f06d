"""The verdict over time: how long each level lasted, and what was said when it was not well."""

from __future__ import annotations

import math

import msgspec

from nodes.report.columns import MAX_GAP_S, Grid
from nodes.report.model import Stretch, VerdictFigures
from nodes.wire import Level

MAX_STRETCHES = 100
"""Stretches that were not healthy that are kept: the gravest, and the longest of those."""

SAMPLE_S = 1.0
"""Seconds of which a sample speaks that has none shortly before it."""

_KNOWN = frozenset(level.name for level in Level)


class Timeline:
    """Takes the verdicts of a time, in their order.

    Args:
        grid: the columns of the charts.
        last: the end of the time, Unix time in seconds.
        gap_s: seconds between two samples up to which the time between them is known.
    """

    def __init__(self, grid: Grid, last: float, gap_s: float = MAX_GAP_S) -> None:
        self._grid = grid
        self._last = last
        self._gap_s = gap_s
        self._columns = [len(Level)] * grid.count
        self._seconds = dict.fromkeys((level.name for level in Level), 0.0)
        self._open: Stretch | None = None
        self._kept: list[Stretch] = []
        self._left_out = 0
        self._at = -math.inf

    def add(self, at: float, level: str, words: str) -> None:
        """Takes the verdict of a sample; one of an older version, without a level, says nothing."""
        if level not in _KNOWN or not self._grid.first <= at <= self._last:
            return
        goes_on = 0 < at - self._at <= self._gap_s
        begin = self._at if goes_on else max(self._grid.first, at - SAMPLE_S)
        for column in self._grid.spanned(begin, at):
            self._columns[column] = min(self._columns[column], Level[level])
        self._seconds[level] += at - begin
        known = self._open
        if known is not None and goes_on and known.level == level:
            self._open = msgspec.structs.replace(known, end=at, last_words=words)
        else:
            self._close()
            self._open = Stretch(level, begin, at, words, words)
        self._at = at

    def _close(self) -> None:
        if self._open is not None and self._open.level != Level.HEALTHY.name:
            self._kept.append(self._open)
            if len(self._kept) > 2 * MAX_STRETCHES:
                self._drop()

    def _drop(self) -> None:
        self._kept.sort(key=_gravity)
        self._left_out += len(self._kept[MAX_STRETCHES:])
        del self._kept[MAX_STRETCHES:]

    def levels(self) -> tuple[str, ...]:
        """The worst level of each column, "" where nothing is known."""
        return tuple(Level(one).name if one < len(Level) else "" for one in self._columns)

    def figures(self) -> VerdictFigures:
        """All of it; nothing may be added any more."""
        last = self._open
        self._close()
        self._drop()
        known_s = sum(self._seconds.values())
        return VerdictFigures(
            level=last.level if last is not None else "",
            words=last.last_words if last is not None else "",
            at=last.end if last is not None else self._grid.first,
            seconds={level: round(s, 1) for level, s in self._seconds.items() if s},
            unknown_s=round(max(0.0, self._last - self._grid.first - known_s), 1),
            stretches=tuple(sorted(self._kept, key=lambda one: one.begin)),
            left_out=self._left_out,
        )


def _gravity(stretch: Stretch) -> tuple[int, float, float]:
    return Level[stretch.level], stretch.begin - stretch.end, stretch.begin
