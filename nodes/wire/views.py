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
    """A master's figures at one moment; `at` is Unix time in seconds, `up` counts workers.

    `level` and `verdict` are what was to be said of the cluster: how bad it was, by the name of a
    `Level`, and in words. "" where an older version wrote it down.
    """

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
    level: str = ""
    verdict: str = ""


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


@ready
class RecordingPart(msgspec.Struct, frozen=True):
    """A part of a recording: whole blocks of it, as they lie in its file. `until` is the time to
    ask for the next part from, Unix time in seconds, and `more` whether there is one already.
    """

    blocks: bytes
    until: float
    more: bool


class WorkerView(msgspec.Struct, frozen=True):
    """One worker in a snapshot. Times in seconds or milliseconds as named, memory in bytes; rates
    are of the last whole second, a mean of the last 10 s.

    Latencies are of the last 10 s, None when there were no attempts in them. An attempt that
    another worker won counts as well: by its own late reply, or its age while there is none.

    `attempts` are the lookups that it was sent; `hedged_away` were sent to another worker as well
    because this one was late (`hedged_last_minute` of them in the last minute), and `rerouted_away`
    because it failed; all since it registered. `slow` says that it is late
    now, that lookups are hedged away from it again and again, or that it takes more than twice
    the usual time. `machine` is where it runs: by the name that its fleet has for it, or the
    address that it registered from. `restarts` are all of a local worker, and
    `deaths_last_minute` those times that its process ended by itself; `next_try_at` is the Unix
    time at which one that died too often is started again, None for all others. `program` is
    the version of Rollcall that it runs, "" where it does not say.
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
    attempts: int
    hedged_away: int
    rerouted_away: int
    errors: int
    slow: bool
    lookups_per_s: float
    mean_lookups_per_s: float
    errors_per_s: float
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
    hedged_last_minute: int = 0
    deaths_last_minute: int = 0
    machine: str = ""
    next_try_at: float | None = None
    program: str = ""


class MachineView(msgspec.Struct, frozen=True):
    """A machine on which a fleet starts workers. `lost` is why it cannot be reached, "" if it can,
    and `since` the Unix time since when; `room` are the workers that it takes at most, `workers`
    those that are wanted there, and `away` those that belong there and run on another meanwhile.
    """

    name: str
    lost: str
    since: float
    room: int
    workers: int
    away: int = 0


class LookupView(msgspec.Struct, frozen=True):
    """The lookups of one name, those that workers answered without the master aside.

    `per_s` were answered in the last whole second, latencies are of the last 10 s; `answered`,
    `empty` (of those, the ones that found nothing) and `errors` are since the master began. The
    name "in batches" stands for the lookups of batches, and "other" for those that were not taken
    in, or are of a name that is declared no more.
    """

    name: str
    per_s: float
    p50_ms: float | None
    p99_ms: float | None
    answered: int
    empty: int
    errors: int


DURATION_BOUNDS_S = (
    *(0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
"""Upper bounds, in seconds, of the buckets that all lookups are counted by."""


class LookupDurations(msgspec.Struct, frozen=True):
    """How long the lookups of one name took that were answered, of all since the master began:
    figures that never fall, if the name is declared no more as well. For the names see
    `LookupView`.

    `buckets` has a count for each of `DURATION_BOUNDS_S`, of those that took so long and longer
    than the bound before, and one for those beyond the last; `seconds` is what all took together.
    """

    name: str
    seconds: float
    buckets: tuple[int, ...]


class EarlierCounts(msgspec.Struct, frozen=True):
    """What a worker's id stands for beside what its view counts: the registrations before that
    one, and the restarts of processes before. What they come to together never falls.
    """

    served: int = 0
    attempts: int = 0
    hedged_away: int = 0
    rerouted_away: int = 0
    errors: int = 0
    restarts: int = 0


class SlowLookup(msgspec.Struct, frozen=True):
    """A lookup that was slow, or that failed. `at` is Unix time in seconds.

    `arguments` are as they would be typed, cut to 100 characters; `attempts` is how many workers
    were asked, 0 for none; `worker` is the one that answered, or was asked last, "" for none;
    `why` is "hedged", "rerouted", "waited" (for its turn) or ""; `code` that of its error, "" if
    it was answered; `request_id` is in its error and in what logs say of it; `trace_id` is that of
    the trace that it is a part of, as its client or the master's own tracing says, "" for none.
    """

    at: float
    name: str
    arguments: str
    ms: float
    attempts: int
    worker: str
    why: str
    code: str
    request_id: str = ""
    trace_id: str = ""


@ready
class ClusterSnapshot(msgspec.Struct, frozen=True):
    """The whole cluster at one moment: all that a screen or a script needs to show it.

    `lookups_per_s` and `errors_per_s` are of the last whole second, `mean_lookups_per_s` and the
    latencies of the last 10 s; lookups that failed count in no rate or latency but their own.
    `waiting` are calls that wait for their turn. `errors_by_code` adds up to `errors`, and
    `recent_errors_by_code` is of the last 10 s; `latencies`
    holds pairs of an upper bound in milliseconds, and how many lookups of the last 60 s took so
    long and longer than the bound before. `slow` are the latest that failed, and then the slowest,
    of the last 10 minutes. What workers are asked without the master is in `answered`,
    `in_flight` and the rates alone.

    `refused_logins` counts wrong tokens; `hedges_left` and `retries_left` are what the budgets
    hold; `panic` says that breakers are not honoured, as too many are open; `activity` is how
    far a reload is, "" when there is none; `lag_ms` is how late the master itself runs, and
    `patience` by how many times more missed probes it therefore allows, and `busy` whether that is
    so for a while; `hedges_spent` says that of late more lookups were late than are hedged;
    `program` is the version of Rollcall that the master runs, "" where it does not say;
    `tls_expires_at` is the Unix time at which the first certificate in use expires, None without
    TLS; `journal_trouble` is why the journal cannot be written, and how much it lost, "" for
    neither; `log_trouble` is why what workers print is dropped now, "" if it is not; `machines` are
    those of the fleet, and `abilities` what the fleet can do of "spawn", "freeze", "log" and
    "place".

    `refused_requests` counts, by the code of the answer, what was asked wrongly or by whoever may
    not; `journal_dropped` are events that the journal has lost, and `recording_dropped` snapshots
    that the recording has; `durations` are of each lookup's name; `earlier` has the workers, by
    their ids, of whom there is something to add to their views; `options` are those that the
    command was given which runs the master, as they are typed, but without the names of files and
    folders: None where they are not known.
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
    mean_lookups_per_s: float
    errors_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    latencies: tuple[tuple[float, int], ...]
    answered: int
    errors: int
    errors_by_code: dict[str, int]
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
    waiting: int
    last_event: int
    workers: tuple[WorkerView, ...]
    lookups: tuple[LookupView, ...]
    slow: tuple[SlowLookup, ...]
    tls_expires_at: float | None = None
    journal_trouble: str = ""
    recent_errors_by_code: dict[str, int] = {}
    machines: tuple[MachineView, ...] = ()
    abilities: tuple[str, ...] = ("spawn", "freeze", "log")
    busy: bool = False
    hedges_spent: bool = False
    log_trouble: str = ""
    program: str = ""
    refused_requests: dict[str, int] = {}
    journal_dropped: int = 0
    recording_dropped: int = 0
    durations: tuple[LookupDurations, ...] = ()
    earlier: dict[str, EarlierCounts] = {}
    options: tuple[str, ...] | None = None
