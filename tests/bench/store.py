"""Records in PostgreSQL beside the same in files: `python -m tests.bench.store [RECORDS]`.

Generates records in a temporary folder (a million, or as many as are named; 1.2 KB of disk for
each), starts a PostgreSQL server there, and prints one table: loads, lookups and clusters of both
kinds, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from nodes.catalog import CatalogInfo, ensure_catalog, load_into_store, open_catalog
from nodes.client.blocking import Client
from nodes.security.tokens import ensure_token
from nodes.support.slices import Sliced, complete
from nodes.transport.loop import new_event_loop
from tests.catalog.large_data import CROWD, make_person, write_people
from tests.kit import Node
from tests.store.server import missing, running_server
from tests.store.test_definition import STORE

WORKERS = 2
MB = 1e6
SERVER = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "2GB", "max_wal_size": "8GB"}
"""As a server is that is meant: what is loaded is on disk."""


class Times(NamedTuple):
    """Of many calls, in microseconds."""

    p50: float
    p99: float

    def __str__(self) -> str:
        """Both, for a table."""
        return f"{self.p50:,.0f}, {self.p99:,.0f} us"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.store", description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=1_000_000, metavar="RECORDS")
    parser.add_argument("--calls", type=int, default=3000, help="Calls of each kind.")
    parser.add_argument("--seconds", type=float, default=5.0, help="Seconds of the load.")
    options = parser.parse_args()
    records = options.records
    if why := missing():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory() as folder, running_server(**SERVER) as server:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        os.environ["ROLLCALL_STORE_URL"] = server.url
        ensure_token()
        print(
            f"{records:,} records, Python {platform.python_version()}, {os.cpu_count()} cores,"
            f" load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}\n"
        )
        measure(Path(folder), records, options.calls, options.seconds)


def show(what: str, file: object, store: object) -> None:
    """Print a row at once; all of them together take minutes."""
    print(f"| {what} | {file} | {store} |", flush=True)


def measure(folder: Path, records: int, calls: int, seconds: float) -> None:
    """Measures everything on both."""
    show("p50 and p99, where times are two", "SQLite", "PostgreSQL")
    print("|---|--:|--:|")
    data, stored = folder / "file", folder / "store"
    data.mkdir()
    stored.mkdir()
    write_people(data / "people.jsonl", records)
    (stored / "people.jsonl").hardlink_to(data / "people.jsonl")
    for one, text in ((data, ""), (stored, STORE)):
        (one / "dataset.toml").write_text('name = "people"\n' + text)
    began = time.perf_counter()
    built = ensure_catalog(data)
    built_s = time.perf_counter() - began
    began = time.perf_counter()
    loaded = load_into_store(stored)
    loaded_s = time.perf_counter() - began
    show("to compile, to load that", f"{built_s:.0f} s", f"{loaded_s:.0f} s")
    speeds = (f"{records / taken:,.0f}/s" for taken in (built_s, loaded_s))
    show("records a second", *speeds)
    show("size", f"{built.bytes / MB:,.0f} MB", f"{loaded.bytes / MB:,.0f} MB")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(read(built, loaded, records, calls))
    served(data, stored, records, calls, seconds)


Call = Callable[[Random], Sliced[object]]


def questions(info: CatalogInfo, records: int) -> Iterator[tuple[str, Call]]:
    """What is asked of a reader, by what it is called."""
    reader = open_catalog(info.path).reader()

    def find(lookup: str, value: str) -> Sliced[object]:
        return reader.find_in_slices(lookup, (value,), limit=1000, start=0, within=5.0)

    def someone(random: Random) -> dict[str, object]:
        return make_person(records, random.randrange(records))

    yield (
        "a lookup of two records, Reader",
        lambda random: find("getbyname", str(someone(random)["name"])),
    )
    yield "a lookup of none, Reader", lambda random: find("getbyname", f"x{random.random()}")
    yield "a page of 1,000, Reader", lambda _random: find("getbylocation", CROWD)
    yield (
        "ten suggestions, Reader",
        lambda random: reader.suggest_in_slices(
            "name", str(someone(random)["name"])[:5], limit=10, within=5.0
        ),
    )


async def read(built: CatalogInfo, loaded: CatalogInfo, records: int, calls: int) -> None:
    """Questions to a reader in this process, to both in turn."""
    both = zip(questions(built, records), questions(loaded, records), strict=True)
    for (what, file), (_, store) in both:
        taken: tuple[list[float], list[float]] = ([], [])
        random = Random(7)
        for turn in range(-calls // 6, calls):
            for call, times in zip((file, store), taken, strict=True):
                work = call(random)
                began = time.perf_counter()
                await complete(work)
                if turn >= 0:  # those before warm up
                    times.append((time.perf_counter() - began) * 1e6)
        show(what, *map(times_of, taken))


def times_of(taken: Sequence[float]) -> Times:
    """What many calls took, in microseconds."""
    ordered = sorted(taken)
    return Times(ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100])


@contextmanager
def clusters(*data: Path) -> Iterator[list[str]]:
    """A cluster on each; their addresses."""
    with ExitStack() as stack:
        options = ("--workers", str(WORKERS), "--port", "0", "--json", "--data")
        nodes = [stack.enter_context(Node("up", *options, str(one))) for one in data]
        yield [node.ready["master"] for node in nodes]


def served(data: Path, stored: Path, records: int, calls: int, seconds: float) -> None:
    """Lookups through clusters: one client to both in turn, then many to one after the other."""
    with clusters(data, stored) as addresses, ExitStack() as stack:
        clients = [stack.enter_context(Client(one, timeout=10.0)) for one in addresses]
        taken: tuple[list[float], list[float]] = ([], [])
        random = Random(7)
        for turn in range(-calls // 6, calls):
            for client, times in zip(clients, taken, strict=True):
                name = str(make_person(records, random.randrange(records))["name"])
                began = time.perf_counter()
                found = client.getbyname(name)
                if turn >= 0:  # those before warm up
                    times.append((time.perf_counter() - began) * 1e6)
                assert found
        show("a lookup of two records, Client", *map(times_of, taken))
        reports = [bench(one, seconds) for one in addresses]
        show("lookups a second, 8 clients", *(f"{one['lookups_per_s']:,.0f}" for one in reports))


def bench(address: str, seconds: float) -> dict[str, float]:
    """What `rollcall-nodes bench` reports."""
    command = [str(Path(sys.executable).parent / "rollcall-nodes"), "bench", "--master", address]
    command += ["--clients", "8", "--seconds", str(seconds), "--lookup", "getbyname", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report


if __name__ == "__main__":
    main()
