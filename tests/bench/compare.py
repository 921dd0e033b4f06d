"""Rollcall beside its peers: the same lookups on the same records, all in one run."""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from nodes.load import LoadPlan, LoadStats
from nodes.load.process_group import ProcessGroup
from tests.bench import peers
from tests.bench.client import Work
from tests.bench.peers import Row

RECORDS = 100_000
CLIENT_COMMAND = (sys.executable, "-m", "tests.bench.client")
ECHO = ("floor", 0)
OURS = ("ours", 0)
MANY = 8
"""Clients of the comparison with ours."""

Key = tuple[str, int]
"""A peer's module, and the number of its row."""


class Figure(NamedTuple):
    """Lookups a second, the seconds that one call took at the median, and lookups that failed."""

    per_s: float
    p50: float
    failed: float


def load(work: Work, *, clients: int, seconds: float, batch: int = 1) -> Figure:
    """One load, in client processes of its own."""
    whole = LoadStats()
    with ProcessGroup(
        LoadPlan(clients=clients, seconds=seconds), work, command=CLIENT_COMMAND
    ) as processes:
        for result in processes.run(threading.Event()):
            whole.merge(result)
    p50 = whole.latencies.percentile(0.5)
    assert p50 is not None, "not one call"
    return Figure(whole.answered / processes.seconds, p50, whole.failed)


def medians(figures: Sequence[Figure]) -> Figure:
    """Of each of the three by itself; of failures, all."""
    per_s, p50, failed = zip(*figures, strict=True)
    return Figure(statistics.median(per_s), statistics.median(p50), sum(failed))


def compare(*, only: Sequence[str], rounds: int, seconds: float) -> list[str]:
    """Takes the rows in turn, round after round; returns the lines of the table.

    Args:
        only: modules of peers; all if empty. The floor and ours are always there.
        rounds: a row's figures are the medians over them. A noisy machine disturbs all alike.
        seconds: that each row is asked for by each number of clients.
    """
    wanted = [name for name in peers.NAMES if not only or name in (*only, ECHO[0], OURS[0])]
    rows: dict[Key, Row] = {}
    missing: list[tuple[Row, str]] = []
    taken: dict[tuple[Key, int], list[Figure]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = peers.write(Path(folder), RECORDS)
        addresses = {}
        for name in wanted:
            module: Any = importlib.import_module(f"tests.bench.peers.{name}")
            for number, row in enumerate(module.ROWS):
                if lack := module.missing(row):
                    missing.append((row, lack))
                else:
                    rows[name, number] = row
            if any(there == name for there, _ in rows):
                addresses[name] = stack.enter_context(module.serve(data))
        for turn in range(rounds):
            for key, row in rows.items():
                work = Work(*key, addresses[key[0]], data.count)
                for clients in row.clients:
                    _say(f"round {turn + 1} of {rounds}: {row.title}, {clients} clients")
                    figure = load(work, clients=clients, seconds=seconds, batch=row.batch)
                    taken.setdefault((key, clients), []).append(figure)
    _say("")
    figures = {key: medians(found) for key, found in taken.items()}
    lines = table(rows, figures)
    lines += [f"| {row.title} | missing: {lack} |" for row, lack in missing]
    for (key, clients), figure in figures.items():
        if figure.failed:
            lines.append(f"{rows[key].title}, {clients} clients: {figure.failed:,.0f} errors")
    return lines


def table(rows: dict[Key, Row], figures: dict[tuple[Key, int], Figure]) -> list[str]:
    """The lines of it, in Markdown.

    A row's echoes are what a lookup takes one client (at the median, which a busy machine
    disturbs least), in what an RPyC echo takes one. "To ours" is lookups a second with `MANY`
    clients, to those of Rollcall through its master.
    """
    echo = figures[ECHO, 1].p50
    ours = figures[OURS, MANY].per_s
    lines = [
        "| lookups a second, with | 1 client | 8 clients | 64 clients | p50, 1 client | echoes "
        "| to ours |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for key, row in rows.items():
        found = [figures.get((key, clients)) for clients in (1, MANY, 64)]
        one, many, _ = found
        assert one is not None
        assert many is not None
        cells = ["" if figure is None else f"{figure.per_s:,.0f}" for figure in found]
        cells.append(f"{one.p50 * 1e6:,.0f} us" + " a batch" * (row.batch > 1))
        cells += [_ratio(one.p50 / row.batch / echo), _ratio(many.per_s / ours)]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return lines


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _say(text: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
