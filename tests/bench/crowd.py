"""What a crowd costs a good client: `python -m tests.bench.crowd [--seconds S]`.

A master and a worker, each in a process of its own; a client that was there before, one that
comes anew for every lookup, and a crowd in a third process. Prints the p99 of each with its
ratio to the quiet p99 measured just before and after it, in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from nodes.client.blocking import Client
from nodes.errors import RollcallError
from nodes.security.tokens import ensure_token
from nodes.support.addresses import parse_address
from tests.kit import Node

SCENES = (
    ("500 silent", "silent", 500, 0),
    ("500 slow", "slow", 500, 0),
    ("500 that have asked", "asking", 500, 0),
    ("600 silent, more than there is room for", "silent", 600, 0),
    ("600 slow, connecting again", "slow", 600, 0),
    ("flood, each leaves at once", "passing", 1, 0),
    ("flood, the newest 600 stay", "flood", 600, 0),
    ("flood, 128 descriptors", "flood", 300, 128),
)
"""A title, a kind of crowd, how many, and the master's descriptors (0: as they are)."""


@contextlib.contextmanager
def crowd(kind: str, address: str, count: int) -> Iterator[None]:
    """That crowd in a process of its own."""
    host, port = parse_address(address)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crowd", kind, host, str(port), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.communicate()


@contextlib.contextmanager
def cluster(descriptors: int) -> Iterator[str]:
    """A master that has so many descriptors, and a worker. Yields the master's address."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        master = Node("master", "0", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with master, Node("worker", "--master", master.ready["master"], "--json"):
        yield master.ready["master"]


class Latencies:
    """Lookups of one client: how long each took, and what failed."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.failed: list[str] = []

    def time(self, lookup: Callable[[], object]) -> None:
        """Times one."""
        began = time.perf_counter()
        try:
            lookup()
        except RollcallError as error:
            self.failed.append(f"{type(error).__name__}: {error}")
        self.took.append(time.perf_counter() - began)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.took, n=100)[98]


def ask(address: str, client: Client, seconds: float) -> tuple[Latencies, Latencies]:
    """Looks up for so long: with the client there is, and now and then with a new one."""
    old, new = Latencies(), Latencies()

    def anew() -> None:
        with Client(address) as other:
            other.getbyname("xander")

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(10):
            old.time(lambda: client.getbyname("xander"))
        new.time(anew)
        time.sleep(0.002)
    return old, new


def main() -> None:
    """Runs every scenario."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crowd", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    print(f"{'':42} {'kept: p99':>10} {'ratio':>6} {'new: p99':>10} {'ratio':>6} {'failed':>7}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        for title, kind, count, descriptors in SCENES:
            with cluster(descriptors) as address, Client(address) as client:
                ask(address, client, 0.5)
                before = ask(address, client, seconds / 2)
                with crowd(kind, address, count):
                    old, new = ask(address, client, seconds)
                time.sleep(0.5)
                after = ask(address, client, seconds / 2)
            cells = []
            for number, seen in enumerate((old, new)):
                quiet = Latencies()
                quiet.took = before[number].took + after[number].took
                cells.append(f"{seen.p99 * 1000:7.2f} ms {seen.p99 / quiet.p99:6.1f}")
            failed = old.failed + new.failed
            print(f"{title:42} {' '.join(cells)} {len(failed):7}", flush=True)
            for error in failed[:3]:
                print(f"  {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
