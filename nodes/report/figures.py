"""From what a master wrote down to the figures of a report; pure, but for reading its material."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from nodes.errors import DataError
from nodes.master.journal import second_of
from nodes.report.cluster_tally import ClusterTally
from nodes.report.columns import MAX_GAP_S, Grid
from nodes.report.configuration import configuration
from nodes.report.event_tally import EventTally
from nodes.report.lookup_tally import LookupTally
from nodes.report.model import Report
from nodes.report.redaction import redact
from nodes.report.telling import Clock
from nodes.report.worker_tally import WorkerTally
from nodes.support.units import duration
from nodes.support.version import VERSION
from nodes.wire import ClusterSnapshot, Event, Second, SlowLookup

COLUMNS = 600
"""Columns of a chart at most."""

LEAD_S = 15.0
"""Seconds before the time of a report of which its material should be as well: they say from where
on is counted."""

UNRECORDED_S = 5.0
"""Seconds in a row without a snapshot that are not worth telling."""


class Material(NamedTuple):
    """What a report is made of.

    Attributes:
        source: where it is from, in words.
        seconds: figures, in the order in which they were written.
        snapshots: in the same order; some may be left out.
        snapshot_every_s: how far apart those are, if some are.
        events: in the order in which they were noted.
        knows_starts: whether the events tell of every start of a master.
        now_at: when the master itself said how it is, Unix time in seconds; None if it did not.
        newest_at: when something was written down last, of that time or not, if that is known.
        missing: what is missing of it, in words; asked when all has been read.
    """

    source: str
    seconds: Iterable[Second]
    snapshots: Iterable[ClusterSnapshot]
    snapshot_every_s: float
    events: Iterable[Event]
    knows_starts: bool
    now_at: float | None = None
    newest_at: float | None = None
    missing: Callable[[], list[str]] = list


def build_report(
    material: Material,
    *,
    first: float,
    last: float,
    made_at: float,
    utc_offset_s: int = 0,
    with_arguments: bool = True,
) -> Report:
    """The report of a stretch of time.

    Args:
        material: of that time, and of `LEAD_S` seconds before it.
        first, last: from when to when, Unix time in seconds.
        made_at: now.
        utc_offset_s: of the zone in which times are to be told.
        with_arguments: whether it is told what was asked for by the lookups that are in it.

    Raises:
        DataError: there is nothing of that time.
    """
    tallies = _Tallies(material, first, last)
    if not tallies.samples:
        raise DataError(_nothing(material, Clock(utc_offset_s, first, last), first, last))
    cluster, lookups, newest = tallies.cluster, tallies.lookups, tallies.newest
    workers, workers_left_out = tallies.workers.figures()
    report = Report(
        program=VERSION,
        made_at=made_at,
        utc_offset_s=utc_offset_s,
        first=first,
        last=last,
        source=material.source,
        notes=tuple(_notes(material, tallies, to_now=last >= made_at, arguments=with_arguments)),
        configuration={} if newest is None else configuration(newest),
        verdict=cluster.timeline.figures(),
        totals=cluster.totals(lookups.errors_by_code(), lookups.percentile_ms(0.99)),
        charts=cluster.charts(),
        latencies=lookups.latencies(),
        workers=workers,
        workers_left_out=workers_left_out,
        lookups=lookups.lookups(),
        slow=_told(lookups.slow(), with_arguments=with_arguments),
        failed=_told(lookups.failed(), with_arguments=with_arguments),
        events=tallies.events.figures(),
    )
    return redact(report)


class _Tallies:
    """All that is counted of a material, read in the order of time.

    Attributes:
        samples: seconds of the time that there were.
        newest: the last snapshot, None for none.
        unrecorded: seconds of which there is no snapshot, in stretches that are worth telling.
    """

    def __init__(self, material: Material, first: float, last: float) -> None:
        grid = Grid(first, last, COLUMNS)
        self.samples = 0
        self.newest: ClusterSnapshot | None = None
        self.unrecorded = 0
        self._recorded_until = self._first = first
        self._since_newest = 0
        self._least_unrecorded = UNRECORDED_S + material.snapshot_every_s
        self.events = EventTally(grid)
        self.cluster = ClusterTally(grid, last, MAX_GAP_S + material.snapshot_every_s)
        self.workers = WorkerTally(first, last)
        self.lookups = LookupTally(first)
        for event in material.events:
            self.events.add(event)
        starts = _Starts(sorted(self.events.starts), known=material.knows_starts)
        for one in _in_order(material):
            if _time_of(one) > last:
                continue
            if isinstance(one, ClusterSnapshot):
                began = starts.before(one.taken_at, one.uptime_s)
                self._add_snapshot(one, began)
            else:
                began = starts.before(one.at)
                self.cluster.add(one, began)
                self._since_newest += one.at > self._recorded_until
            self.samples += _time_of(one) >= first
        self._note_unrecorded()

    def _add_snapshot(self, snapshot: ClusterSnapshot, began: float) -> None:
        self._note_unrecorded()
        self.newest = snapshot
        self._recorded_until = max(self._first, snapshot.taken_at)
        self.workers.add(snapshot, began)
        self.lookups.add(snapshot, began)
        if not self.cluster.is_known(snapshot.taken_at):
            self.cluster.add(second_of(snapshot), began)

    def _note_unrecorded(self) -> None:
        if self._since_newest > self._least_unrecorded:
            self.unrecorded += self._since_newest
        self._since_newest = 0


def _told(lookups: tuple[SlowLookup, ...], *, with_arguments: bool) -> tuple[SlowLookup, ...]:
    """Single lookups, as far as it may be told what they asked for."""
    if with_arguments:
        return lookups
    return tuple(msgspec.structs.replace(one, arguments="") for one in lookups)


class _Starts:
    """When masters began: by their events or, where those are not known, by their uptime."""

    def __init__(self, times: list[float], *, known: bool) -> None:
        self._times = times
        self._known = known

    def before(self, at: float, uptime_s: float = math.inf) -> float:
        """When the master began of which a sample is."""
        if not self._known:
            return at - uptime_s
        index = bisect_right(self._times, at)
        return self._times[index - 1] if index else -math.inf


def _in_order(material: Material) -> Iterator[Second | ClusterSnapshot]:
    """All samples by their times; of the same time, the snapshot comes first, which tells more."""
    return heapq.merge(material.snapshots, material.seconds, key=_time_of)


def _time_of(one: Second | ClusterSnapshot) -> float:
    return one.at if isinstance(one, Second) else one.taken_at


def _nothing(material: Material, clock: Clock, first: float, last: float) -> str:
    said = f"nothing was written down from {clock.full(first)} to {clock.full(last)}"
    if material.newest_at is None or first <= material.newest_at <= last:
        return "; ".join((said, *material.missing()))
    newest = clock.full(material.newest_at).replace(" ", "T")
    return f"{said}; the last is of {newest}: for the time before it, add --until {newest}"


def _notes(
    material: Material, tallies: _Tallies, *, to_now: bool, arguments: bool
) -> Iterator[str]:
    """What a reader has to know of how complete it is."""
    if to_now and material.now_at is None:
        yield "the master could not be asked when this was made: this is what it had written down"
    if tallies.newest is None:
        yield "nothing was recorded: workers, lookups and configuration are not known"
    elif tallies.unrecorded:
        yield (
            f"of {duration(tallies.unrecorded)} only the totals are known, and not what each "
            "worker and lookup did (a minute is recorded when it is over)"
        )
    if not arguments:
        yield "what was asked for by slow and failed lookups is left out"
    yield from material.missing()
