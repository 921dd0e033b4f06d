"""What a report says: frozen figures, which the page draws and a bundle holds."""

from __future__ import annotations

import msgspec

from nodes.wire import Event, SlowLookup

Range = tuple[float, float, float]
"""The lowest, the mean and the highest value of a column of time."""


Between = tuple[float, float]
"""The two bounds between which a figure is: of a histogram, that is all that can be said."""


class Peak(msgspec.Struct, frozen=True):
    """The highest value, and when it was; Unix time in seconds."""

    at: float
    value: float


class Series(msgspec.Struct, frozen=True):
    """One figure over time: a range for each column, None where nothing is known."""

    columns: tuple[Range | None, ...]
    peak: Peak | None


class Charts(msgspec.Struct, frozen=True):
    """The figures of the cluster over time. Each column takes `step_s` seconds, the first from the
    report's beginning on; rates are per second, latencies of 10 s in milliseconds.
    """

    step_s: float
    levels: tuple[str, ...]
    lookups_per_s: Series
    errors_per_s: Series
    p50_ms: Series
    p99_ms: Series
    workers_up: Series


class Mark(msgspec.Struct, frozen=True):
    """What happened in a column of the charts: of `count` events the gravest has the letter."""

    column: int
    letter: str
    bad: bool
    count: int
    text: str


class Stretch(msgspec.Struct, frozen=True):
    """A time in which the verdict's level was one and the same, and what it said at first and last;
    Unix time in seconds.
    """

    level: str
    begin: float
    end: float
    first_words: str
    last_words: str


class VerdictFigures(msgspec.Struct, frozen=True):
    """The verdict over time. `level` and `words` are the last, of `at`; `seconds` tells how long
    each level lasted, and `unknown_s` for how long nothing was written down. `stretches` are those
    that were not healthy, `left_out` as many more that were less grave or shorter.
    """

    level: str
    words: str
    at: float
    seconds: dict[str, float]
    unknown_s: float
    stretches: tuple[Stretch, ...]
    left_out: int


class Totals(msgspec.Struct, frozen=True):
    """What was counted within the report's time.

    `p99_ms` is of all of it, as far as that was recorded; None without any.
    """

    answered: int
    errors: int
    errors_by_code: dict[str, int]
    reroutes: int
    hedges: int
    p99_ms: Between | None


class WorkerFigures(msgspec.Struct, frozen=True):
    """A worker within the report's time: how it was last, what was counted, what was highest.

    `rates` are the mean lookups a second in each of some columns of the whole time, and `states`
    how it was there at worst: "up", "unwell", "down" or "" for not there.
    """

    id: str
    machine: str
    state: str
    why: str
    served: int
    errors: int
    hedged_away: int
    rerouted_away: int
    registrations: int
    restarts: int
    p50_ms: float | None
    p99_ms: float | None
    highest_p99_ms: float | None
    highest_cpu_percent: float
    highest_memory_bytes: int
    program: str
    rates: tuple[float | None, ...]
    states: tuple[str, ...]


class LookupFigures(msgspec.Struct, frozen=True):
    """The lookups of one name within the report's time; latencies of 10 s, the last and highest."""

    name: str
    answered: int
    empty: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    highest_p99_ms: float | None


class EventFigures(msgspec.Struct, frozen=True):
    """The newest events, in their order; how many of each kind there were, and as marks."""

    shown: tuple[Event, ...]
    counts: dict[str, int]
    marks: tuple[Mark, ...]


class Report(msgspec.Struct, frozen=True):
    """All of it. Times are Unix time in seconds, to be told `utc_offset_s` east of UTC.

    `source` says where it is from, `notes` what is missing, `program` which version of Rollcall
    made it. `latencies` are pairs of an upper bound in milliseconds and how many lookups of the
    whole time, as far as it was recorded, took so long, but longer than the bound before.
    `slow` are the slowest lookups, `failed` the newest that failed.
    """

    program: str
    made_at: float
    utc_offset_s: int
    first: float
    last: float
    source: str
    notes: tuple[str, ...]
    configuration: dict[str, str]
    verdict: VerdictFigures
    totals: Totals
    charts: Charts
    latencies: tuple[tuple[float, int], ...]
    workers: tuple[WorkerFigures, ...]
    workers_left_out: int
    lookups: tuple[LookupFigures, ...]
    slow: tuple[SlowLookup, ...]
    failed: tuple[SlowLookup, ...]
    events: EventFigures
