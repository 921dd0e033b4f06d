"""The console, `ps`, `/metrics` and a client's own tally say the same of the same lookups."""

from __future__ import annotations

import asyncio
import json
import math
from bisect import bisect_left
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from prometheus_client.metrics_core import Metric

from nodes.cli.steer import ps
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import LookupFailed
from nodes.monitoring.endpoint import Endpoint
from nodes.support.addresses import Address
from nodes.support.units import milliseconds
from nodes.wire import DURATION_BOUNDS_S
from tests.console.test_live import console
from tests.kit import FrozenProcess, hosted, poll_for, up
from tests.monitoring.kit import fetch, metrics, samples

HISTOGRAM = "rollcall_lookup_duration_seconds"

LOOKUPS = 300
LATE = 12
"""Lookups asked while a worker is frozen, so that some are hedged: more than one in a hundred."""


class Figures(NamedTuple):
    """What is said of the lookups."""

    served: int
    errors: int
    extra_attempts: int
    p99_ms: float


class Tally:
    """What a client saw, by the envelopes that it got."""

    def __init__(self) -> None:
        self.errors = 0
        self.took_ms: list[float] = []
        self.extra_attempts = 0

    def ask(self, client: Client, count: int) -> None:
        """Asks so many lookups, one after the other."""
        for _ in range(count):
            try:
                page = client.page("getbyname", "xander")
            except LookupFailed:
                self.errors += 1
            else:
                self.took_ms.append(page.elapsed_ms)
                self.extra_attempts += page.attempts - 1

    @property
    def figures(self) -> Figures:
        """All of it."""
        p99_ms = sorted(self.took_ms)[math.ceil(0.99 * len(self.took_ms)) - 1]
        return Figures(len(self.took_ms), self.errors, self.extra_attempts, p99_ms)


def same(one: Figures, other: Figures) -> bool:
    """Whether both say the same; percentiles are right within a tenth."""
    return one[:3] == other[:3] and math.isclose(one.p99_ms, other.p99_ms, rel_tol=0.1)


def of_ps(address: str) -> Figures:
    """As `ps --json` has it."""
    shown = json.loads(CliRunner().invoke(ps, ["--master", address, "--json"]).stdout)
    extra = shown["hedges"] + shown["reroutes"]
    return Figures(shown["answered"], shown["errors"], extra, shown["p99_ms"] or 0.0)


def total(found: dict[str, Metric], name: str) -> int:
    """The sum of a metric's samples of that name."""
    return int(sum(value for (one, _), value in samples(found).items() if one == name))


def of_metrics(found: dict[str, Metric]) -> tuple[int, int, int]:
    """As a scrape has it, percentiles apart."""
    extra = total(found, "rollcall_hedges_total") + total(found, "rollcall_reroutes_total")
    errors = total(found, "rollcall_lookup_errors_total")
    return total(found, "rollcall_lookups_total"), errors, extra


def quantile_bound(found: dict[str, Metric], q: float) -> float:
    """The upper bound of the bucket in which a quantile of all durations is, in seconds."""
    sums: dict[float, float] = {}
    for (name, labels), value in samples(found).items():
        if name == f"{HISTOGRAM}_bucket":
            bound = float(dict(labels)["le"])
            sums[bound] = sums.get(bound, 0.0) + value
    most = sums[math.inf]
    return min(bound for bound, count in sums.items() if count >= q * most)


def make_trouble(cluster: HostedCluster, tally: Tally) -> None:
    """Lookups are answered, are late, and fail."""
    with Client(cluster.address) as client:
        tally.ask(client, LOOKUPS)
        frozen = cluster.snapshot().workers[0]
        with FrozenProcess(frozen.pid):
            tally.ask(client, LATE)
        poll_for(lambda: len(up(cluster)) == 2)
        for worker_id in up(cluster):
            cluster.kill(worker_id)
        poll_for(lambda: not up(cluster))
        tally.ask(client, 3)


@pytest.mark.long
def test_console_ps_metrics_and_an_outside_tally_agree() -> None:
    tally = Tally()

    async def read_console(address: str) -> tuple[Figures, str]:
        async with console(attach=address) as shown:
            seen = shown.app.snapshot
            assert seen is not None
            figures = Figures(
                seen.answered, seen.errors, seen.hedges + seen.reroutes, seen.p99_ms or 0.0
            )
            return figures, shown.text()

    with (
        hosted(2) as cluster,
        Endpoint(Address("127.0.0.1", 0), cluster.master.recent_snapshot) as at,
    ):
        make_trouble(cluster, tally)
        expected = tally.figures
        assert expected.errors == 3
        assert expected.extra_attempts > 0
        assert same(of_ps(cluster.address), expected)
        shown, text = asyncio.run(read_console(cluster.address))
        assert same(shown, expected)
        assert milliseconds(shown.p99_ms) in text
        poll_for(lambda: of_metrics(metrics(fetch(at.address, "/metrics").body)) == expected[:3])
        found = metrics(fetch(at.address, "/metrics").body)
    bound = quantile_bound(found, 0.99)
    near = (expected.p99_ms * 0.99e-3, expected.p99_ms * 1.01e-3)
    assert bound in {DURATION_BOUNDS_S[bisect_left(DURATION_BOUNDS_S, one)] for one in near}
    assert total(found, f"{HISTOGRAM}_count") == expected.served
    per_worker = [s for s in samples(found) if s[0] == "rollcall_worker_attempts_total"]
    assert per_worker == [], "they are gone, and so are their series"
