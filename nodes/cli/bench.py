"""`bench`: a load on a cluster, and how it bears it."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random

import click
import msgspec

from nodes.cli.common import (
    StopSignals,
    explained,
    json_option,
    master_options,
    print_json,
)
from nodes.client.blocking import Client
from nodes.client.lookups import BATCH_LOOKUPS
from nodes.load import LoadPlan, LoadReport, LoadStats, sample_lookups
from nodes.load.client_process import BenchWork
from nodes.load.process_group import ProcessGroup
from nodes.support.text import printable
from nodes.support.units import counted, measured

DEFAULT_SECONDS = 10.0
"""How long it takes, unless its caller says otherwise."""

BAR_WIDTH_CHARS = 40
"""Characters of the longest bar."""


@click.command()
@master_options
@click.option(
    "--clients",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="How many ask at the same time.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 86_400),
    default=None,
    help="How long they ask.  [default: 10, without --count]",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    default=None,
    help="How many lookups they ask, all together (whole batches).",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1_000_000),
    default=None,
    help="Lookups a second, all together: an open loop, see above.",
)
@click.option(
    "--lookup",
    "only",
    multiple=True,
    metavar="NAME",
    help="Ask only this lookup (may be given again).  [default: all]",
)
@click.option(
    "--batch",
    type=click.IntRange(1, BATCH_LOOKUPS),
    default=1,
    show_default=True,
    help="Lookups of one call.",
)
@click.option("--direct", is_flag=True, help="Ask the workers, past the master.")
@json_option
@explained
def bench(
    master: str,
    tls: Path | None,
    clients: int,
    seconds: float | None,
    count: int | None,
    rate: float | None,
    only: tuple[str, ...],
    batch: int,
    direct: bool,
    as_json: bool,
) -> None:
    """Put a load on a cluster; report throughput, latencies and errors.

    The lookups are drawn from the records that are there, of each kind as many. Ctrl-C ends
    it early, and it still reports.

    Without --rate each client asks as soon as it has its answer (a closed loop): that shows
    the highest throughput, but a stall delays the questions too, and the latencies hide it.

    With --rate lookups are due at fixed times, whatever the answers do (an open loop), and a
    latency counts from when its lookup was due, not from when it could be sent: what users
    at that rate would wait ("coordinated omission" is accounted for). What was due and could
    not be sent before the end is reported as unsent.
    """
    if seconds is None and count is None:
        seconds = DEFAULT_SECONDS
    plan = LoadPlan(
        clients=clients,
        seconds=seconds,
        rate=(rate or 0.0) / batch,
        calls=None if count is None else math.ceil(count / batch),
    )
    folder = None if tls is None else str(tls)
    work = BenchWork(master=master, tls=folder, batch=batch, direct=direct, questions=())
    report = _measure(plan, work, only)
    if as_json:
        print_json(report)
    else:
        click.echo(text_of(report))


def _measure(plan: LoadPlan, work: BenchWork, only: tuple[str, ...]) -> LoadReport:
    """Draws the questions, has them asked, and sums up."""
    stop = StopSignals()
    with Client(work.master, tls=work.tls) as client:
        random = Random()  # noqa: S311 - draws samples
        questions = tuple(sample_lookups(client, random, only=only))
    work = msgspec.structs.replace(work, questions=questions)
    with ProcessGroup(plan, work) as processes:
        stats = _follow(processes, stop, plan.seconds)
        return LoadReport.of(
            stats,
            clients=plan.clients,
            processes=len(processes),
            rate=plan.rate * work.batch,
            batch=work.batch,
            direct=work.direct,
            seconds=processes.seconds,
        )


def _follow(processes: ProcessGroup, stop: StopSignals, seconds: float | None) -> LoadStats:
    """All that came of it; on a terminal, shown as it comes (on stderr, so as not to mix)."""
    whole = LoadStats()
    with ExitStack() as stack:
        show = _LiveProgress(seconds, stack) if sys.stderr.isatty() else None
        for part in processes.run(stop.asked):
            whole.merge(part)
            if show is not None:
                show.update(whole)
    return whole


class _LiveProgress:
    """One line of progress."""

    def __init__(self, seconds: float | None, stack: ExitStack) -> None:
        from rich.console import Console  # noqa: PLC0415 - only for a terminal
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        self._progress = stack.enter_context(
            Progress(
                TimeElapsedColumn(),
                BarColumn(20),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
            )
        )
        self._task = self._progress.add_task("the clients connect", total=seconds)

    def update(self, whole: LoadStats) -> None:
        """Shows how it is going, up to the clients' last reports (two a second)."""
        task = self._progress.tasks[0]
        elapsed = task.elapsed or 0.0
        p50, p99 = (measured(whole.latencies.percentile(q)) for q in (0.5, 0.99))
        rate = whole.answered / elapsed if elapsed else 0.0
        self._progress.update(
            self._task,
            completed=elapsed,
            description=f"{rate:,.0f} lookups/s  p50 {p50}  p99 {p99}  {whole.failed:,} errors",
        )


def text_of(report: LoadReport) -> str:
    """The report for people."""
    loop = "closed loop"
    if report.wanted_per_s:
        loop = f"open loop, {report.wanted_per_s:,.10g} a second wanted"
    how = [f"batches of {report.batch:,}"] * (report.batch > 1)
    how += ["straight to the workers"] * report.direct
    clients = counted(report.clients, "client")
    processes = counted(report.processes, "process", "processes")
    lines = [
        ", ".join([f"{clients} in {processes}", loop, *how]),
        f"{report.lookups:,} lookups in {report.seconds:.1f} s: "
        f"{report.lookups_per_s:,.0f} answered a second, {report.failed:,} errors",
    ]
    if report.unsent:
        lines.append(f"{report.unsent:,} more were due and not sent: the rate is too high")
    if report.latency_ms:
        what = "latency" if report.batch == 1 else "latency of a batch"
        shown = (f"{name} {measured(ms / 1000)}" for name, ms in report.latency_ms.items())
        lines += ["", f"{what}: {'  '.join(shown)}"]
        lines += _bars(report)
    answered = sum(report.workers.values())
    for worker, served in report.workers.items():
        lines.append(f"{printable(worker)}: {served:,} answered, {served / answered:.0%}")
    lines += [f"{code}: {failed:,} errors" for code, failed in report.errors.items()]
    return "\n".join(lines)


def _bars(report: LoadReport) -> list[str]:
    most = max(bar.calls for bar in report.histogram)
    return [
        f"{measured(bar.from_ms / 1000):>9} to {measured(bar.to_ms / 1000):>9} {bar.calls:>9,} "
        f"{'#' * math.ceil(bar.calls / most * BAR_WIDTH_CHARS)}"
        for bar in report.histogram
    ] + [""]
