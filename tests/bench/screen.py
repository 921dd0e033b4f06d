"""What the console costs, and how quick it is: `python -m tests.bench.screen`.

Prints the event loop's lag and the time from a key press to its drawing, at rest and with the
in-process master under load from four client processes, with 3 workers (real), 50 and 1,000
(made up, other figures at every look); then the master's throughput with and without the screen.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import msgspec
from rich.console import RenderableType
from textual import events
from textual.screen import Screen

from console.app import RollcallApp
from console.cluster_factory import hosting
from console.opening import OpenCluster
from console.settings import Settings
from console.text import UNICODE
from nodes.client.attached import AttachedCluster
from nodes.security.tokens import ensure_token
from nodes.wire import ClusterSnapshot
from tests.console.fakes import FakeCluster, cluster_snapshot, worker_view
from tests.kit import Node

KEYS = 200
SECONDS = 5.0


class MeasuredApp(RollcallApp):
    """The console, noting when it last drew."""

    drawn = 0.0

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        self.drawn = time.perf_counter()


@contextmanager
def load(address: str, clients: int = 4) -> Iterator[None]:
    """Client processes that ask as fast as they can."""
    command = [sys.executable, "-P", "-m", "nodes.cli", "traffic", "100000", "--json"]
    started = [
        subprocess.Popen(
            [*command, "--master", address, "--leave-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(clients)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()


async def lag_and_keys(app: MeasuredApp) -> tuple[list[float], list[float]]:
    """Milliseconds by which the loop was late, and from each key press to its drawing."""
    lags: list[float] = []
    keys: list[float] = []

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append((time.perf_counter() - began - 0.005) * 1000)

    watcher = asyncio.create_task(watch())
    for number in range(KEYS):
        key = "up" if number % 2 else "down"
        pressed = time.perf_counter()
        app.post_message(events.Key(key, None))
        while app.drawn < pressed:
            await asyncio.sleep(0.0005)
            if time.perf_counter() - pressed > 2.0:
                break  # a key at the end of the table draws nothing
        else:
            keys.append((app.drawn - pressed) * 1000)
        await asyncio.sleep(0.02)
    watcher.cancel()
    return lags, keys


def show(title: str, lags: list[float], keys: list[float]) -> None:
    """Prints one line."""

    def p(values: list[float], q: float) -> float:
        return sorted(values)[min(len(values) - 1, int(q * len(values)))]

    print(
        f"{title:34} {p(lags, 0.5):8.1f} {p(lags, 0.99):8.1f} {p(keys, 0.5):8.1f} "
        f"{p(keys, 0.95):8.1f} {max(keys):8.1f}"
    )


def console(opening: OpenCluster) -> MeasuredApp:
    """A console as an operator has it."""
    return MeasuredApp(clusters={"": opening}, settings=Settings(), glyphs=UNICODE, attached=False)


async def real() -> float:
    """Three real workers, at rest and under load; returns lookups/s under load."""
    app = console(hosting(port=0, workers=3, data=None, balance="load"))
    async with app.run_test(size=(120, 36)) as pilot:
        while app.snapshot is None or sum(w.state == "up" for w in app.snapshot.workers) < 3:
            await pilot.pause(0.05)
        show("3 workers, at rest", *await lag_and_keys(app))
        address = app.front.driver.address
        with load(address):
            show("3 workers, 4 clients", *await lag_and_keys(app))
            rate = await asyncio.to_thread(throughput, lambda: app.snapshot)
    await asyncio.to_thread(app.clusters.stop)
    return rate


def throughput(look: Callable[[], ClusterSnapshot | None]) -> float:
    """Lookups answered a second, over some seconds."""
    first = look()
    began = time.perf_counter()
    time.sleep(SECONDS)
    last = look()
    assert first is not None
    assert last is not None
    return (last.answered - first.answered) / (time.perf_counter() - began)


async def made_up(count: int) -> None:
    """So many workers with other figures at every look."""
    random = Random(1)

    def another(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        workers = tuple(
            msgspec.structs.replace(
                one,
                served=one.served + random.randrange(9),
                in_flight=random.randrange(5),
                lookups_per_s=random.uniform(0, 90),
            )
            for one in snapshot.workers
        )
        return msgspec.structs.replace(snapshot, workers=workers, taken_at=snapshot.taken_at + 1)

    cluster = FakeCluster(cluster_snapshot([worker_view(n) for n in range(1, count + 1)]))
    cluster.then = another
    app = console(lambda _progress: cluster)
    async with app.run_test(size=(120, 36)) as pilot:
        while app.snapshot is None:
            await pilot.pause(0.05)
        show(f"{count} workers, changing", *await lag_and_keys(app))
    app.clusters.stop()


def without_a_screen() -> float:
    """Lookups/s of a headless cluster under the same load."""
    with Node("up", "--workers", "3", "--port", "0", "--json") as node:
        address = node.ready["master"]
        with AttachedCluster(address) as cluster, load(address):
            return throughput(cluster.snapshot)


def main() -> None:
    """Runs all of it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, "
            f"{time.strftime('%Y-%m-%d')}; milliseconds"
        )
        print(f"{'':34} {'lag p50':>8} {'lag p99':>8} {'key p50':>8} {'key p95':>8} {'key max':>8}")
        bare = [without_a_screen()]
        shown = [asyncio.run(real())]
        asyncio.run(made_up(50))
        asyncio.run(made_up(1000))
        bare.append(without_a_screen())
        base = statistics.mean(bare)
        print(
            f"\nmaster under 4 clients: {base:.0f} lookups/s headless, {shown[0]:.0f} with the "
            f"screen ({shown[0] / base:.0%})"
        )


if __name__ == "__main__":
    main()
