"""The load balancer: picks the worker for the next lookup. Each policy is a small function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.routing.worker import Worker

SortKey = tuple[float, float]
Policy = Callable[["Worker", float, float], SortKey]
"""`policy(worker, estimate, usual)`: the worker with the lowest key is picked. `estimate` is the
latency to expect of it, and `usual` the lower quartile of all workers' estimates, both in seconds.
(With the median, no worker would count as slow once half of them are.)"""

NOISE_S = 0.02
"""Seconds of latency below which no worker counts as slow. On a machine with more work than cores,
scheduling alone causes delays of this order."""


def is_slow(estimate: float, usual: float) -> bool:
    """Whether a worker takes more than twice the usual time, and more than scheduling explains."""
    return estimate >= NOISE_S and estimate >= 2 * usual > 0.0


def usual_of(estimates: Iterable[float]) -> float:
    """The lower quartile of the workers' estimates; 0.0 without any."""
    ordered = sorted(estimates)
    return ordered[(len(ordered) - 1) // 4] if ordered else 0.0


def least_load(worker: Worker, estimate: float, usual: float) -> SortKey:
    """Least load first, fewest tasks among equals.

    The load of a worker that takes more than twice the usual time is multiplied by how many times
    slower it is (`tests/simulation/table.py` compares this with other policies). A newcomer
    starts level with the worker that has served least; otherwise it would get every lookup of
    its first second.
    """
    queue: float = worker.in_flight + worker.direct.in_flight + 1
    if estimate >= NOISE_S and is_slow(estimate, usual):
        queue *= estimate / usual
    # `Worker.performed`: written out, as this is asked of each worker for each lookup.
    return (queue, worker.served + worker.refusals + worker.head_start)


def fewest_tasks(worker: Worker, _estimate: float, _usual: float) -> SortKey:
    """Fewest tasks performed, those under way included. Simple to explain."""
    return (worker.served + worker.refusals + worker.in_flight, worker.in_flight)


def least_latency(worker: Worker, estimate: float, _usual: float) -> SortKey:
    """Least latency to expect (Peak-EWMA), times the length of the queue."""
    return (max(estimate, 1e-6) * (worker.in_flight + 1), worker.performed)


POLICIES: dict[str, Policy] = {
    "load": least_load,
    "tasks": fewest_tasks,
    "latency": least_latency,
}


Key = tuple[float, ...]
KeyOf = Callable[["Worker"], Key]
"""What workers are compared by: the one with the lowest is picked."""


def key_of(worker: Worker, policy: Policy, estimate: float, usual: float) -> Key:
    """What a worker is compared by: first whether it should be spared, then the policy's key."""
    return (worker.rank + worker.late, *policy(worker, estimate, usual))


def key_now(workers: Iterable[Worker], policy: Policy, now: float) -> KeyOf:
    """A policy's key, from the latencies to expect of those workers at `now` (seconds)."""
    estimates = {worker.generation: worker.latency.estimate(now) for worker in workers}
    usual = usual_of(estimates.values())
    return lambda worker: key_of(worker, policy, estimates[worker.generation], usual)


def pick(
    workers: Iterable[Worker], key: KeyOf, now: float, exclude: Set[int] = frozenset()
) -> Worker | None:
    """The worker to send the next lookup to, or None if none is left to try.

    Breakers are honoured while at least half of the workers remain. Below that, the cause is more
    likely something they share, and all are tried (the panic rule). Workers that were late and
    have not answered since come after the others, and suspects last.

    Args:
        workers: all that may be sent lookups.
        key: the lowest is picked.
        now: seconds, by the clock of the breakers.
        exclude: generations already tried for this lookup.
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
    return min(candidates, key=key, default=None)
