"""What many workers cost their master: `python -m tests.bench.many_workers`.

First the decisions alone: registering, picking, folding, looking. Then a master with as many stub
workers, each with a connection of its own, all in one other process: how late its loop runs.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from random import Random

import msgspec

from nodes.catalog import ensure_catalog
from nodes.cli.common import bound_descriptors
from nodes.cli.serve import MAX_DESCRIPTORS
from nodes.client.blocking import Client
from nodes.master.snapshot import worker_views
from nodes.routing import POLICIES, Registry, Router, Worker
from nodes.security.tokens import read_token
from nodes.support.addresses import Address
from nodes.support.paths import shipped_data
from nodes.support.switch_interval import shorten_switch_interval
from nodes.transport import Connection, LoopThread, Server, Service, dial
from nodes.wire import Registration, answer_part, decode_envelope, describe
from tests.kit import Door, master_alone

LOOKUPS = 20_000
SERVED = describe(ensure_catalog(shipped_data()))


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

    def views() -> object:
        return worker_views(registry, frozenset(), time.monotonic(), 0.0)

    return [
        ("register all", registering * 1000, "ms"),
        ("prove all", proving * 1000, "ms"),
        ("prove all once more", timed(prove, 5), "ms"),
        ("a lookup, one at a time", sequential, "us"),
        ("a lookup, 64 at a time", concurrent, "us"),
        ("fold after 200 lookups, median", statistics.median(folds), "ms"),
        ("fold after 200 lookups, longest", max(folds), "ms"),
        ("refresh", timed(lambda: router.refresh(time.monotonic())), "ms"),
        (
            "views of all",
            timed(views),
            "ms",
        ),
    ]


# -- a master with stub workers ------------------------------------------------------


class LoopWatch:
    """How late a loop runs: it is asked to call back again and again."""

    BEAT_S = 0.002

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._late: list[float] = []
        loop.call(self._beat)

    def _beat(self) -> None:
        self._due = self._loop.loop.time() + self.BEAT_S
        self._loop.loop.call_at(self._due, self._note)

    def _note(self) -> None:
        self._late.append(self._loop.loop.time() - self._due)
        self._beat()

    def late_ms(self) -> str:
        """The 99th percentile and the most since the last call."""
        late, self._late = sorted(self._late), []
        return f"late by {late[len(late) * 99 // 100] * 1000:.1f} ms (p99), {late[-1] * 1000:.1f}"


class StubWorker(Service):
    """Answers probes and lookups at once."""

    ANSWER = answer_part(b"[]", count=0, after=None, catalog=SERVED.version, files=())

    def __init__(self) -> None:
        self._verbs: dict[str, Callable[..., object]] = {
            "probe": lambda: (0, 0, 0, SERVED.version, 0.0, 1, ""),
            "ask": lambda *_args: self.ANSWER,
        }

    def verb(self, name: str) -> Callable[..., object] | None:
        return self._verbs.get(name)


async def _stub(port: int, number: int, at_once: asyncio.Semaphore) -> Connection:
    door = Server(functools.partial(Door, f"{number:032x}"), local=False)
    door.start()
    registration = Registration(
        instance=f"{number:032x}",
        wanted_id="",
        host="127.0.0.1",
        port=door.address[1],
        pid=number,
        catalog=SERVED,
    )
    async with at_once:
        connection = await dial("127.0.0.1", port, service=StubWorker())
        await connection.call("login", read_token() or "", timeout_s=10.0)
        text = msgspec.json.encode(registration).decode()
        reply = await connection.call("register", text, timeout_s=10.0)
    decode_envelope(str(reply)).checked()
    return connection


async def stub_workers(port: int, count: int) -> None:
    """Registers so many workers, says so, and stays until standard input ends."""
    at_once = asyncio.Semaphore(32)
    stubs = [_stub(port, number + 1, at_once) for number in range(count)]
    connections = await asyncio.gather(*stubs)
    print("registered", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for connection in connections:
        connection.abort()


def master_with_stubs(count: int, seconds: float) -> None:
    """Prints how a master with so many workers is."""
    with master_alone() as master:
        watch = LoopWatch(master.loop)
        began = time.perf_counter()
        command = [sys.executable, "-m", __spec__.name, "--stubs", str(master.address.port)]
        stubs = subprocess.Popen(
            [*command, "--workers", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert stubs.stdin is not None
        assert stubs.stdout is not None
        assert stubs.stdout.readline() == "registered\n"
        print(f"{count:,} registered in {time.perf_counter() - began:.1f} s, {watch.late_ms()}")

        def answered() -> int:
            live = master.membership.registry.live()
            return sum(worker.probes_answered for worker in live)

        before = master.loop.call(answered)
        time.sleep(seconds)
        rate = (master.loop.call(answered) - before) / seconds
        print(f"at rest: {rate:.0f} probes/s, {watch.late_ms()}")
        began = time.perf_counter()
        for _ in range(20):
            master.snapshot()
        each = (time.perf_counter() - began) / 20
        print(f"a snapshot: {each * 1000:.1f} ms, {watch.late_ms()}")
        with Client(str(master.address)) as client:
            taken = []
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                began = time.perf_counter()
                client.getbyname("xander")
                taken.append((time.perf_counter() - began) * 1000)
        taken.sort()
        p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(f"lookups: {p50:.2f} ms (p50), {p99:.2f} (p99), {watch.late_ms()}")
        up = sum(worker.state == "up" for worker in master.snapshot().workers)
        print(f"up: {up:,}")
        stubs.stdin.close()
        stubs.wait()


def main() -> None:
    """Prints all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--stubs", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    bound_descriptors(MAX_DESCRIPTORS)
    shorten_switch_interval()  # as the console: the client's thread is in this process as well
    if options.stubs:
        asyncio.run(stub_workers(options.stubs, options.workers))
        return
    gc.freeze()
    counts = (3, 8, 16, 32, 64, options.workers)
    columns = [decisions(count) for count in counts]
    print(f"{'workers':38}" + "".join(f"{count:>12,}" for count in counts))
    for rows in zip(*columns, strict=True):
        name, _, unit = rows[0]
        print(f"{name:38}" + "".join(f"{value:>12.2f}" for _, value, _ in rows) + f" {unit}")
    print()
    master_with_stubs(options.workers, options.seconds)


if __name__ == "__main__":
    main()
