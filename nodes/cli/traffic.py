"""`traffic`: a load of sample lookups, to see a cluster at work."""

from __future__ import annotations

from pathlib import Path
from random import Random

import click

from nodes.cli.common import (
    StopSignals,
    as_json,
    explained,
    leave_with_stdin_option,
    master_option,
    print_json,
    tls_option,
    watch_stdin,
)
from nodes.traffic import traffic as ask_samples


@click.command()
@click.argument("rate", type=click.FloatRange(0.1, 100_000), default=50.0)
@master_option
@tls_option
@leave_with_stdin_option
@as_json
@explained
def traffic(
    rate: float, master: str, tls: Path | None, leave_with_stdin: bool, as_json: bool
) -> None:
    """Ask RATE sample lookups a second (default 50) until Ctrl-C; report each second."""
    stop = StopSignals()
    if leave_with_stdin:
        watch_stdin()
    random = Random()  # noqa: S311 - draws samples
    for second in ask_samples(master, rate, stopping=stop.asked, random=random, tls=tls):
        if as_json:
            print_json(second._asdict())
        else:
            click.echo(
                f"{second.answered}/s answered, {second.errors} errors, p99 {second.p99_ms} ms"
            )
