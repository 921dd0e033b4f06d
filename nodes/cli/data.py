"""`rollcall-nodes data`: look records over, and build their catalog ahead of time."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodes.catalog import (
    CatalogInfo,
    Progress,
    check_data,
    ensure_catalog,
    load_into_store,
    propose_definition,
    write_definition,
)
from nodes.cli.common import (
    EXIT_FAILED,
    explained,
    json_option,
    print_json,
    skip_bad_option,
)
from nodes.cli.data_report import lookups_text, report_lines
from nodes.support.paths import shipped_data
from nodes.support.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

BAR_AFTER_S = 1.0
"""A build that is over sooner shows no progress bar."""


@click.group()
def data() -> None:
    """Look records over, and build the catalog that workers answer from."""


_folder = click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    type=click.Path(path_type=Path),
)


@data.command()
@_folder
@json_option
@explained
def check(folder: Path | None, as_json: bool) -> None:
    """Read the records in DIR (a folder or a file; default: the shipped ones) and report.

    Nothing is written. Exit code 1 if some records are bad, 2 if the data
    cannot be used even without these.
    """
    report = check_data(folder or shipped_data())
    if as_json:
        print_json(report)
    else:
        _say(report_lines(report))
    if report.problem:
        raise SystemExit(EXIT_FAILED)
    if report.bad_count:
        raise SystemExit(1)


@data.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--show", is_flag=True, help="Print it, and write nothing.")
@explained
def init(folder: Path, show: bool) -> None:
    """Write a dataset.toml for the records in DIR, which has none.

    It has a lookup on each field whose values find few records (a thousand at
    most, on the average). Change it as you like.
    """
    text = propose_definition(folder)
    if not show:
        write_definition(folder, text)
    lines = text.rstrip("\n").split("\n")
    _say(lines if show else [f"{folder / 'dataset.toml'} is written:", "", *lines])


@data.command()
@_folder
@skip_bad_option
@click.option("--force", is_flag=True, help="Build even if nothing changed.")
@json_option
@explained
def build(folder: Path | None, skip_bad: bool, force: bool, as_json: bool) -> None:
    """Build the catalog of the records in DIR (default: the shipped ones), if it is not there.

    Every other command does this by itself; here it is done ahead of time.
    """
    started = time.monotonic()
    info = build_with_progress(folder or shipped_data(), skip_bad=skip_bad, force=force)
    if as_json:
        print_json(info)
        return
    lines = [
        f"{info.name}: {info.records:,} records, catalog {info.version},"
        f" {info.bytes / 1024:,.0f} KiB, ready in {time.monotonic() - started:.2f} s"
    ]
    if info.skipped:
        lines.append(f"{info.skipped:,} bad record(s) left out; see: rollcall-nodes data check")
    _say([*lines, f"lookups: {lookups_text(info.lookups)}", info.path])


@data.command()
@_folder
@skip_bad_option
@json_option
@explained
def load(folder: Path | None, skip_bad: bool, as_json: bool) -> None:
    """Load the records in DIR into the PostgreSQL store that its dataset.toml names.

    They are compiled here, then copied as a table of their own: all of them, or
    none. A cluster goes on with what it serves until it is told to reload.
    """
    started = time.monotonic()
    bar = _ProgressBar(BAR_AFTER_S)
    try:
        info = load_into_store(folder or shipped_data(), skip_bad=skip_bad, progress=bar)
    finally:
        bar.close()
    if as_json:
        print_json(info)
        return
    _say(
        [
            f"{info.name}: {info.records:,} records, catalog {info.version},"
            f" {info.bytes / 1024:,.0f} KiB in the store,"
            f" loaded in {time.monotonic() - started:.2f} s",
            "to serve them: rollcall-nodes reload",
        ]
    )


def build_with_progress(
    data: Path,
    *also: Progress,
    skip_bad: bool = False,
    force: bool = False,
    bar_after_s: float = BAR_AFTER_S,
) -> CatalogInfo:
    """`ensure_catalog`, with a progress bar on stderr if it is a terminal and the build is long.

    Args:
        data, skip_bad, force: as `ensure_catalog`.
        also: told of the progress as well.
        bar_after_s: see `BAR_AFTER_S`.

    Raises:
        DataError: as `ensure_catalog`.
    """
    bar = _ProgressBar(bar_after_s)

    def progressed(stage: str, done: int, total: int) -> None:
        bar(stage, done, total)
        for each in also:
            each(stage, done, total)

    try:
        return ensure_catalog(data, skip_bad=skip_bad, force=force, progress=progressed)
    finally:
        bar.close()


class _ProgressBar:
    """A `Progress` that draws itself only once the build has taken a while."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._started = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._bar: Bar | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self._terminal or time.monotonic() - self._started < self._after_s:
            return
        if self._bar is None:
            self._bar = _open_bar()
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()


def _open_bar() -> Bar:
    from rich.console import Console  # noqa: PLC0415 - only a long build pays for rich
    from rich.progress import Progress as Bar  # noqa: PLC0415

    bar = Bar(console=Console(stderr=True), transient=True)
    bar.start()
    return bar


def _say(lines: list[str]) -> None:
    """Print lines in which names from the data may hold anything."""
    for line in lines:
        click.echo(printable(line))
