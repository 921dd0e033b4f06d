"""The workers' figures of a time, each worker's by its id, whatever process had that id."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nodes.report.columns import Grid, Ranges
from nodes.report.growth import Growth
from nodes.report.model import WorkerFigures
from nodes.support.natural import natural_key
from nodes.wire import ClusterSnapshot, WorkerView, reason
from nodes.wire.conditions import answers

MAX_WORKERS = 300
"""Workers that are told of, those that served most; of more it is told how many."""

MAX_FOLLOWED = 2000
"""Workers whose figures are taken down; a cluster has 256, and each may go and come for days."""

COLUMNS = 60
"""Of each worker's own small chart at most."""

WORST = {"down": 0, "unwell": 1, "up": 2}


class WorkerTally:
    """Takes the snapshots of a time, in their order; those before it say from where on is counted.

    Args:
        first, last: Unix time in seconds.
    """

    def __init__(self, first: float, last: float) -> None:
        self._grid = Grid(first, last, COLUMNS)
        self._last = last
        self._workers: dict[str, _Worker] = {}
        self._ignored: set[str] = set()
        self._begun = False

    def add(self, snapshot: ClusterSnapshot, began: float) -> None:
        """Takes one; `began` is since when its master counts, as far as that is known."""
        # Whoever was not there before has counted nothing before.
        is_new = self._begun or began >= self._grid.first
        self._begun = True
        for view in snapshot.workers:
            worker = self._workers.get(view.id)
            if worker is None:
                if len(self._workers) >= MAX_FOLLOWED:
                    self._ignored.add(view.id)
                    continue
                worker = self._workers[view.id] = _Worker(self._grid, is_new=is_new)
            worker.add(view, snapshot.taken_at, began)

    def figures(self) -> tuple[tuple[WorkerFigures, ...], int]:
        """Those that are told of, by id, and how many are not."""
        seen = [one.figures() for one in self._workers.values() if one.seen]
        seen.sort(key=lambda one: (-one.served, natural_key(one.id)))
        shown = sorted(seen[:MAX_WORKERS], key=lambda one: natural_key(one.id))
        return tuple(shown), len(seen) - len(shown) + len(self._ignored)


class _Worker:
    """One worker's."""

    def __init__(self, grid: Grid, *, is_new: bool) -> None:
        self.seen = False
        self._is_new = is_new
        self._grid = grid
        self._view: WorkerView | None = None
        self._generation: int | None = None
        self._at = -math.inf
        self._served, self._errors = Growth(grid.first), Growth(grid.first)
        self._hedged, self._rerouted = Growth(grid.first), Growth(grid.first)
        self._restarts = Growth(grid.first)
        self._registrations = 0
        self._p99_ms: float | None = None
        self._cpu, self._memory = 0.0, 0
        self._rates = Ranges(grid)
        self._states: list[str] = [""] * grid.count

    def add(self, view: WorkerView, at: float, master_began: float) -> None:
        since = self._at
        if view.generation:  # a process that has not registered has counted nothing
            began = self._began(view, at)
            self._registrations += began >= self._grid.first
            self._served.add(at, view.served, began)
            self._errors.add(at, view.errors, began)
            self._hedged.add(at, view.hedged_away, began)
            self._rerouted.add(at, view.rerouted_away, began)
        self._restarts.add(at, view.restarts, master_began)
        self._at, self._view = at, view
        if self._grid.column(at) is not None:
            self._note(view, since, at)

    def _began(self, view: WorkerView, at: float) -> float:
        """Since when it counts, if that is new."""
        before, self._generation = self._generation, view.generation
        if before is not None:
            return at if view.generation != before else -math.inf
        if self._is_new:
            return at
        return at - view.uptime_s if view.uptime_s else -math.inf

    def _note(self, view: WorkerView, since: float, at: float) -> None:
        self.seen = True
        self._p99_ms = _higher(self._p99_ms, view.p99_ms)
        self._cpu = max(self._cpu, view.cpu_percent)
        self._memory = max(self._memory, view.memory_bytes)
        self._rates.add(since, at, view.mean_lookups_per_s)
        state = _condition(view)
        for column in self._grid.spanned(since, at):
            known = self._states[column]
            if not known or WORST[state] < WORST[known]:
                self._states[column] = state

    def figures(self) -> WorkerFigures:
        view = self._view
        assert view is not None  # noqa: S101 - for the type checker
        rates = self._rates.series().columns
        return WorkerFigures(
            id=view.id,
            machine=view.machine,
            state="slow" if view.slow and view.state == "up" else view.state,
            why=reason(view, self._at),
            served=self._served.total,
            errors=self._errors.total,
            hedged_away=self._hedged.total,
            rerouted_away=self._rerouted.total,
            registrations=self._registrations,
            restarts=self._restarts.total,
            p50_ms=view.p50_ms,
            p99_ms=view.p99_ms,
            highest_p99_ms=self._p99_ms,
            highest_cpu_percent=self._cpu,
            highest_memory_bytes=self._memory,
            program=view.program,
            rates=tuple(None if one is None else round(one[1], 1) for one in rates),
            states=tuple(self._states),
        )


def _condition(view: WorkerView) -> str:
    if view.state == "down":
        return "down"
    return "up" if answers(view) and not view.slow and not view.breaker_open else "unwell"


def _higher(one: float | None, other: float | None) -> float | None:
    known: Iterable[float] = (value for value in (one, other) if value is not None)
    return max(known, default=None)
