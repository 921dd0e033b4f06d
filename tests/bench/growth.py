"""How the cost of a lookup grows with records, workers and clients, and a picture of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench import peers
from tests.bench.chart import Panel, draw
from tests.bench.client import Work
from tests.bench.compare import Figure, load, medians
from tests.kit import Node

PICTURE = Path(__file__).parent / "growth.svg"
RECORDS = (28, 10_000, 1_000_000)
LARGE = 10_000_000
WORKERS = (1, 2, 4, 8)
CLIENTS = (1, 8, 64, 500)
USUAL_WORKERS, USUAL_CLIENTS = 2, 8


class Point(NamedTuple):
    """One size of a cluster and its load."""

    records: int
    workers: int
    clients: int


def growth(folder: Path, *, rounds: int, seconds: float, large: bool) -> list[str]:
    """Measures, draws `PICTURE`, and returns the lines of a table."""
    sizes = (*RECORDS, LARGE) if large else RECORDS
    by_records = [Point(size, USUAL_WORKERS, USUAL_CLIENTS) for size in sizes]
    by_workers = [Point(RECORDS[1], count, USUAL_CLIENTS) for count in WORKERS]
    by_clients = [Point(RECORDS[1], USUAL_WORKERS, count) for count in CLIENTS]
    found: dict[Point, list[Figure]] = {}
    points = dict.fromkeys(by_records + by_workers + by_clients)
    data = {size: _written(folder, size) for size in sizes}
    for _ in range(rounds):
        for point in points:
            with _cluster(data[point.records], point.workers) as address:
                work = Work("ours", 0, address, point.records)
                figure = load(work, clients=point.clients, seconds=seconds)
                found.setdefault(point, []).append(figure)
    figures = {point: medians(taken) for point, taken in found.items()}

    def panel(title: str, xs: tuple[int, ...], line: list[Point]) -> Panel:
        return Panel(title, xs, [figures[p].per_s for p in line], [figures[p].p50 for p in line])

    picture = draw(
        [
            panel(f"records ({USUAL_WORKERS} workers, {USUAL_CLIENTS} clients)", sizes, by_records),
            panel(
                f"workers ({RECORDS[1]:,} records, {USUAL_CLIENTS} clients)", WORKERS, by_workers
            ),
            panel(
                f"clients ({RECORDS[1]:,} records, {USUAL_WORKERS} workers)", CLIENTS, by_clients
            ),
        ]
    )
    PICTURE.write_text(picture, encoding="utf-8")
    lines = ["| records | workers | clients | lookups a second | p50 |", "|--:|--:|--:|--:|--:|"]
    for point, figure in figures.items():
        sizes_of = " | ".join(f"{value:,}" for value in point)
        lines.append(f"| {sizes_of} | {figure.per_s:,.0f} | {figure.p50 * 1000:.2f} ms |")
        if figure.failed:
            lines[-1] += f" {figure.failed:,.0f} errors |"
    return [*lines, f"drawn: {PICTURE}"]


def _written(folder: Path, size: int) -> peers.Data:
    path = folder / f"{size}"
    path.mkdir()
    return peers.write(path, size)


@contextmanager
def _cluster(data: peers.Data, workers: int) -> Iterator[str]:
    """One of so many workers; its catalog is built at the first time only."""
    options = ("--workers", str(workers), "--port", "0", "--json", "--data", str(data.folder))
    with Node("up", *options) as node:
        yield node.ready["master"]
