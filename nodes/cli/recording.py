"""`recording`: what a master's snapshots said, read from a file: it need not run any more."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click

from nodes.cli.common import (
    explained,
    json_option,
    master_option,
    print_json,
)
from nodes.cli.steer import print_snapshot
from nodes.errors import DataError
from nodes.master.journal_reading import find_journal
from nodes.master.recording import SUFFIX, Recording
from nodes.support.addresses import parse_address
from nodes.support.moments import parse_moment
from nodes.support.text import printable
from nodes.support.units import counted, duration


def _asked_time(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """A time of the command line, as Unix time in seconds."""
    try:
        return None if text is None else parse_moment(text, datetime.now())
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no time: give one as 12:00:00 or 2026-01-31T12:00:00"
        ) from error


@click.command()
@master_option
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=None,
    help="A recording's file, in place of the master's own.",
)
@click.option(
    "--at",
    metavar="TIME",
    callback=_asked_time,
    default=None,
    help="Show the cluster as it was then: 12:00:00, 2026-01-31T12:00:00, or Unix time.",
)
@click.option("--last", is_flag=True, help="Show the cluster as it was last recorded.")
@json_option
@explained
def recording(master: str, file: Path | None, at: float | None, last: bool, as_json: bool) -> None:
    """Show what a master of this machine recorded, even if it has ended: from when to when or,
    for a time, what 'ps' would have shown.
    """
    path = _recorded_by(master) if file is None else file
    with Recording.open(path, own=file is None) as opened:
        begin, end = opened.span
        if last:
            at = end
        if at is None:
            _print_span(opened, path, as_json=as_json)
        else:
            snapshot = opened.at(at)
            if snapshot is None:
                raise DataError(
                    f"nothing that can be read is recorded at {_clock(at)} or before it: the "
                    f"recording is from {_clock(begin)} to {_clock(end)}"
                )
            if not as_json:
                click.echo(f"as recorded at {_clock(snapshot.taken_at)}")
            print_snapshot(snapshot, as_json=as_json)
        if opened.trouble:
            click.echo(printable(f"rollcall-nodes: {opened.trouble}"), err=True)


def _recorded_by(master: str) -> Path:
    host, port = parse_address(master)
    return find_journal(port, host).with_suffix(SUFFIX)


def _print_span(opened: Recording, path: Path, *, as_json: bool) -> None:
    begin, end = opened.span
    if as_json:
        span = {"file": str(path), "first": begin, "last": end, "snapshots": opened.count}
        print_json(span)
        return
    click.echo(
        printable(
            f"{path}: from {_clock(begin)} to {_clock(end)} ({duration(end - begin)}), "
            f"{counted(opened.count, 'snapshot')}"
        )
    )


def _clock(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return str(at)
