"""`traffic`: a load of sample lookups, to see a cluster at work."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import click

from nodes.cli.common import (
    StopSignals,
    explained,
    json_option,
    leave_with_stdin_option,
    master_options,
    print_json,
    watch_stdin,
)
from nodes.client.blocking import Client
from nodes.load import LoadPlan, make_caller, run_schedule, sample_lookups
from nodes.support.units import rounded_ms


@click.command()
@click.argument("rate", type=click.FloatRange(0.1, 100_000), default=50.0)
@master_options
@leave_with_stdin_option
@json_option
@explained
def traffic(
    rate: float, master: str, tls: Path | None, leave_with_stdin: bool, as_json: bool
) -> None:
    """Ask RATE sample lookups a second (default 50) until Ctrl-C; report each second.

    One client, for the eye. To measure, use 'rollcall-nodes bench'.
    """
    stop = StopSignals()
    if leave_with_stdin:
        watch_stdin()
    # Far behind, it asks as fast as it can, and forgets what it will never catch up.
    plan = LoadPlan(rate=rate, patience=1.0)
    with Client(master, tls=tls) as client:
        random = Random()  # noqa: S311 - draws samples
        ask = make_caller(client, sample_lookups(client, random))
        for stats in run_schedule(ask, plan.schedule(0, time.monotonic()), stopping=stop.asked):
            p99_ms = rounded_ms(stats.latencies.percentile(0.99) or 0.0)
            if as_json:
                print_json(
                    {
                        "rate": rate,
                        "answered": stats.answered,
                        "errors": stats.failed,
                        "p99_ms": p99_ms,
                    }
                )
            else:
                click.echo(f"{stats.answered}/s answered, {stats.failed} errors, p99 {p99_ms} ms")
