"""Every policy in every situation, in simulated time: `python -m tests.simulation.table`.

The shipped default is to be within a tenth of the best 99th percentile in each row, or the
policy changes until it is; `test_table.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodes.routing import POLICIES, Worker
from tests.simulation.world import Lookup, World

WORK = 0.004
"""Mean seconds of work of a lookup at an ordinary worker, exponential."""

LOAD = 0.4
"""Lookups come in at random, as many as keep this share of all cores busy."""

SECONDS = 30.0
SEEDS = 3
DEFAULT = "load"


class RoundRobin(World):
    """Whoever was asked longest ago."""

    def _prepare(self) -> None:
        self._last: dict[int, int] = {}
        self._turn = 0
        self.router.policy = lambda worker, _estimate, _usual: (
            self._last.get(worker.generation, 0),
            worker.generation,
        )

    def sent(self, lookup: Lookup, worker: Worker) -> None:
        self._turn += 1
        self._last[worker.generation] = self._turn


class TwoChoices(World):
    """The one with fewer in flight of two drawn at random (Mitzenmacher 2001)."""

    def _prepare(self) -> None:
        self._drawn: set[int] = set()
        self.router.policy = lambda worker, _estimate, _usual: (
            worker.generation not in self._drawn,
            worker.in_flight,
        )

    def ask(self, then: Callable[[], None] = lambda: None) -> None:
        there = [worker.generation for worker in self.registry.available]
        self._drawn = set(self.random.sample(there, min(2, len(there))))
        super().ask(then)


def make_world(policy: str, seed: int) -> World:
    """A world under a policy: one of ours, or one of the classic two."""
    if policy in POLICIES:
        return World(seed, policy=policy)
    return {"round robin": RoundRobin, "two choices": TwoChoices}[policy](seed)


NAMES = (*POLICIES, "round robin", "two choices")


class Row(NamedTuple):
    """A situation: how it is set up, and whose share is of interest."""

    name: str
    works: tuple[float, ...]
    """Seconds of work at each worker."""
    failing: bool = False
    """The last worker answers errors in 0.1 ms."""
    late: float = 0.0
    """The last worker joins after so many seconds."""


def equal(count: int) -> tuple[float, ...]:
    """So many ordinary workers."""
    return (WORK,) * count


ROWS = (
    Row("four equal", equal(4)),
    Row("one of eight ten times slower", (*equal(7), 10 * WORK)),
    Row("two of four five times slower", (*equal(2), 5 * WORK, 5 * WORK)),
    Row("a fifth joins", equal(5), late=10.0),
    Row("one of four fails fast", equal(4), failing=True),
    Row("fifty", equal(50)),
)


class Outcome(NamedTuple):
    """Milliseconds, and the share of the answers (0 to 1) that the last worker gave."""

    p50: float
    p99: float
    share: float
    errors: int


def measure(
    row: Row, policy: str, *, seeds: Iterable[int] = range(SEEDS), seconds: float = SECONDS
) -> Outcome:
    """Runs a situation under a policy, over several seeds taken together."""
    latencies: list[float] = []
    given = total = errors = 0
    for seed in seeds:
        world = make_world(policy, seed)
        world.CHECKED = False  # figures are wanted here, quickly
        there = row.works[:-1] if row.late else row.works
        for work in there:
            world.start(service=work, cores=1)
        if row.failing:
            world.set_failing(world.processes[-1], failing=True)
        working = there[:-1] if row.failing else there
        world.run(0.1)
        world.arrivals(LOAD * sum(1 / work for work in working))
        if row.late:
            world.run(row.late)
            world.latencies.clear()
            world.start(service=row.works[-1], cores=1)
        before = sum(world.answers.values())
        world.run(seconds if not row.late else 3.0)
        latencies += world.latencies
        last = world.processes[-1].registration
        given += world.answers.get(last.generation, 0) if last is not None else 0
        total += sum(world.answers.values()) - before
        errors += len(world.errors)
    latencies.sort()
    return Outcome(
        p50=latencies[len(latencies) // 2] * 1000,
        p99=latencies[len(latencies) * 99 // 100] * 1000,
        share=given / total,
        errors=errors,
    )


def main() -> None:
    """Prints the table."""
    print(
        f"{LOAD:.0%} busy, {WORK * 1000:g} ms of work, {SEEDS} seeds; p50 / p99 ms, share of last"
    )
    print(f"{'':32}" + "".join(f"{policy:>22}" for policy in NAMES))
    for row in ROWS:
        outcomes = {policy: measure(row, policy) for policy in NAMES}
        cells = [f"{o.p50:6.1f} {o.p99:7.1f} {o.share:6.1%}" for o in outcomes.values()]
        print(f"{row.name:32}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
