"""`report`: what happened in a stretch of time, as one file for people who were not there."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import click

from nodes.cli.common import (
    asked_span,
    asked_time,
    explained,
    json_option,
    master_options,
    print_json,
)
from nodes.errors import DataError
from nodes.report.bundle import bundle as bundle_of
from nodes.report.figures import Material, build_report
from nodes.report.gather import end_of, material_in, material_of
from nodes.report.html import page
from nodes.report.model import Report
from nodes.support.files import write_atomically
from nodes.support.os_errors import explain_os_error
from nodes.support.text import printable

STDOUT = Path("-")


@click.command()
@master_options
@click.option(
    "--since",
    metavar="TIME",
    callback=asked_span,
    default="1h",
    show_default=True,
    help="How far to look back: 30s, 10m, 1h30m, 2d.",
)
@click.option(
    "--until",
    metavar="TIME",
    callback=asked_time,
    default=None,
    help="From when to look back: 12:00:00, 2026-01-31T12:00:00, or Unix time.  [default: now, or "
    "the end of --file]",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=None,
    help="A recording's file, in place of what the master wrote.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="The page to write, '-' for standard output.  [default: one named by the time]",
)
@click.option(
    "--bundle",
    metavar="FILE.tar.gz",
    type=click.Path(path_type=Path),
    default=None,
    help="Write the same as a tar of JSON files; a page as well only with -o.",
)
@click.option("--no-arguments", is_flag=True, help="Leave out what slow lookups asked for.")
@json_option
@explained
def report(
    master: str,
    tls: Path | None,
    since: float,
    until: float | None,
    file: Path | None,
    output: Path | None,
    bundle: Path | None,
    no_arguments: bool,
    as_json: bool,
) -> None:
    """Write one page of HTML of what happened, to be read anywhere: the verdict over time, charts,
    workers, events, slow lookups. It has all it needs in itself, and no secret of the cluster.

    Of a master on this machine, it needs nothing but its files: it may have ended.
    """
    now = time.time()
    if until is None and file is not None:
        until = end_of(file)
    last = now if until is None else until
    first = last - max(1.0, since)
    found: AbstractContextManager[Material] = (
        material_of(master, tls, first, last) if file is None else material_in(file, first, last)
    )
    with found as material:
        if until is None:  # the master's own last word came a moment later
            last = max(last, material.now_at or last)
        made = build_report(
            material,
            first=first,
            last=last,
            made_at=now,
            utc_offset_s=_utc_offset_s(last),
            with_arguments=not no_arguments,
        )
    if output is None and bundle is None:
        output = Path(time.strftime("rollcall-report-%Y%m%d-%H%M%S.html", time.localtime(now)))
    _write(made, output, bundle, as_json=as_json)


def _write(made: Report, output: Path | None, bundle: Path | None, *, as_json: bool) -> None:
    written: dict[str, str] = {}
    if output is not None:
        _put(output, page(made).encode())
        written["page"] = str(output)
    if bundle is not None:
        _put(bundle, bundle_of(made))
        written["bundle"] = str(bundle)
    if output == STDOUT:
        return
    print_json(written) if as_json else click.echo(printable(", ".join(written.values())))


def _put(path: Path, data: bytes) -> None:
    try:
        if path == STDOUT:
            sys.stdout.buffer.write(data)
        else:
            write_atomically(path, data)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {explain_os_error(error)}") from error


def _utc_offset_s(at: float) -> int:
    """Of this machine's zone, as it was then."""
    try:
        offset = datetime.fromtimestamp(at).astimezone().utcoffset()
    except (OverflowError, OSError, ValueError):
        offset = None
    return 0 if offset is None else int(offset.total_seconds())
