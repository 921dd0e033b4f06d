"""Console, `ps`, `/metrics`, journal, report and an outside tally agree on the same lookups."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from click.testing import CliRunner

from nodes.cli import cli
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import LookupFailed, NoWorkers
from nodes.monitoring.endpoint import Endpoint
from nodes.report.model import Report
from nodes.routing import DEFAULT_LIMITS
from nodes.support.addresses import Address
from nodes.support.units import milliseconds
from nodes.wire import ClusterSnapshot, Second
from tests.console.test_live import console
from tests.kit import FrozenProcess, hosted, poll_for, up
from tests.monitoring.kit import fetch, metrics, samples

HISTOGRAM = "rollcall_lookup_duration_seconds"

LOOKUPS = 80
LATE = 12
"""Lookups asked while both workers are well, and while one is frozen: of less than a hundred, one
that is hedged is the p99.
"""

FAILED = 3
"""Lookups asked when no worker is left."""


class Figures(NamedTuple):
    """What is said of the lookups, by whoever shows them."""

    served: int
    errors: int
    hedges: int
    reroutes: int
    p99_ms: float | None

    def says_as(self, other: Figures) -> bool:
        """Whether that one says the same; percentiles are right within a tenth."""
        assert self.p99_ms is not None and other.p99_ms is not None
        alike = math.isclose(self.p99_ms, other.p99_ms, rel_tol=0.1)
        return alike and self[:-1] == other[:-1]


class Tally:
    """What a client saw, by the envelopes that it got: those do not tell hedges from reroutes."""

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
    def p99_ms(self) -> float:
        """Of all that were answered."""
        return sorted(self.took_ms)[math.ceil(0.99 * len(self.took_ms)) - 1]

    def counted(self, reroutes: int) -> Figures:
        """All of it, if so many of the attempts were reroutes."""
        hedges = self.extra_attempts - reroutes
        return Figures(len(self.took_ms), self.errors, hedges, reroutes, self.p99_ms)


def run(*args: str) -> str:
    """What a command says."""
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    return done.stdout


def figures_of(seen: ClusterSnapshot | Second) -> Figures:
    """As a snapshot has it, or what was written down of one."""
    return Figures(seen.answered, seen.errors, seen.hedges, seen.reroutes, seen.p99_ms)


async def of_console(address: str) -> tuple[Figures, str]:
    """As the console has it, and all that it shows."""
    async with console(attach=address) as shown:
        seen = shown.app.snapshot
        assert seen is not None
        return figures_of(seen), shown.text()


def of_ps(address: str) -> Figures:
    """As `ps --json` has it."""
    said = run("ps", "--master", address, "--json")
    return figures_of(msgspec.json.decode(said, type=ClusterSnapshot))


def of_journal(address: str) -> Second:
    """The last figures that its master wrote down."""
    said = run("journal", "--master", address, "--figures", "--most", "1", "--json")
    return msgspec.json.decode(said, type=Second)


def report_of(address: str, folder: Path) -> Report:
    """The report of the last minutes."""
    path = folder / "report.tar.gz"
    run("report", "--master", address, "--since", "5m", "--bundle", str(path))
    with tarfile.open(path) as tar:
        parts = {
            Path(entry.name).stem: json.loads(file.read())
            for entry in tar.getmembers()
            if (file := tar.extractfile(entry)) is not None
        }
    return msgspec.convert(parts.pop("report") | parts, Report, strict=False)


def of_report(report: Report) -> Figures:
    """As the report has it; its last p99 is that of the one lookup that was asked."""
    [lookup] = [one for one in report.lookups if one.answered]
    totals = report.totals
    return Figures(totals.answered, totals.errors, totals.hedges, totals.reroutes, lookup.p99_ms)


class Scrape:
    """As a scrape of `/metrics` has it.

    Args:
        address: of the endpoint.
    """

    def __init__(self, address: Address) -> None:
        self._samples = samples(metrics(fetch(address, "/metrics").body))

    def total(self, name: str) -> int:
        """The sum of the samples of that name, whatever their labels."""
        return int(sum(value for (one, _), value in self._samples.items() if one == name))

    @property
    def counted(self) -> tuple[int, ...]:
        """Its counters, in the order of `Figures`."""
        names = ("lookups", "lookup_errors", "hedges", "reroutes")
        return tuple(self.total(f"rollcall_{name}_total") for name in names)

    @property
    def durations(self) -> list[tuple[float, int]]:
        """How many lookups took up to so many seconds, and longer than the bound before."""
        sums: dict[float, int] = defaultdict(int)
        for (name, labels), value in self._samples.items():
            if name == f"{HISTOGRAM}_bucket":
                sums[float(dict(labels)["le"])] += int(value)
        upto = [sums[bound] for bound in sorted(sums)]
        counts = (count - before for before, count in itertools.pairwise((0, *upto)))
        return list(zip(sorted(sums), counts, strict=True))

    def quantile_bounds(self, q: float) -> tuple[float, float]:
        """The bounds of the bucket in which a quantile of all durations is, in milliseconds."""
        rank, seen, below = q * self.total(f"{HISTOGRAM}_count"), 0, 0.0
        for bound, count in self.durations:
            seen += count
            if seen >= rank:
                return below * 1000, bound * 1000
            below = bound
        raise AssertionError("there are fewer than are counted")


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
        tally.ask(client, FAILED)


def check_report(report: Report, expected: Figures, scrape: Scrape, seen: ClusterSnapshot) -> None:
    """Whether a report agrees: with all, with a scrape on how long lookups took from the first to
    the last, and with a snapshot on who answered, and what was wrong.
    """
    assert of_report(report).says_as(expected)
    assert [count for _, count in report.latencies] == [count for _, count in scrape.durations]
    assert report.totals.p99_ms == pytest.approx(scrape.quantile_bounds(0.99))
    assert report.totals.errors_by_code == seen.errors_by_code == {NoWorkers.code: FAILED}
    served = {one.id: one.served for one in seen.workers}
    assert {one.id: one.served for one in report.workers} == served
    assert sum(served.values()) == expected.served


def test_console_ps_metrics_journal_report_and_an_outside_tally_agree(tmp_path: Path) -> None:
    tally = Tally()
    with (
        hosted(2) as cluster,
        Endpoint(Address("127.0.0.1", 0), cluster.master.recent_snapshot) as at,
    ):
        address = cluster.address
        make_trouble(cluster, tally)
        seen = cluster.snapshot()
        expected = tally.counted(seen.reroutes)
        assert expected.errors == FAILED and expected.hedges > 0
        assert tally.p99_ms > 1000 * DEFAULT_LIMITS.hedge_floor_s
        assert figures_of(seen).says_as(expected)
        shown, text = asyncio.run(of_console(address))
        assert shown.says_as(expected) and milliseconds(shown.p99_ms) in text
        assert of_ps(address).says_as(expected)
        poll_for(lambda: Scrape(at.address).counted == expected[:-1])
        scrape = Scrape(at.address)
        low_ms, high_ms = scrape.quantile_bounds(0.99)
        assert low_ms * 0.99 <= tally.p99_ms <= high_ms * 1.01
        assert scrape.total(f"{HISTOGRAM}_count") == expected.served
        assert scrape.total("rollcall_worker_attempts_total") == 0, (
            "they are gone, and their series"
        )
        poll_for(lambda: any(one.at >= seen.taken_at for one in cluster.history()))
        assert figures_of(of_journal(address)).says_as(expected)
        check_report(report_of(address, tmp_path), expected, scrape, seen)
    # All has ended, and what was written down says the same.
    assert figures_of(of_journal(address)).says_as(expected)
    check_report(report_of(address, tmp_path), expected, scrape, seen)
