"""What ten million records cost: `python -m tests.bench.bigdata [RECORDS]`.

Generates records in a temporary folder (500 bytes of disk for each), measures builds, start-up,
lookups and memory against their goals, and prints one table. Build speeds are also given relative
to `json.loads` on the same lines at that time, because the speed of a shared machine varies.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from random import Random

import psutil

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_reader import SqliteCatalog, SqliteReader
from nodes.client.blocking import Client
from nodes.security.tokens import ensure_token
from tests.catalog.large_data import CROWD, build_and_measure_peak, make_person, write_people
from tests.kit import Node, hosted

FEW_RECORDS = 28
WORKERS = 4
WARM_UP_CALLS = 1000
MEASURED_CALLS = 5000
MB = 1e6

Row = tuple[str, str, str]
"""The subject, its goal, the measured value."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bigdata", description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=10_000_000, metavar="RECORDS")
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        few, much = Path(folder, "few"), Path(folder, "much")
        few.mkdir()
        write_people(few / "people.jsonl", FEW_RECORDS)
        print(
            f"{records:,} records, Python {platform.python_version()}, {os.cpu_count()} cores,"
            f" load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}\n"
            f"{'':34}{'goal':>14}  measured"
        )
        for suffix in (".csv", ".jsonl"):  # the last one's catalog serves what comes after
            show(built(much, suffix, records))
        show([started(few, much)])
        show([read(few, much, records)])
        show(served(few, much, records))


def show(rows: Sequence[Row]) -> None:
    """Print rows at once; all of them together take minutes."""
    for what, goal, measured in rows:
        print(f"{what:34}{goal:>14}  {measured}", flush=True)


def built(folder: Path, suffix: str, records: int) -> list[Row]:
    """Build the catalog of that many records with the users' command."""
    folder.mkdir(exist_ok=True)
    for old in (*folder.iterdir(), *Path(os.environ["ROLLCALL_CACHE"]).glob("catalogs/*.db")):
        old.unlink()
    write_people(folder / f"people{suffix}", records)
    lines = [json.dumps(make_person(records, n)) for n in range(min(records, 100_000))]
    parse_times_s = [seconds_per_loads(lines)]
    began = time.perf_counter()
    peak_bytes = build_and_measure_peak(folder)
    taken = (time.perf_counter() - began) / records
    parse_times_s.append(seconds_per_loads(lines))
    speed = f"{1 / taken:,.0f}/s, {statistics.mean(parse_times_s) / taken:.2f} of json.loads"
    peak = f"{peak_bytes / MB:.0f} MB"
    return [
        (f"build from {suffix}", "200,000/s", speed),
        ("  memory at its peak", "300 MB", peak),
    ]


def seconds_per_loads(lines: Sequence[str]) -> float:
    """The seconds that `json.loads` takes for one line."""
    began = time.perf_counter()
    for line in lines:
        json.loads(line)
    return (time.perf_counter() - began) / len(lines)


def started(few: Path, much: Path) -> Row:
    """The time until a worker is ready, for few records and for many in turn."""
    taken: dict[str, list[float]] = {ensure_catalog(data).path: [] for data in (few, much)}
    with hosted(0) as cluster:
        for _ in range(5):
            for catalog, times in taken.items():
                began = time.perf_counter()
                with Node("worker", "--master", cluster.address, "--catalog", catalog, "--json"):
                    times.append((time.perf_counter() - began) * 1000)
    small, large = map(statistics.median, taken.values())
    return "worker ready", "the same", f"{large:.0f} ms, with {FEW_RECORDS} records {small:.0f} ms"


def read(few: Path, much: Path, records: int) -> Row:
    """Lookups by name with a reader in this process."""

    def find(reader: SqliteReader, name: str) -> None:
        assert reader.find("getbyname", (name,)).count

    with ExitStack() as stack:
        readers = []
        for data in (few, much):
            catalog = stack.enter_context(closing(SqliteCatalog.open(ensure_catalog(data).path)))
            readers.append(stack.enter_context(catalog.reader()))
        return compared("by name, SqliteReader", records, *(partial(find, one) for one in readers))


def compared(
    what: str, records: int, few: Callable[[str], None], much: Callable[[str], None]
) -> Row:
    """A row for a call on few records and on many in turn, with random names."""
    random = Random(7)
    taken: dict[int, list[float]] = {FEW_RECORDS: [], records: []}
    for turn in range(WARM_UP_CALLS + MEASURED_CALLS):
        for size, call in ((FEW_RECORDS, few), (records, much)):
            name = make_person(size, random.randrange(size))["name"]
            began = time.perf_counter()
            call(name)
            if turn >= WARM_UP_CALLS:
                taken[size].append((time.perf_counter() - began) * 1e6)
    small, large = map(statistics.median, taken.values())
    times = f"{large:.0f} us, with {FEW_RECORDS} records {small:.0f} us"
    return what, "1.5", f"{large / small:.2f}: {times}"


def served(few: Path, much: Path, records: int) -> list[Row]:
    """Lookups and pages through clusters, and the memory of workers and master."""

    def ask(client: Client, name: str) -> None:
        assert client.getbyname(name)

    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                Node("up", "--workers", str(WORKERS), "--port", "0", "--json", "--data", str(data))
            )
            for data in (few, much)
        ]
        clients = [
            stack.enter_context(Client(node.ready["master"], timeout=10.0)) for node in nodes
        ]
        rows = [compared("by name, Client", records, *(partial(ask, client) for client in clients))]
        master = psutil.Process(nodes[1].process.pid)
        workers = master.children(recursive=True)
        uss = [one.memory_full_info().uss / MB for one in workers]
        # USS also counts a page of the catalog that no other worker has mapped. Such a page
        # belongs to the page cache and is no cost of a worker.
        catalog_pages = [
            sum(part.private_clean for part in one.memory_maps() if part.path.endswith(".db")) / MB
            for one in workers
        ]
        kept = (f"{own - pages:.0f}" for own, pages in zip(uss, catalog_pages, strict=True))
        rows += [
            (
                f"each of {WORKERS} workers' own (USS)",
                "40 MB",
                ", ".join(f"{own:.0f}" for own in uss) + " MB",
            ),
            ("  without pages of the catalog", "40 MB", ", ".join(kept) + " MB"),
        ]
        before = peak = master.memory_info().rss
        pages = 0
        crowd = 0
        for person in clients[1].each("getbylocation", CROWD):
            crowd += 1
            if crowd % 1000 == 0:
                pages += 1
                peak = max(peak, master.memory_info().rss)
            assert person["location"] == CROWD
        grown = f"{(peak - before) / MB:.1f} MB over {pages} pages, {crowd:,} records"
        return [*rows, ("master grows with a crowd's pages", "20 MB", grown)]


if __name__ == "__main__":
    main()
