"""The cluster's figures of each second, taken together: charts, totals, the verdict over time."""

from __future__ import annotations

import math

from nodes.report.columns import MAX_GAP_S, Grid, Ranges
from nodes.report.growth import Growth
from nodes.report.model import Between, Charts, Totals
from nodes.report.timeline import Timeline
from nodes.wire import Second

SET_BACK_S = 2.0
"""Seconds by which a sample must lie before the one before it to say that the clock was set; with
fewer, it is the same sample from two places.
"""

MIN_RATE_S = 0.5
"""Seconds that a rate is taken over at least."""


class ClusterTally:
    """Takes the seconds of a time, in their order; those before it say from where on is counted.

    Args:
        grid: the columns of the charts.
        last: the end of the time, Unix time in seconds.
        gap_s: see `Timeline`.

    Attributes:
        timeline: the verdicts.
    """

    def __init__(self, grid: Grid, last: float, gap_s: float) -> None:
        self._answered = Growth(grid.first)
        self._errors = Growth(grid.first)
        self._reroutes = Growth(grid.first)
        self._hedges = Growth(grid.first)
        self.timeline = Timeline(grid, last, gap_s)
        self._grid = grid
        self._at = -math.inf
        self._lookups_per_s, self._errors_per_s = Ranges(grid), Ranges(grid)
        self._p50_ms, self._p99_ms = Ranges(grid), Ranges(grid)
        self._up = Ranges(grid)

    def is_known(self, at: float) -> bool:
        """Whether there was a sample of that time already."""
        return 0 <= self._at - at < SET_BACK_S

    def add(self, second: Second, began: float) -> None:
        """Takes one; `began` is since when its master counts, as far as that is known."""
        since, at = self._at, second.at
        if self.is_known(at):
            return
        self._at = at
        answered = self._answered.add(at, second.answered, began)
        errors = self._errors.add(at, second.errors, began)
        self._reroutes.add(at, second.reroutes, began)
        self._hedges.add(at, second.hedges, began)
        passed_s = at - max(since, began)
        if 0 < passed_s <= MAX_GAP_S:
            self._lookups_per_s.add(since, at, _rate(answered, passed_s))
            self._errors_per_s.add(since, at, _rate(errors, passed_s))
        self._p50_ms.add(since, at, second.p50_ms)
        self._p99_ms.add(since, at, second.p99_ms)
        self._up.add(since, at, float(second.up))
        self.timeline.add(at, second.level, second.verdict)

    def totals(self, errors_by_code: dict[str, int], p99_ms: Between | None) -> Totals:
        """What was counted; which errors there were, and how long all took, is known to others."""
        return Totals(
            answered=self._answered.total,
            errors=self._errors.total,
            errors_by_code=errors_by_code,
            reroutes=self._reroutes.total,
            hedges=self._hedges.total,
            p99_ms=p99_ms,
        )

    def charts(self) -> Charts:
        """The figures over time."""
        return Charts(
            step_s=self._grid.step_s,
            levels=self.timeline.levels(),
            lookups_per_s=self._lookups_per_s.series(),
            errors_per_s=self._errors_per_s.series(),
            p50_ms=self._p50_ms.series(),
            p99_ms=self._p99_ms.series(),
            workers_up=self._up.series(),
        )


def _rate(grown: int | None, seconds: float) -> float | None:
    # What grows within a moment is no rate of a second.
    return None if grown is None or seconds < MIN_RATE_S else grown / seconds
