"""The metrics that there are: each with its name, its type, what it says, and where it is from.

Names are as prometheus.io/docs/practices/naming has it: a prefix, base units, `_total` for what
never falls. Values of labels are of closed sets, or few: clients cannot make any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nodes.errors import (
    BadRequest,
    DeadlineExceeded,
    Forbidden,
    InternalError,
    NoWorkers,
    Overloaded,
    PoisonLookup,
    StoreDown,
)
from nodes.routing import State
from nodes.wire import ClusterSnapshot, EarlierCounts, Level, WorkerView, verdict

PREFIX = "rollcall_"

FAILED = (NoWorkers, DeadlineExceeded, Overloaded, StoreDown, PoisonLookup, InternalError)
REFUSED = (BadRequest, Forbidden)
"""Errors whose codes are told from the start, as zero: the first one is a rise then."""

VERDICTS = (Level.HEALTHY, Level.STARTING, Level.DEGRADED, Level.OUTAGE)
"""What a master may say of itself."""

Value = int | float
Sample = tuple[dict[str, str], Value]
"""The labels, and a value."""


class Family(NamedTuple):
    """A metric of the cluster, and its samples in a snapshot."""

    name: str
    kind: str
    text: str
    samples: Callable[[ClusterSnapshot], Iterable[Sample]]


class WorkerFamily(NamedTuple):
    """A metric of each worker, and its value."""

    name: str
    kind: str
    text: str
    value: Callable[[WorkerView, EarlierCounts], Value]


def _family(
    kind: str, name: str, text: str, get: Callable[[ClusterSnapshot], Value | None]
) -> Family:
    """A metric with one sample that has no labels, or none for None."""

    def samples(snapshot: ClusterSnapshot) -> Iterable[Sample]:
        value = get(snapshot)
        return () if value is None else (({}, value),)

    return Family(PREFIX + name, kind, text, samples)


def _gauge(name: str, text: str, get: Callable[[ClusterSnapshot], Value | None]) -> Family:
    return _family("gauge", name, text, get)


def _counter(name: str, text: str, get: Callable[[ClusterSnapshot], Value]) -> Family:
    return _family("counter", f"{name}_total", text, get)


def _labelled(
    kind: str, name: str, text: str, samples: Callable[[ClusterSnapshot], Iterable[Sample]]
) -> Family:
    return Family(PREFIX + name, kind, text, samples)


def _worker_gauge(name: str, text: str, get: Callable[[WorkerView], Value]) -> WorkerFamily:
    return WorkerFamily(f"{PREFIX}worker_{name}", "gauge", text, lambda view, _earlier: get(view))


def _worker_counter(
    name: str, text: str, value: Callable[[WorkerView, EarlierCounts], Value]
) -> WorkerFamily:
    return WorkerFamily(f"{PREFIX}worker_{name}_total", "counter", text, value)


def _by_code(counts: dict[str, int], told: Iterable[str]) -> Iterable[Sample]:
    return [({"code": one}, counts.get(one, 0)) for one in sorted({*counts, *told})]


def _by_state(snapshot: ClusterSnapshot) -> Iterable[Sample]:
    states = [worker.state for worker in snapshot.workers]
    return [({"state": state}, states.count(state)) for state in State]


def _verdict(snapshot: ClusterSnapshot) -> Iterable[Sample]:
    level = verdict(snapshot).level
    return [({"state": one.name.lower()}, int(one is level)) for one in VERDICTS]


CLUSTER_FAMILIES = (
    _labelled(
        "gauge",
        "build_info",
        "Always 1; the version of Rollcall that the master runs.",
        lambda s: [({"version": s.program}, 1)],
    ),
    _labelled(
        "gauge",
        "catalog_info",
        "Always 1; each version of the records that is served now.",
        lambda s: [({"dataset": s.dataset, "catalog": one}, 1) for one in s.catalogs],
    ),
    _gauge("records", "Records that are served.", lambda s: s.records),
    _gauge("uptime_seconds", "Since the master started.", lambda s: s.uptime_s),
    _labelled(
        "gauge", "verdict", "1 for the word that the console and ps say of the cluster.", _verdict
    ),
    _labelled("gauge", "workers", "Workers by state.", _by_state),
    _gauge(
        "workers_wanted",
        "Workers that the launcher keeps; absent without one.",
        lambda s: s.wanted_workers,
    ),
    _counter(
        "lookups",
        "Lookups answered, those that clients ask workers themselves included.",
        lambda s: s.answered,
    ),
    _labelled(
        "counter",
        "lookup_errors_total",
        "Lookups that failed, by the code of the answer.",
        lambda s: _by_code(s.errors_by_code, (one.code for one in FAILED)),
    ),
    _counter(
        "reroutes", "Lookups sent to another worker because one failed.", lambda s: s.reroutes
    ),
    _counter(
        "hedges",
        "Lookups sent to a second worker as well because the first was late.",
        lambda s: s.hedges,
    ),
    _counter("refused_logins", "Wrong tokens.", lambda s: s.refused_logins),
    _labelled(
        "counter",
        "refused_requests_total",
        "Requests that were wrong, or of whoever may not, by the code of the answer.",
        lambda s: _by_code(s.refused_requests, (one.code for one in REFUSED)),
    ),
    _gauge("lookups_in_flight", "Lookups that workers answer now.", lambda s: s.in_flight),
    _gauge("calls_waiting", "Calls that wait for a worker with room.", lambda s: s.waiting),
    _gauge("hedge_after_seconds", "When a lookup is late.", lambda s: s.hedge_after_ms / 1000),
    _gauge("hedge_budget_tokens", "Hedges that may be sent now.", lambda s: s.hedges_left),
    _gauge(
        "hedge_budget_exhausted",
        "1 while more lookups are late than are hedged.",
        lambda s: int(s.hedges_spent),
    ),
    _gauge("retry_budget_tokens", "Retries that may be sent now.", lambda s: s.retries_left),
    _gauge(
        "breakers_ignored",
        "1 while most workers fail, so that all of them are tried.",
        lambda s: int(s.panic),
    ),
    _gauge("master_lag_seconds", "How late the master itself runs.", lambda s: s.lag_ms / 1000),
    _gauge(
        "certificate_expiry_timestamp_seconds",
        "When the first certificate in use expires, Unix time; absent without TLS.",
        lambda s: s.tls_expires_at,
    ),
    _counter(
        "journal_dropped_events",
        "Events that could not be written to the journal.",
        lambda s: s.journal_dropped,
    ),
    _counter(
        "recording_dropped_snapshots",
        "Seconds that could not be written to the recording.",
        lambda s: s.recording_dropped,
    ),
    _labelled(
        "gauge",
        "machine_reachable",
        "1 if the fleet reaches the machine.",
        lambda s: [({"machine": one.name}, int(not one.lost)) for one in s.machines],
    ),
    _labelled(
        "gauge",
        "machine_room_workers",
        "Workers that the machine takes at most.",
        lambda s: [({"machine": one.name}, one.room) for one in s.machines],
    ),
)

DURATION = f"{PREFIX}lookup_duration_seconds"
DURATION_TEXT = "How long lookups took that were answered."

WORKER_INFO = f"{PREFIX}worker_info"
WORKER_INFO_TEXT = "Always 1; where the worker runs, and which version of the records it has."

WORKER_FAMILIES = (
    _worker_gauge(
        "up", "1 if the worker answers its probes.", lambda worker: int(worker.state == State.UP)
    ),
    _worker_gauge("slow", "1 while the worker is slow.", lambda worker: int(worker.slow)),
    _worker_gauge(
        "breaker_open",
        "1 while the worker is left alone, as it failed again and again.",
        lambda worker: int(worker.breaker_open),
    ),
    _worker_counter(
        "lookups",
        "Lookups that the worker answered.",
        lambda worker, earlier: worker.served + earlier.served,
    ),
    _worker_counter(
        "attempts",
        "Lookups that the master sent to the worker.",
        lambda worker, earlier: worker.attempts + earlier.attempts,
    ),
    _worker_counter(
        "errors",
        "Calls that the worker failed.",
        lambda worker, earlier: worker.errors + earlier.errors,
    ),
    _worker_counter(
        "hedged_away",
        "Lookups sent to another worker as well because this one was late.",
        lambda worker, earlier: worker.hedged_away + earlier.hedged_away,
    ),
    _worker_counter(
        "rerouted_away",
        "Lookups sent to another worker because this one failed.",
        lambda worker, earlier: worker.rerouted_away + earlier.rerouted_away,
    ),
    _worker_counter(
        "restarts",
        "Times that the worker was started anew.",
        lambda worker, earlier: worker.restarts + earlier.restarts,
    ),
    _worker_gauge(
        "lookups_in_flight", "Lookups that the worker answers now.", lambda worker: worker.in_flight
    ),
    _worker_gauge(
        "cpu_ratio",
        "CPU that the worker takes, of one core.",
        lambda worker: worker.cpu_percent / 100,
    ),
    _worker_gauge(
        "memory_bytes",
        "Memory of the worker's own, without the records that all share.",
        lambda worker: worker.memory_bytes,
    ),
    _worker_gauge("uptime_seconds", "Since the worker registered.", lambda worker: worker.uptime_s),
)
