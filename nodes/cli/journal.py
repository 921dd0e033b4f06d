"""`journal`: what a master wrote down, read from its file: it need not run any more."""

from __future__ import annotations

import time

import click

from nodes.cli.common import (
    explained,
    json_option,
    master_option,
    print_json,
)
from nodes.cli.steer import event_line
from nodes.master.journal_reading import find_journal, read_events, read_seconds
from nodes.support.addresses import parse_address
from nodes.wire import Second


@click.command()
@master_option
@click.option(
    "--since",
    type=click.FloatRange(min=0),
    default=86400.0,
    show_default=True,
    help="Seconds to look back.",
)
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="Lines.")
@click.option("--figures", is_flag=True, help="The figures of each second, in place of events.")
@json_option
@explained
def journal(master: str, since: float, most: int, figures: bool, as_json: bool) -> None:
    """Show what a master of this machine wrote down, even if it has ended; oldest first."""
    host, port = parse_address(master)
    path = find_journal(port, host)
    if figures:
        if not as_json:
            click.echo("TIME          PER S     P50     P99  NOW  ANSWERED  ERRORS  UP")
        for second in read_seconds(path, last_s=since, most=most):
            print_json(second) if as_json else click.echo(_line(second))
        return
    for event in read_events(path, last_s=since, most=most):
        print_json(event) if as_json else click.echo(event_line(event))


def _line(second: Second) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(second.at))
    p50, p99 = ("-" if ms is None else f"{ms:.2f}" for ms in (second.p50_ms, second.p99_ms))
    return (
        f"{at}  {second.lookups_per_s:9.1f} {p50:>7} {p99:>7} {second.in_flight:>4} "
        f"{second.answered:>9} {second.errors:>7} {second.up:>3}"
    )
