"""What a load came to, in figures."""

from __future__ import annotations

import msgspec

from nodes.load.runner import LoadStats
from nodes.support.units import rounded_ms

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


class HistogramRow(msgspec.Struct, frozen=True):
    """Calls that took from `from_ms` up to `to_ms` milliseconds."""

    from_ms: float
    to_ms: float
    calls: int


class LoadReport(msgspec.Struct, frozen=True):
    """A load and what came of it. A call is one lookup, or one batch of them.

    Attributes:
        loop: "closed", or "open" at the rate of `wanted_per_s` lookups a second.
        unsent: lookups that an open loop had no time for before the end; they are in no
            other figure.
        latency_ms: of calls, from when they were due: "mean", "p50" ... "max".
        workers: lookups that each answered; of batches, that is not told.
        errors: lookups by the code of their error.
    """

    clients: int
    processes: int
    loop: str
    wanted_per_s: float
    batch: int
    direct: bool
    seconds: float
    lookups: int
    lookups_per_s: float
    failed: int
    unsent: int
    latency_ms: dict[str, float]
    workers: dict[str, int]
    errors: dict[str, int]
    histogram: tuple[HistogramRow, ...]

    @classmethod
    def of(
        cls,
        stats: LoadStats,
        *,
        clients: int,
        processes: int,
        rate: float,
        batch: int,
        direct: bool,
        seconds: float,
    ) -> LoadReport:
        """That of a stats which took so many seconds; `rate` in lookups a second, or 0.0."""
        latencies = stats.latencies
        figures = {name: latencies.percentile(q) for name, q in PERCENTILES.items()}
        if latencies.count:
            figures = {"mean": latencies.total / latencies.count, **figures}
            figures["max"] = latencies.longest
        return cls(
            clients=clients,
            processes=processes,
            loop="open" if rate else "closed",
            wanted_per_s=rate,
            batch=batch,
            direct=direct,
            seconds=round(seconds, 3),
            lookups=stats.answered + stats.failed,
            lookups_per_s=round(stats.answered / seconds, 1) if seconds else 0.0,
            failed=stats.failed,
            unsent=stats.unsent * batch,
            latency_ms={k: rounded_ms(v) for k, v in figures.items() if v is not None},
            workers={
                worker: stats.workers[worker]
                for worker in sorted(stats.workers, key=lambda worker: (len(worker), worker))
                if worker
            },
            errors=dict(sorted(stats.errors.items())),
            histogram=tuple(
                HistogramRow(rounded_ms(r.low), rounded_ms(r.high), r.calls)
                for r in latencies.rows()
            ),
        )
