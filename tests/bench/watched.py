"""What it costs a lookup that its cluster is watched: `python -m tests.bench.watched`.

Clusters of two workers, each watched in another way, and one that is not. All are up at the same
time and are asked in turns by `rollcall-nodes bench`: what else happens on the machine happens to
all. Prints the lookups of each in ratio to the one that is not watched, round by round, and the CPU
time that its master took for each; and how long scrapes took.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.kit import Node

SCRAPE_EVERY_S = 1.0
"""Seconds between two scrapes: Prometheus' usual are 15 to 60."""

ALL, FEW = {"OTEL_TRACES_SAMPLER": "always_on"}, {"OTEL_TRACES_SAMPLER": "traceidratio"}


class Way(NamedTuple):
    """How a cluster is watched.

    Attributes:
        title: of the row.
        options: of `rollcall-nodes up`.
        env: added to its environment.
    """

    title: str
    options: tuple[str, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 - never changed


class Round(NamedTuple):
    """One round of one cluster."""

    lookups_per_s: float
    master_us: float


def ways(folder: Path) -> list[Way]:
    """All of them, the one that is not watched first."""
    return [
        Way("not watched"),
        Way("not watched, again"),
        Way("metrics, read each second", ("--metrics", "127.0.0.1:0")),
        Way(
            "log of all events in JSON, audit file",
            ("--log-level", "info", "--log-format", "json", "--audit", str(folder / "audit")),
        ),
        Way(
            "spans of one lookup in a hundred",
            ("--tracing",),
            {**FEW, "OTEL_TRACES_SAMPLER_ARG": "0.01"},
        ),
        Way("spans of all", ("--tracing",), ALL),
    ]


class Watched:
    """A cluster, and who reads its metrics.

    Args:
        way: how it is watched.
        folder: for its log.
    """

    def __init__(self, way: Way, folder: Path) -> None:
        self.way = way
        self.rounds: list[Round] = []
        self.scrapes_ms: list[float] = []
        options = ("--port", "0", "--workers", "2", "--json", *way.options)
        self._node = Node("up", *options, env=way.env, said=folder / "said")
        self._master = psutil.Process(self._node.process.pid)
        self._metrics = self._node.ready.get("metrics", "")
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._scrape, daemon=True)
        self._reader.start()

    def _scrape(self) -> None:
        while self._metrics and not self._ended.wait(SCRAPE_EVERY_S):
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://{self._metrics}/metrics") as answer:
                answer.read()
            self.scrapes_ms.append((time.perf_counter() - began) * 1000)

    def ask(self, clients: int, seconds: float) -> None:
        """Has it asked by so many clients for a while."""
        used = self._used_s()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "nodes.cli", "bench", "--json"),
                *("--master", str(self._node.ready["master"])),
                *("--clients", str(clients), "--seconds", str(seconds)),
            ],
            capture_output=True,
            check=True,
        )
        report = json.loads(done.stdout)
        assert not report["failed"], report
        master_us = (self._used_s() - used) / report["lookups"] * 1e6
        self.rounds.append(Round(report["lookups_per_s"], master_us))

    def _used_s(self) -> float:
        times = self._master.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        """Ends both."""
        self._ended.set()
        self._reader.join()
        self._node.close()


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """An endpoint for spans, which takes them and looks at none. Yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as made,
        collector() as endpoint,
        contextlib.ExitStack() as up,
    ):
        folder = Path(made)
        os.environ |= {
            "ROLLCALL_STATE": made,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "NO_PROXY": "*",
        }
        clusters = []
        for way in ways(folder):
            clusters.append(Watched(way, folder))
            up.callback(clusters[-1].close)
        for number in range(chosen.rounds):
            for one in clusters if number % 2 else clusters[::-1]:
                one.ask(chosen.clients, chosen.seconds)
    base = clusters[0].rounds
    print(f"{'':38}  lookups, ratio     master's CPU a lookup")
    for one in clusters:
        pairs = zip(base, one.rounds, strict=True)
        ratios = sorted(mine.lookups_per_s / alone.lookups_per_s for alone, mine in pairs)
        cpu_us = statistics.median(one.master_us for one in one.rounds)
        spread = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{one.way.title:38}  {statistics.median(ratios):.3f} {spread:15}  {cpu_us:5.1f} us")
    scrapes = [took for one in clusters for took in one.scrapes_ms]
    print(f"a scrape, over HTTP, under load: {statistics.median(scrapes):.1f} ms")


if __name__ == "__main__":
    main()
