"""The whole cluster at one moment, put together from all who know a part of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from nodes.master.lookups import LookupHandler
from nodes.master.membership import Membership
from nodes.routing import BETWEEN_REGISTRATIONS, LocalWorker, Phase, Registry, State, Worker
from nodes.routing.histogram import quantile
from nodes.routing.tally import counts_of
from nodes.support.listening import is_loopback
from nodes.support.natural import natural_key
from nodes.support.units import known_ms
from nodes.support.version import VERSION
from nodes.wire import DAMAGED, STORE_DOWN, ClusterSnapshot, EarlierCounts, WorkerView

LATE = "late: asked last until it answers"


class MasterFacts(NamedTuple):
    """What a master knows of itself, and no other part of it. `started` is monotonic, in seconds,
    and `wall` Unix time now; for the rest see `ClusterSnapshot`.
    """

    address: str
    balance: str
    started: float
    wall: float
    refused_logins: int
    tls_expires_at: float | None
    journal_trouble: str
    journal_dropped: int
    recording_dropped: int
    options: tuple[str, ...] | None


def take_snapshot(
    facts: MasterFacts, membership: Membership, lookups: LookupHandler
) -> ClusterSnapshot:
    """A snapshot of now."""
    now = time.monotonic()
    wall = facts.wall
    registry, router, described = membership.registry, membership.router, membership.description
    figures = lookups.stats.figures(now, wall, began=facts.started)
    direct_per_s = sum(worker.direct_per_s for worker in registry.live())
    workers = worker_views(registry, membership.slow.generations, now, wall)
    return ClusterSnapshot(
        program=VERSION,
        taken_at=wall,
        address=facts.address,
        balance=facts.balance,
        uptime_s=now - facts.started,
        dataset=described.dataset if described else "",
        catalogs=registry.versions(),
        records=described.records if described else 0,
        wanted_workers=registry.local.wanted,
        lookups_per_s=figures.lookups_per_s + direct_per_s,
        mean_lookups_per_s=figures.mean_lookups_per_s + direct_per_s,
        errors_per_s=figures.errors_per_s,
        p50_ms=known_ms(figures.p50_s),
        p99_ms=known_ms(figures.p99_s),
        latencies=figures.latencies,
        answered=lookups.stats.answered + registry.direct,
        errors=lookups.stats.errors,
        errors_by_code=dict(lookups.stats.errors_by_code),
        reroutes=router.reroutes,
        hedges=router.hedges,
        refused_logins=facts.refused_logins,
        hedges_left=round(router.hedging.left(now), 1),
        retries_left=round(router.retrying.left(now), 1),
        hedge_after_ms=router.hedge_after_s * 1000,
        panic=membership.health.panicking,
        activity=membership.fleet.activity,
        machines=tuple(membership.fleet.machines()),
        abilities=tuple(sorted(membership.fleet.abilities)),
        lag_ms=membership.lag.seconds * 1000,
        patience=membership.lag.stretch,
        in_flight=sum(view.in_flight for view in workers),
        waiting=membership.dispatcher.waiting,
        last_event=membership.events.last,
        tls_expires_at=facts.tls_expires_at,
        journal_trouble=facts.journal_trouble,
        busy=membership.lag.busy,
        hedges_spent=membership.health.hedges_spent,
        log_trouble=membership.fleet.log_trouble,
        recent_errors_by_code=figures.recent_errors_by_code,
        workers=workers,
        lookups=figures.lookups,
        slow=figures.slow,
        refused_requests=dict(lookups.stats.refused_by_code),
        journal_dropped=facts.journal_dropped,
        recording_dropped=facts.recording_dropped,
        durations=figures.durations,
        earlier=earlier_counts(registry, workers),
        options=facts.options,
    )


def worker_views(
    registry: Registry, slow: frozenset[int], now: float, wall: float
) -> tuple[WorkerView, ...]:
    """Every worker, by id: as it is registered, or as its process is while it is about to be.

    Args:
        registry: which knows both.
        slow: the generations of those that are slow.
        now, wall: the time, in seconds: monotonic, and Unix.
    """
    views = {
        worker.id: _registered(worker, registry, now, wall, slow=worker.generation in slow)
        for worker in registry
    }
    for worker_id in registry.local:
        local = registry.local.get(worker_id)
        worker = registry.get(worker_id)
        if local is not None and (worker is None or not worker.live) and _is_coming(local):
            views[worker_id] = _unregistered(worker_id, local, now, wall)
    return tuple(views[worker_id] for worker_id in sorted(views, key=natural_key))


def earlier_counts(registry: Registry, views: Iterable[WorkerView]) -> dict[str, EarlierCounts]:
    """What is to be added to the views of the workers, where there is anything; see
    `EarlierCounts`.
    """
    found = {}
    for view in views:
        counts, worker = registry.tally.of(view.id), registry.get(view.id)
        if worker is not None and worker.generation != view.generation:
            counts = counts.plus(counts_of(worker))  # its process is shown, and no registration
        earlier = EarlierCounts(*counts, registry.local.earlier_restarts(view.id))
        if earlier != EarlierCounts():
            found[view.id] = earlier
    return found


def _is_coming(local: LocalWorker) -> bool:
    return local.phase in BETWEEN_REGISTRATIONS or local.phase in (
        Phase.CRASH_LOOPING,
        Phase.WAITING,
    )


def _trouble(worker: Worker) -> str:
    what = STORE_DOWN if worker.in_store else DAMAGED
    return f"{what}: {worker.trouble}" if worker.trouble and worker.live else ""


def _registered(
    worker: Worker, registry: Registry, now: float, wall: float, *, slow: bool
) -> WorkerView:
    local = registry.local.get(worker.id)
    latencies = worker.latencies(now)
    answers, failures, direct_per_s = worker.histogram, worker.failures, worker.direct_per_s
    mean_per_s = answers.rate(now, worker.registered_at)
    return WorkerView(
        id=worker.id,
        generation=worker.generation,
        address=str(worker.address),
        pid=worker.pid,
        state=str(worker.state),
        why=worker.why or _trouble(worker) or (LATE if worker.late and worker.live else ""),
        state_since=wall - (now - worker.since),
        served=worker.served + worker.direct.served,
        in_flight=worker.in_flight + (worker.direct.in_flight if worker.live else 0),
        attempts=worker.attempts,
        hedged_away=worker.lost.hedged_away,
        rerouted_away=worker.lost.rerouted_away,
        errors=worker.errors,
        slow=slow,
        lookups_per_s=answers.last_second(now) + direct_per_s if worker.live else 0.0,
        mean_lookups_per_s=mean_per_s + direct_per_s if worker.live else 0.0,
        errors_per_s=failures.last_second(now) if worker.live else 0.0,
        p50_ms=known_ms(quantile(latencies, 0.5)),
        p99_ms=known_ms(quantile(latencies, 0.99)),
        cpu_percent=worker.cpu if worker.live else 0.0,
        memory_bytes=worker.memory if worker.live else 0,
        catalog=worker.version,
        uptime_s=now - worker.registered_at if worker.live else 0.0,
        restarts=local.restarts if local is not None else 0,
        local=local is not None,
        frozen=local is not None and local.frozen,
        breaker_open=worker.breaker.open,
        hedged_last_minute=worker.lost.hedged_last_minute(now),
        deaths_last_minute=local.deaths_last_minute(now) if local is not None else 0,
        machine=local.machine if local is not None else _machine_at(worker.address.host),
        program=worker.program,
    )


def _machine_at(host: str) -> str:
    """Where a worker runs that registered from that address."""
    return socket.gethostname() if is_loopback(host) else host


def _unregistered(worker_id: str, local: LocalWorker, now: float, wall: float) -> WorkerView:
    looping = local.phase is Phase.CRASH_LOOPING
    state = State.DOWN if looping else State.STARTING
    return WorkerView(
        id=worker_id,
        generation=0,
        address="",
        pid=local.pid,
        state=str(state),
        why=f"{local.phase}: {local.why}" if local.why else "",
        state_since=wall - (now - local.since),
        served=0,
        in_flight=0,
        attempts=0,
        hedged_away=0,
        rerouted_away=0,
        errors=0,
        slow=False,
        lookups_per_s=0.0,
        mean_lookups_per_s=0.0,
        errors_per_s=0.0,
        p50_ms=None,
        p99_ms=None,
        cpu_percent=0.0,
        memory_bytes=0,
        catalog="",
        uptime_s=0.0,
        restarts=local.restarts,
        local=True,
        frozen=local.frozen,
        breaker_open=False,
        deaths_last_minute=local.deaths_last_minute(now),
        machine=local.machine,
        next_try_at=wall + local.next_at - now if looping else None,
    )
