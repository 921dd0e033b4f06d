"""Who gets the next lookup. Every policy is a small function; every worker is scanned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.routing.worker import Worker

SortKey = tuple[float, float]
Policy = Callable[["Worker", float, float], SortKey]
"""`policy(worker, estimate, usual)`: the lowest key is picked. `estimate` is the latency to
expect of the worker and `usual` the lower quartile over all of them, both in seconds: the
median would call nobody slow as soon as half of them are."""

NOISE = 0.02
"""Seconds: below this, one worker is not called slower than another. Scheduling noise on a
machine with more to do than cores is of this order, and says nothing of the worker."""


def least_load(worker: Worker, estimate: float, usual: float) -> SortKey:
    """Least load first, fewest tasks among equals.

    A worker slower than twice the usual has its load multiplied by as much as it is slower
    than usual (`tests/simulation/table.py` holds this against other policies). A newcomer
    counts as level with the least-served worker, or it would get every lookup of its first
    second.
    """
    slow = usual > 0.0 and estimate >= max(2 * usual, NOISE)
    excess = estimate / usual if slow else 1.0
    queue = worker.in_flight + worker.direct.in_flight + 1
    return (queue * excess, worker.performed)


def fewest_tasks(worker: Worker, _estimate: float, _usual: float) -> SortKey:
    """Fewest tasks performed (those under way included): simple to explain."""
    return (worker.served + worker.refusals + worker.in_flight, worker.in_flight)


def least_latency(worker: Worker, estimate: float, _usual: float) -> SortKey:
    """Peak-EWMA: the latency to expect, times the queue one would join."""
    return (max(estimate, 1e-6) * (worker.in_flight + 1), worker.performed)


POLICIES: dict[str, Policy] = {
    "load": least_load,
    "tasks": fewest_tasks,
    "latency": least_latency,
}


def pick(
    workers: Iterable[Worker], policy: Policy, now: float, exclude: Set[int] = frozenset()
) -> Worker | None:
    """The worker to send the next lookup to, or None when there is none left to try.

    Args:
        workers: all that may be sent lookups (registered, not draining, not down).
        policy: one of `POLICIES`.
        now: seconds on the clock the workers' latencies are kept in.
        exclude: generations already tried for this lookup.

    Breakers are honoured while at least half of the workers would remain (the panic rule:
    below that, what looks like failing workers is more likely something all share).
    Suspects come last, and before them those that were late and have not answered since.
    """
    live = tuple(workers)
    allowed: list[Worker] = []
    shunned: list[Worker] = []
    for worker in live:
        sound = not worker.breaker.failures or worker.breaker.allows(now)
        (allowed if sound else shunned).append(worker)
    if len(allowed) < len(shunned):
        allowed, shunned = list(live), []
    candidates = allowed
    if exclude:
        candidates = [w for w in allowed if w.generation not in exclude] or [
            w for w in shunned if w.generation not in exclude
        ]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    estimates = {w.generation: w.latency.estimate(now) for w in live}
    usual = sorted(estimates.values())[(len(estimates) - 1) // 4]
    best, least = None, None
    for worker in candidates:
        key = (worker.rank + worker.late, *policy(worker, estimates[worker.generation], usual))
        if least is None or key < least:
            best, least = worker, key
    return best
