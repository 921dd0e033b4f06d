"""The whole cluster at one moment, put together from all who know a part of it."""

from __future__ import annotations

import time

from nodes.fleet.control import FleetControl
from nodes.fleet.process import Phase, ProcessView
from nodes.master.lookups import LookupHandler
from nodes.master.membership import Membership
from nodes.routing import State, Worker
from nodes.support.natural import natural_key
from nodes.wire import ClusterSnapshot, WorkerView

LATE = "late: asked last until it answers"

_UNREGISTERED = {
    # What a worker without a registration is, to whoever asks for its state.
    Phase.CRASH_LOOPING: State.DOWN,
    Phase.STOPPING: State.DOWN,
}


def take_snapshot(
    *,
    membership: Membership,
    lookups: LookupHandler,
    refused_logins: int,
    fleet: FleetControl,
    address: str,
    balance: str,
    started: float,
    tls_expires_at: float | None,
    journal_trouble: str,
) -> ClusterSnapshot:
    """A snapshot of now.

    Args:
        membership, lookups: the master's.
        refused_logins: wrong tokens so far.
        fleet: the launcher's.
        address, balance: of the master.
        started: when it started, on the monotonic clock.
        tls_expires_at, journal_trouble: see `ClusterSnapshot`.
    """
    now = time.monotonic()
    wall = time.time()
    local = {child.id: child for child in fleet.children()}
    described = membership.description
    with membership.changed:
        registered = list(membership.registry)
        views = [_registered(worker, local.get(worker.id), now, wall) for worker in registered]
        in_flight = sum(view.in_flight for view in views)
        elsewhere = membership.registry.direct
        direct = sum(worker.direct.per_s for worker in registered if worker.live)
        versions = tuple(sorted({worker.version for worker in membership.registry.available}))
        router = membership.router
        reroutes, hedges = router.reroutes, router.hedges
        budgets = router.hedging.left(now), router.retrying.left(now)
    rate, p50, p99 = lookups.measured(now)
    live = {view.id for view in views if view.state != State.DOWN}
    # A local worker that is between two registrations is shown as what it is about to be.
    between = [child for child in local.values() if child.id not in live]
    hidden = {child.id for child in between if child.phase is not Phase.STOPPING}
    views = [view for view in views if view.id not in hidden]
    views += [_unregistered(child, now, wall) for child in between if child.id in hidden]
    return ClusterSnapshot(
        taken_at=wall,
        address=address,
        balance=balance,
        uptime_s=now - started,
        dataset=described.dataset if described else "",
        catalogs=versions,
        records=described.records if described else 0,
        wanted_workers=fleet.wanted,
        lookups_per_s=rate + direct,
        p50_ms=_ms(p50),
        p99_ms=_ms(p99),
        answered=lookups.answered + elsewhere,
        errors=lookups.errors,
        reroutes=reroutes,
        hedges=hedges,
        refused_logins=refused_logins,
        hedges_left=round(budgets[0], 1),
        retries_left=round(budgets[1], 1),
        hedge_after_ms=router.hedge_after_s * 1000,
        panic=membership.panicking,
        activity=fleet.activity,
        lag_ms=membership.lag.seconds * 1000,
        patience=membership.lag.stretch,
        in_flight=in_flight,
        last_event=membership.events.last,
        tls_expires_at=tls_expires_at,
        journal_trouble=journal_trouble,
        workers=tuple(sorted(views, key=lambda view: natural_key(view.id))),
    )


def _registered(worker: Worker, child: ProcessView | None, now: float, wall: float) -> WorkerView:
    return WorkerView(
        id=worker.id,
        generation=worker.generation,
        address=str(worker.address),
        pid=worker.pid,
        state=str(worker.state),
        why=worker.why or (LATE if worker.late and worker.live else ""),
        state_since=wall - (now - worker.since),
        served=worker.served + worker.direct.served,
        in_flight=worker.in_flight + (worker.direct.in_flight if worker.live else 0),
        errors=worker.errors,
        lookups_per_s=_rate(worker, now) if worker.live else 0.0,
        p50_ms=_ms(worker.histogram.percentile(0.5, now)),
        p99_ms=_ms(worker.histogram.percentile(0.99, now)),
        cpu_percent=worker.cpu if worker.live else 0.0,
        memory_bytes=worker.memory if worker.live else 0,
        catalog=worker.version,
        uptime_s=now - worker.registered_at if worker.live else 0.0,
        restarts=child.restarts if child is not None else 0,
        local=child is not None,
        frozen=child is not None and child.frozen and worker.live,
        breaker_open=worker.breaker.open,
    )


def _rate(worker: Worker, now: float) -> float:
    return worker.histogram.rate(now) + worker.direct.per_s


def _unregistered(child: ProcessView, now: float, wall: float) -> WorkerView:
    state = _UNREGISTERED.get(child.phase, State.STARTING)
    return WorkerView(
        id=child.id,
        generation=0,
        address="",
        pid=child.pid,
        state=str(state),
        why=f"{child.phase}: {child.why}" if child.why else "",
        state_since=wall - (now - child.since),
        served=0,
        in_flight=0,
        errors=0,
        lookups_per_s=0.0,
        p50_ms=None,
        p99_ms=None,
        cpu_percent=0.0,
        memory_bytes=0,
        catalog="",
        uptime_s=0.0,
        restarts=child.restarts,
        local=True,
        frozen=child.frozen,
        breaker_open=False,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
