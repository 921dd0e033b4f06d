"""What a master shows of a cluster: snapshots, events, parts of logs."""

from __future__ import annotations

import msgspec

from nodes.support.structs import ready


@ready
class Event(msgspec.Struct, frozen=True):
    """Something that happened. `at` is Unix time in seconds; `worker` is "" for the cluster."""

    number: int
    at: float
    kind: str
    worker: str
    text: str


@ready
class Second(msgspec.Struct, frozen=True):
    """A master's figures at one moment; `at` is Unix time in seconds, `up` counts workers."""

    at: float
    lookups_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    in_flight: int
    answered: int
    errors: int
    reroutes: int
    hedges: int
    up: int


@ready
class Reloaded(msgspec.Struct, frozen=True):
    """What a reload has done, in words. `behind` are the workers that did not follow, by their
    ids, each with why: they are sent no lookups.
    """

    text: str
    behind: dict[str, str]


@ready
class LogPart(msgspec.Struct, frozen=True):
    """A part of a worker's log; `end` is the place to ask for the next one from."""

    end: int
    text: str


class WorkerView(msgspec.Struct, frozen=True):
    """One worker in a snapshot. Times in seconds or milliseconds as named, memory in bytes;
    latencies are of the last 10 s, None when nothing was answered in them.
    """

    id: str
    generation: int
    address: str
    pid: int
    state: str
    why: str
    state_since: float
    served: int
    in_flight: int
    errors: int
    lookups_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_percent: float
    memory_bytes: int
    catalog: str
    uptime_s: float
    restarts: int
    local: bool
    frozen: bool
    breaker_open: bool
    attempts: int = 0
    hedged_away: int = 0
    rerouted_away: int = 0
    slow: bool = False


class LookupView(msgspec.Struct, frozen=True):
    """One lookup name in a snapshot; latencies in milliseconds, None when there are none."""

    name: str
    per_s: float
    p50_ms: float | None
    p99_ms: float | None
    answered: int
    empty: int
    errors: int


class SlowLookup(msgspec.Struct, frozen=True):
    """A lookup that was slow or failed. `at` is Unix time; `code` is "" for one answered."""

    at: float
    name: str
    arguments: str
    ms: float
    attempts: int
    worker: str
    why: str
    code: str


@ready
class ClusterSnapshot(msgspec.Struct, frozen=True):
    """The whole cluster at one moment: all that a screen or a script needs to show it.

    `refused_logins` counts wrong tokens; `hedges_left` and `retries_left` are what the budgets
    hold; `panic` says that breakers are not honoured, as too many are open; `activity` is how
    far a reload is, "" when there is none; `lag_ms` is how late the master itself runs, and
    `patience` by how many times more missed probes it therefore allows; `tls_expires_at` is
    the Unix time at which the first certificate in use expires, None without TLS;
    `journal_trouble` is why the journal cannot be written, and how much it lost, "" for neither.
    """

    taken_at: float
    address: str
    balance: str
    uptime_s: float
    dataset: str
    catalogs: tuple[str, ...]
    records: int
    wanted_workers: int | None
    lookups_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    answered: int
    errors: int
    reroutes: int
    hedges: int
    refused_logins: int
    hedges_left: float
    retries_left: float
    hedge_after_ms: float
    panic: bool
    activity: str
    lag_ms: float
    patience: float
    in_flight: int
    last_event: int
    workers: tuple[WorkerView, ...]
    tls_expires_at: float | None = None
    journal_trouble: str = ""
    waiting: int = 0
    errors_by_code: dict[str, int] = msgspec.field(default_factory=dict)
    latencies: tuple[tuple[float, int], ...] = ()
    mean_lookups_per_s: float = 0.0
    errors_per_s: float = 0.0
    lookups: tuple[LookupView, ...] = ()
    slow: tuple[SlowLookup, ...] = ()
