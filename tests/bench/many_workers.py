"""What many workers cost their master: `python -m tests.bench.many_workers`.

First the decisions alone: registering, picking, folding, looking. Then a master with as many stub
workers, all in this process, each with a connection of its own: how late its loop runs.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from random import Random

from nodes.master.snapshot import worker_views
from nodes.routing import POLICIES, Address, Registry, Router, Worker

LOOKUPS = 20_000


def timed(work: Callable[[], object], rounds: int = 20) -> float:
    """Milliseconds that one of so many rounds takes, in the median."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _register(registry: Registry, count: int) -> list[Worker]:
    return [
        registry.register(
            wanted_id="",
            instance=str(port),
            address=Address("127.0.0.1", port),
            pid=port,
            version="v",
            now=time.monotonic(),
        )
        for port in range(count)
    ]


def decisions(count: int) -> list[tuple[str, float, str]]:
    """What the router and the registry cost with so many workers, without any I/O."""
    registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
    router = Router(registry=registry, policy=POLICIES["load"])
    began = time.perf_counter()
    workers = _register(registry, count)
    registering = time.perf_counter() - began

    def prove() -> None:
        for worker in workers:
            registry.probe_answered(
                worker.generation, version="v", cpu=0.0, memory=0, now=time.monotonic()
            )

    began = time.perf_counter()
    prove()
    proving = time.perf_counter() - began
    under_way: list[Worker] = []

    def look_up(lookups: int, at_once: int) -> None:
        now = time.monotonic()
        for _ in range(lookups):
            worker = router.pick_first()
            if worker is not None:
                worker.began(now)
                under_way.append(worker)
            if len(under_way) >= at_once:
                ended = under_way.pop(0)
                ended.replied(now, 1)
                router.took(ended, 0.001, 1)

    def fold() -> None:
        router.fold(time.monotonic())

    def lookups_us(at_once: int) -> float:
        return timed(lambda: look_up(LOOKUPS // 20, at_once)) / (LOOKUPS // 20) * 1000

    sequential, concurrent = lookups_us(1), lookups_us(64)
    fold()
    folds = []
    for _ in range(100):  # some lookups in each tick
        look_up(200, 64)
        began = time.perf_counter()
        fold()
        folds.append((time.perf_counter() - began) * 1000)
    return [
        ("register all", registering * 1000, "ms"),
        ("prove all", proving * 1000, "ms"),
        ("prove all once more", timed(prove, 5), "ms"),
        ("a lookup, one at a time", sequential, "us"),
        ("a lookup, 64 at a time", concurrent, "us"),
        ("fold after 200 lookups, median", statistics.median(folds), "ms"),
        ("fold after 200 lookups, longest", max(folds), "ms"),
        ("refresh", timed(lambda: router.refresh(time.monotonic())), "ms"),
        ("views of all", timed(lambda: worker_views(registry, time.monotonic(), 0.0)), "ms"),
    ]


def main() -> None:
    """Prints all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    options = parser.parse_args()
    gc.freeze()
    counts = (3, 8, 16, 32, 64, options.workers)
    columns = [decisions(count) for count in counts]
    print(f"{'workers':38}" + "".join(f"{count:>12,}" for count in counts))
    for rows in zip(*columns, strict=True):
        name, _, unit = rows[0]
        print(f"{name:38}" + "".join(f"{value:>12.2f}" for _, value, _ in rows) + f" {unit}")


if __name__ == "__main__":
    main()
