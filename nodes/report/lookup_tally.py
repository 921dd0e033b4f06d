"""What was asked in a time: by name and by error, how long it took, the slowest and the failed."""

from __future__ import annotations

from collections.abc import Iterable

from nodes.report.growth import Growth, Growths
from nodes.report.model import Between, LookupFigures
from nodes.routing.histogram import at_rank
from nodes.wire import (
    DURATION_BOUNDS_S,
    MAX_TIMEOUT_S,
    ClusterSnapshot,
    LookupDurations,
    LookupView,
    SlowLookup,
)

MAX_SLOW = 50
MAX_FAILED = 50
"""Lookups that are told of: the slowest, and the newest that failed."""

MAX_NAMES = 100
"""Lookups by name, and codes of errors, that are told of: there are fewer, unless a file lies."""

BOUNDS_MS = tuple(round(bound * 1000, 3) for bound in (*DURATION_BOUNDS_S, MAX_TIMEOUT_S))
"""Upper bounds of the buckets that lookups are counted by: none takes longer than the last."""


class LookupTally:
    """Takes the snapshots of a time, in their order; those before it say from where on is counted.

    Args:
        first: Unix time in seconds.
    """

    def __init__(self, first: float) -> None:
        self._first = first
        self._codes = Growths(first)
        self._answered, self._empty, self._errors = Growths(first), Growths(first), Growths(first)
        self._views: dict[str, LookupView] = {}
        self._highest: dict[str, float] = {}
        self._buckets = [Growth(first) for _ in BOUNDS_MS]
        self._kept: dict[object, SlowLookup] = {}

    def add(self, snapshot: ClusterSnapshot, began: float) -> None:
        """Takes one; `began` is since when its master counts, as far as that is known."""
        at = snapshot.taken_at
        views = snapshot.lookups
        self._codes.add(at, snapshot.errors_by_code, began)
        self._answered.add(at, {one.name: one.answered for one in views}, began)
        self._empty.add(at, {one.name: one.empty for one in views}, began)
        self._errors.add(at, {one.name: one.errors for one in views}, began)
        for bucket, count in zip(self._buckets, _together(snapshot.durations), strict=True):
            bucket.add(at, count, began)
        if at < self._first:
            return
        for view in views:
            self._views[view.name] = view
            if view.p99_ms is not None:
                self._highest[view.name] = max(view.p99_ms, self._highest.get(view.name, 0.0))
        for one in snapshot.slow:
            if one.at >= self._first:
                self._kept.setdefault(_identity(one), one)
        if len(self._kept) > 8 * (MAX_SLOW + MAX_FAILED):
            self._kept = {_identity(one): one for one in (*self.slow(), *self.failed())}

    def errors_by_code(self) -> dict[str, int]:
        """Lookups that failed, the most frequent code first."""
        found = self._codes.totals()
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))[:MAX_NAMES])

    def lookups(self) -> tuple[LookupFigures, ...]:
        """By name, as the last snapshot has them."""
        answered, empty, errors = (
            one.totals() for one in (self._answered, self._empty, self._errors)
        )
        return tuple(
            LookupFigures(
                name=name,
                answered=answered.get(name, 0),
                empty=empty.get(name, 0),
                errors=errors.get(name, 0),
                p50_ms=view.p50_ms,
                p99_ms=view.p99_ms,
                highest_p99_ms=self._highest.get(name),
            )
            for name, view in sorted(self._views.items())[:MAX_NAMES]
        )

    def latencies(self) -> tuple[tuple[float, int], ...]:
        """How many took so long, and longer than the bound before, in milliseconds."""
        return tuple(zip(BOUNDS_MS, (one.total for one in self._buckets), strict=True))

    def percentile_ms(self, q: float) -> Between | None:
        """The bucket in which the quantile `q` (0 to 1) of all of them lies, None without any."""
        counts = {index: one.total for index, one in enumerate(self._buckets) if one.total}
        found = at_rank(counts, q)
        return None if found is None else ((0.0, *BOUNDS_MS)[found], BOUNDS_MS[found])

    def slow(self) -> tuple[SlowLookup, ...]:
        """The slowest, the slowest first."""
        answered = (one for one in self._kept.values() if not one.code)
        return tuple(sorted(answered, key=lambda one: (-one.ms, one.at))[:MAX_SLOW])

    def failed(self) -> tuple[SlowLookup, ...]:
        """The newest that failed, the newest first."""
        found = (one for one in self._kept.values() if one.code)
        return tuple(sorted(found, key=lambda one: (-one.at, one.name))[:MAX_FAILED])


def _together(durations: Iterable[LookupDurations]) -> Iterable[int]:
    """How many lookups of any name are in which bucket."""
    counted = [one.buckets for one in durations if len(one.buckets) == len(BOUNDS_MS)]
    return map(sum, zip(*counted, strict=True)) if counted else [0] * len(BOUNDS_MS)


def _identity(one: SlowLookup) -> object:
    """By which a lookup is known in several snapshots; its time there is not quite the same."""
    return one.request_id or (round(one.at), one.name, one.arguments, one.ms, one.code)
