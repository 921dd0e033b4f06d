"""`journal`: what a master wrote down, read from its file: it need not run any more."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click
import msgspec

from nodes.cli.common import (
    asked_span,
    explained,
    json_option,
    master_option,
    print_json,
)
from nodes.cli.steer import event_line
from nodes.master.journal_reading import find_journal, read_events, read_seconds
from nodes.master.recording import SUFFIX, Recording
from nodes.support.addresses import parse_address
from nodes.support.text import printable
from nodes.support.units import latency
from nodes.wire import Second, WorkerView


@click.command()
@master_option
@click.option(
    "--since",
    metavar="TIME",
    callback=asked_span,
    default="1d",
    show_default=True,
    help="How far to look back: 30s, 10m, 1h30m, 2d.",
)
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="Lines.")
@click.option("--figures", is_flag=True, help="The figures of each second, in place of events.")
@click.option(
    "--worker",
    "workers",
    metavar="ID",
    multiple=True,
    help="The figures of this worker, as far as they were recorded; 'w*' is every worker.",
)
@json_option
@explained
def journal(
    master: str, since: float, most: int, figures: bool, workers: tuple[str, ...], as_json: bool
) -> None:
    """Show what a master of this machine wrote down, even if it has ended; oldest first."""
    host, port = parse_address(master)
    path = find_journal(port, host)
    if workers:
        _print_workers(path.with_suffix(SUFFIX), workers, since, most, as_json=as_json)
    elif figures:
        if not as_json:
            click.echo("TIME          PER S     P50     P99  NOW  ANSWERED  ERRORS  UP  VERDICT")
        for second in read_seconds(path, last_s=since, most=most):
            print_json(second) if as_json else click.echo(_line(second))
    else:
        for event in read_events(path, last_s=since, most=most):
            print_json(event) if as_json else click.echo(event_line(event))


def _line(second: Second) -> str:
    p50, p99 = ("-" if ms is None else f"{ms:.2f}" for ms in (second.p50_ms, second.p99_ms))
    return printable(
        f"{_clock(second.at)}  {second.lookups_per_s:9.1f} {p50:>7} {p99:>7} "
        f"{second.in_flight:>4} {second.answered:>9} {second.errors:>7} {second.up:>3}  "
        f"{second.level}  {second.verdict}".rstrip()
    )


def _print_workers(
    path: Path, patterns: Sequence[str], since: float, most: int, *, as_json: bool
) -> None:
    """What was recorded of some workers, the newest lines."""
    with Recording.open(path) as recording:
        newest = deque(_workers_of(recording, patterns, time.time() - since), maxlen=most)
        trouble = recording.trouble
    if not newest and not trouble:
        trouble = f"nothing was recorded of {', '.join(patterns)} in that time"
    if newest and not as_json:
        click.echo(
            "TIME      WORKER  STATE         PER S      P50      P99  NOW    SERVED  HEDGED  ERRORS"
            "  CPU   MEMORY"
        )
    for at, view in newest:
        if as_json:
            print_json({"at": at, **msgspec.structs.asdict(view)})
        else:
            click.echo(_worker_line(at, view))
    if trouble:
        click.echo(printable(f"rollcall-nodes: {trouble}"), err=True)


def _workers_of(
    recording: Recording, patterns: Sequence[str], begin: float
) -> Iterator[tuple[float, WorkerView]]:
    for snapshot in recording.between(begin, math.inf):
        for view in snapshot.workers:
            if any(fnmatchcase(view.id, pattern) for pattern in patterns):
                yield snapshot.taken_at, view


def _worker_line(at: float, view: WorkerView) -> str:
    return printable(
        f"{_clock(at)}  {view.id:<6}  {view.state:<9} {view.lookups_per_s:9.1f} "
        f"{latency(view.p50_ms):>8} {latency(view.p99_ms):>8} {view.in_flight:>4} "
        f"{view.served:>9} {view.hedged_away:>7} {view.errors:>7} {view.cpu_percent:>3.0f}% "
        f"{view.memory_bytes / 2**20:>4.0f} MiB"
    )


def _clock(at: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f}"
