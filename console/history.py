"""The last minutes of the cluster and of every worker, gathered from snapshots; pure."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, TypeVar

from console.charts import Mark, Point
from console.lines import Tone
from nodes.support.event_kinds import EventKind
from nodes.wire import ClusterSnapshot, Event, Second, WorkerView

HISTORY_S = 300.0
"""Seconds that are kept."""

CLOCK_SET_S = 2.0
"""Seconds by which the master's clock and the time that it is up differ once its clock was set."""

TREND_S = 60.0
"""Seconds of a trend, and of a chart on a narrow screen."""


class Sample(NamedTuple):
    """One worker in one snapshot. Latency in milliseconds, CPU in percent, memory in bytes."""

    at: float
    lookups_per_s: float
    p99_ms: float | None
    in_flight: int
    cpu_percent: float
    memory_bytes: int


class ClusterSample(NamedTuple):
    """The cluster at one moment. `hedges` and `errors` count all so far."""

    at: float
    lookups_per_s: float
    errors_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    hedges: int
    errors: int


MARKS: dict[str, tuple[str, Tone]] = {
    EventKind.SPAWNED: ("s", Tone.MUTED),
    EventKind.KILLED: ("K", Tone.BAD),
    EventKind.LOST: ("x", Tone.BAD),
    EventKind.CRASH_LOOPING: ("X", Tone.BAD),
    EventKind.FROZEN: ("F", Tone.WARNING),
    EventKind.THAWED: ("f", Tone.GOOD),
    EventKind.SUSPECT: ("?", Tone.WARNING),
    EventKind.RESTARTING: ("r", Tone.MUTED),
    EventKind.RELOAD: ("R", Tone.MUTED),
    EventKind.BREAKER_OPENED: ("b", Tone.BAD),
    EventKind.PANIC: ("P", Tone.BAD),
}
"""The letter by which an event is marked on the axis of time; the rest are not."""

HEDGED = ("h", Tone.WARNING)
FAILED = ("E", Tone.BAD)


class History:
    """Samples of cluster and workers, one a second at most, none older than `HISTORY_S`.

    Args:
        endless: whether all of them are kept, of workers that are gone as well; for `until`.
    """

    def __init__(self, *, endless: bool = False) -> None:
        self._endless = endless
        self._up: tuple[float, float] | None = None
        """When the master began, by its clock of now, and for how long it was up."""
        self._workers: dict[str, deque[Sample]] = {}
        self._cluster: deque[ClusterSample] = deque()
        self._lookups: dict[str, deque[Point]] = {}

    def until(self, at: float, worker_ids: Collection[str]) -> History:
        """What it was at an earlier moment, when there were these workers."""
        earlier = History()
        since = at - HISTORY_S
        earlier._cluster.extend(one for one in self._cluster if since <= one.at <= at)
        for worker_id in worker_ids:
            samples = self._workers.get(worker_id, ())
            earlier._workers[worker_id] = deque(one for one in samples if since <= one.at <= at)
        for name, points in self._lookups.items():
            earlier._lookups[name] = deque(one for one in points if since <= one.at <= at)
        return earlier

    def seed(self, seconds: Iterable[Second]) -> None:
        """Takes up what the journal wrote down, older than what is there."""
        first = self._cluster[0].at if self._cluster else float("inf")
        answered: Second | None = None
        earlier = []
        for one in seconds:
            failed = 0.0
            if answered is not None and one.at > answered.at and one.errors >= answered.errors:
                failed = (one.errors - answered.errors) / (one.at - answered.at)
            answered = one
            if one.at < first - 0.5:
                earlier.append(
                    ClusterSample(
                        at=one.at,
                        lookups_per_s=one.lookups_per_s,
                        errors_per_s=failed,
                        p50_ms=one.p50_ms,
                        p99_ms=one.p99_ms,
                        hedges=one.hedges,
                        errors=one.errors,
                    )
                )
        self._cluster.extendleft(reversed(earlier))
        if self._cluster:
            self._forget(self._cluster, self._cluster[-1].at)

    def add(self, snapshot: ClusterSnapshot) -> None:
        """Adds a snapshot, and forgets the workers that are no longer in it."""
        self._follow_clock(snapshot)
        now = snapshot.taken_at
        if _is_due(self._cluster, now):
            self._cluster.append(
                ClusterSample(
                    now,
                    snapshot.lookups_per_s,
                    snapshot.errors_per_s,
                    snapshot.p50_ms,
                    snapshot.p99_ms,
                    snapshot.hedges,
                    snapshot.errors,
                )
            )
            self._forget(self._cluster, now)
            self._add_lookups(snapshot)
        present = {worker.id for worker in snapshot.workers}
        for gone in () if self._endless else self._workers.keys() - present:
            del self._workers[gone]
        for worker in snapshot.workers:
            samples = self._workers.setdefault(worker.id, deque())
            if _is_due(samples, now):
                samples.append(_sample(worker, now))
                self._forget(samples, now)

    def _follow_clock(self, snapshot: ClusterSnapshot) -> None:
        """Moves what is there by as much as the master's clock was set, as it grew no older."""
        up, self._up = self._up, (snapshot.taken_at - snapshot.uptime_s, snapshot.uptime_s)
        if up is None or self._endless or snapshot.uptime_s < up[1]:
            return
        step = self._up[0] - up[0]
        if abs(step) < CLOCK_SET_S:
            self._up = (up[0], snapshot.uptime_s)
            return
        self._cluster = _moved(self._cluster, step)
        self._workers = {one: _moved(samples, step) for one, samples in self._workers.items()}
        self._lookups = {name: _moved(points, step) for name, points in self._lookups.items()}

    def _forget(self, samples: deque[ClusterSample] | deque[Sample], now: float) -> None:
        while samples and samples[0].at < now - HISTORY_S and not self._endless:
            samples.popleft()

    def _add_lookups(self, snapshot: ClusterSnapshot) -> None:
        present = {one.name for one in snapshot.lookups}
        for gone in () if self._endless else self._lookups.keys() - present:
            del self._lookups[gone]
        most = None if self._endless else int(HISTORY_S)
        for one in snapshot.lookups:
            points = self._lookups.setdefault(one.name, deque(maxlen=most))
            points.append(Point(snapshot.taken_at, one.per_s))

    def lookup_points(self, name: str) -> list[Point]:
        """Lookups a second of that name, over time."""
        return list(self._lookups.get(name, ()))

    def samples(self, worker_id: str) -> list[Sample]:
        """A worker's samples, oldest first."""
        return list(self._workers.get(worker_id, ()))

    @property
    def cluster(self) -> list[ClusterSample]:
        """The cluster's samples, oldest first."""
        return list(self._cluster)

    def points(self, value: Callable[[ClusterSample], float | None]) -> list[Point]:
        """One figure of the cluster over time."""
        return [Point(sample.at, value(sample)) for sample in self._cluster]

    def worker_points(self, worker_id: str, value: Callable[[Sample], float | None]) -> list[Point]:
        """One figure of a worker over time."""
        return [Point(sample.at, value(sample)) for sample in self._workers.get(worker_id, ())]

    def token(self, worker_id: str) -> str:
        """Another text whenever there is another sample of a worker."""
        samples = self._workers.get(worker_id)
        return f"{samples[-1].at:.0f}" if samples else ""

    def hedge_marks(self) -> list[Mark]:
        """A mark for each second with hedges."""
        return [
            Mark(sample.at, *HEDGED)
            for before, sample in itertools.pairwise(self._cluster)
            if sample.hedges > before.hedges
        ]

    def error_marks(self) -> list[Mark]:
        """A mark for each second with lookups that failed, whether or not it was looked at."""
        return [
            Mark(sample.at, *FAILED)
            for before, sample in itertools.pairwise(self._cluster)
            if sample.errors > before.errors
        ]


def event_marks(events: Iterable[Event]) -> list[Mark]:
    """The marks of events, for an axis of time."""
    return [Mark(event.at, *MARKS[event.kind]) for event in events if event.kind in MARKS]


_Timed = TypeVar("_Timed", Sample, ClusterSample, Point)


def _moved(timed: deque[_Timed], step: float) -> deque[_Timed]:
    return deque((one._replace(at=one.at + step) for one in timed), timed.maxlen)


def _sample(worker: WorkerView, now: float) -> Sample:
    return Sample(
        now,
        worker.lookups_per_s,
        worker.p99_ms,
        worker.in_flight,
        worker.cpu_percent,
        worker.memory_bytes,
    )


def _is_due(samples: deque[ClusterSample] | deque[Sample], now: float) -> bool:
    """Whether a second has passed since the newest sample."""
    if samples and now < samples[-1].at:
        samples.clear()  # the clock was set back
    return not samples or now - samples[-1].at >= 1.0
