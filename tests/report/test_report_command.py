"""`report` of a real cluster: it says what `ps` says, and what its clients counted."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from time import perf_counter

import msgspec
import pytest
from click.testing import CliRunner, Result

from nodes.cli import cli
from nodes.client.blocking import Client
from nodes.errors import NoWorkers
from nodes.master.journal_file import journal_file
from nodes.report.model import Report
from nodes.routing.histogram import PER_OCTAVE
from nodes.security.tokens import read_token
from nodes.support.addresses import parse_address
from nodes.wire import ClusterSnapshot
from tests.kit import FrozenProcess, Node, hosted, poll_for, run_nodes, up
from tests.report.kit import Tags, snapshot
from tests.report.test_gather import write_journal

BUCKET = 2 ** (1 / PER_OCTAVE)
"""By which factor the ends of a latency's bucket are apart."""


def run(*args: str) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(cli, args)


def reported(address: str, folder: Path, *args: str) -> Report:
    """The report of the last minutes, by command."""
    path = folder / "report.tar.gz"
    done = run("report", "--master", address, "--since", "5m", "--bundle", str(path), *args)
    assert done.exit_code == 0, done.output
    with tarfile.open(path) as tar:
        parts = {
            Path(entry.name).stem: json.loads(file.read())
            for entry in tar.getmembers()
            if (file := tar.extractfile(entry)) is not None
        }
    return msgspec.convert(parts.pop("report") | parts, Report, strict=False)


def check_agrees(report: Report, shown: ClusterSnapshot, answered: int, errors: int) -> None:
    """Whether report, `ps` and client say the same."""
    totals = report.totals
    assert (totals.answered, totals.errors) == (shown.answered, shown.errors) == (answered, errors)
    assert totals.errors_by_code == shown.errors_by_code == {NoWorkers.code: errors}
    assert (totals.hedges, totals.reroutes) == (shown.hedges, shown.reroutes)
    assert {one.id: one.served for one in report.workers} == {
        one.id: one.served for one in shown.workers
    }
    assert sum(count for _, count in report.latencies) == answered
    assert {one.name: one.answered for one in report.lookups if one.answered} == {
        "getbyname": answered
    }


def test_it_says_what_ps_says_and_what_a_client_counted(tmp_path: Path) -> None:
    took: list[float] = []
    with hosted(2) as cluster, Client(cluster.address) as client:
        address = cluster.address
        frozen, *_ = cluster.snapshot().workers
        for turn in range(400):
            if turn == 200:
                with FrozenProcess(frozen.pid):  # some are late, and hedged
                    for _ in range(4):
                        began = perf_counter()
                        client.getbyname("xander")
                        took.append(perf_counter() - began)
            began = perf_counter()
            client.getbyname("xander")
            took.append(perf_counter() - began)
        poll_for(lambda: cluster.snapshot().in_flight == 0)
        shown = cluster.snapshot()
        running = reported(address, tmp_path)
        for worker_id in up(cluster):
            cluster.kill(worker_id)
        poll_for(lambda: not up(cluster))
        with pytest.raises(NoWorkers):
            client.getbyname("<b>nobody</b>")
        shown = cluster.snapshot()
        check_agrees(reported(address, tmp_path), shown, len(took), 1)
    check_agrees(reported(address, tmp_path), shown, len(took), 1)  # all has ended

    seen_ms = 1000 * sorted(took)[int(len(took) * 0.99)]
    [lookup] = [one for one in running.lookups if one.name == "getbyname"]
    assert lookup.p99_ms is not None and lookup.p99_ms <= seen_ms * BUCKET
    assert running.charts.p99_ms.columns[-1] is not None
    assert running.verdict.level in ("HEALTHY", "DEGRADED")
    page = tmp_path / "report.html"
    done = run("report", "--master", address, "--since", "5m", "-o", str(page))
    assert (done.exit_code, done.output) == (0, f"{page}\n")
    drawn = page.read_text()
    assert "<b>nobody</b>" in Tags(drawn).text and "<b>nobody" not in drawn
    assert str(read_token()) not in drawn and str(Path.home()) not in drawn


@pytest.mark.long
def test_a_master_elsewhere_is_asked(tmp_path: Path) -> None:
    """One whose files are not to be had here: another state, but the same token."""
    env = {"ROLLCALL_STATE": str(tmp_path / "elsewhere"), "ROLLCALL_TOKEN_FILE": ""}
    with Node("up", "--workers", "1", "--port", "0", "--json", env=env) as node:
        address = str(node.ready["master"])
        token = tmp_path / "elsewhere" / "token"
        # Somebody had that port here once: that is not what is asked for.
        write_journal(journal_file(parse_address(address).port), [snapshot(1)])
        with Client(address) as client:
            for _ in range(20):
                client.getbyname("xander")
        done = run_nodes(
            *("report", "--master", address, "--since", "1m", "-o", "-"),
            env={"ROLLCALL_TOKEN_FILE": str(token)},
        )
    assert done.returncode == 0, done.stderr
    shown = Tags(done.stdout).text
    assert f"what the master at {address} tells" in shown and "OUTAGE" not in shown


def test_what_cannot_be_told_says_what_to_do(tmp_path: Path) -> None:
    nobody = run("report", "--master", "127.0.0.1:1", "-o", str(tmp_path / "x"))
    assert nobody.exit_code == 2 and "127.0.0.1:1" in nobody.stderr
    missing = run("report", "--file", str(tmp_path / "none"), "-o", str(tmp_path / "x"))
    assert missing.exit_code == 2 and "there is no recording" in missing.stderr
    assert run("report", "--since", "1x").exit_code == 2
    assert not (tmp_path / "x").exists()
