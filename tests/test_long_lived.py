"""Whatever is to last goes on after everything that the system, or a defect, can do to it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.driver import Driver
from console.messages import SnapshotTaken
from nodes.client.membership_watch import MembershipWatch
from nodes.fleet import fleet as fleet_module
from nodes.fleet import placer as placer_module
from nodes.fleet import token_watch as token_module
from nodes.fleet.local_machine import LocalMachine
from nodes.fleet.machine import Ability
from nodes.fleet.supervisor import Supervisor
from nodes.fleet.token_watch import TokenWatch
from nodes.master import ticker as ticker_module
from nodes.master.journal import Journal
from nodes.master.lag import Lag
from nodes.master.ticker import Ticker
from nodes.support import supervision
from nodes.support.backoff import Backoff
from nodes.support.event_kinds import EventKind
from nodes.transport import Service
from nodes.transport import server as server_module
from nodes.transport.server import Server
from nodes.worker import registration as registration_module
from nodes.worker.following import CatalogFollower
from nodes.worker.registration import RegistrationKeeper
from tests.client.test_membership_watch import FakeMaster, Told, some
from tests.console.fakes import FakeCluster, cluster_snapshot, worker_view
from tests.fleet.test_supervisor import LEAVES, Observer
from tests.kit import hosted, poll_for
from tests.support.test_supervision import FAILURES


class Faulty:
    """A function that raises everything once, from `begin` on, and then does what it should."""

    def __init__(self, works: Callable[..., Any]) -> None:
        self._works = works
        self._left: list[Exception] = []
        self._begun = False
        self._lock = threading.Lock()
        self.recovered = threading.Event()

    def begin(self) -> None:
        """Fails from now on."""
        with self._lock:
            self._left, self._begun = list(FAILURES), True

    def __call__(self, *args: Any, **named: Any) -> Any:
        with self._lock:
            failure = self._left.pop() if self._left else None
            done = self._begun and failure is None
        if failure is not None:
            raise failure
        result = self._works(*args, **named)
        if done:
            self.recovered.set()
        return result


@contextmanager
def on_loop(start: Callable[[], Any], stop: Callable[[Any], Any]) -> Iterator[None]:
    """Something that lives on an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def do(what: Callable[..., Any], *args: Any) -> Any:
        made = what(*args)
        return await made if asyncio.iscoroutine(made) else made

    made = asyncio.run_coroutine_threadsafe(do(start), loop).result(5.0)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(do(stop, made), loop).result(5.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        loop.close()


Works = Iterator[Faulty]


@contextmanager
def ticking(part: str) -> Works:
    """One of what a tick does."""
    faulty = Faulty(lambda *_: 0.0)
    parts: dict[str, Any] = {"each_tick": print_nothing, "each_second": print_nothing}
    parts[part] = faulty
    faulty.begin()

    def start() -> Ticker:
        ticker = Ticker(Lag(), **parts)
        ticker.start()
        return ticker

    with on_loop(start, Ticker.stop):
        yield faulty


def print_nothing(*_: object) -> None:
    """What is done when nothing is to be done."""


@contextmanager
def journal(folder: Path) -> Works:
    """The journal, of a master whose snapshot cannot be taken."""
    faulty = Faulty(lambda: cluster_snapshot([worker_view(1)]))
    faulty.begin()
    made = Journal(folder / "j.sqlite3", faulty, write_every_s=0.005)
    made.start()
    yield faulty
    made.close()


@contextmanager
def recorder(folder: Path) -> Works:
    """The recorder, which runs in the journal's thread."""
    faulty = Faulty(print_nothing)
    faulty.begin()
    fake: Any = SimpleNamespace(add=faulty, close=print_nothing, losses="")
    made = Journal(folder / "j.sqlite3", cluster_snapshot, recorder=fake, write_every_s=0.005)
    made.start()
    yield faulty
    made.close()


@contextmanager
def token_watch(_folder: Path) -> Works:
    """The look at the token."""
    faulty = Faulty(lambda: "t")
    faulty.begin()
    watch = TokenWatch(faulty, print_nothing)
    yield faulty
    watch.close()


@contextmanager
def fleet(folder: Path) -> Works:
    """The look at the machines, and the one after each worker."""
    machine = LocalMachine(program=[sys.executable])
    faulty = Faulty(lambda: (machine,))
    machines: Any = SimpleNamespace(abilities=frozenset(Ability), all=faulty, close=print_nothing)
    observer = Observer()
    made = Supervisor(
        observer=observer,
        command=lambda _id, _machine: ["-c", LEAVES],
        logs=folder,
        machines=machines,
    )
    faulty.begin()
    made.spawn(1)
    yield faulty
    poll_for(lambda: observer.worker("w1").pid)
    made.stop(5.0)
    assert observer.workers() == []
    observer.close()


@contextmanager
def watched_records(_folder: Path) -> Works:
    """`--watch`, while records cannot be looked at."""
    with hosted(0) as cluster:
        faulty = cluster.fleet._build = Faulty(cluster.fleet._build)
        faulty.begin()
        cluster.fleet.watch()
        yield faulty
        poll_for(lambda: [e for e in cluster.events() if e.kind == EventKind.TROUBLE])


@contextmanager
def registration(_folder: Path) -> Works:
    """A worker's registration, with a master that is not there."""
    faulty = Faulty(Service)
    faulty.begin()
    asked: Any = SimpleNamespace(wanted_id="w1")

    def start() -> RegistrationKeeper:
        keeper = RegistrationKeeper(
            asked,
            master=("127.0.0.1", 9),
            token=lambda: None,
            make_service=faulty,
            on_registered=print_nothing,
        )
        keeper.task = asyncio.create_task(keeper.run())  # type: ignore[attr-defined]
        return keeper

    async def stop(keeper: Any) -> None:
        assert not keeper.done.is_set()
        keeper.leave()
        await asyncio.wait_for(keeper.task, 5.0)
        assert keeper.done.is_set()

    with on_loop(start, stop):
        yield faulty


@contextmanager
def following(_folder: Path) -> Works:
    """A worker that follows its master's catalog."""
    fetcher = SimpleNamespace(cancel=print_nothing, progress=("", 0, 0))
    faulty = Faulty(lambda: fetcher)
    faulty.begin()
    present = SimpleNamespace(version="aaaaaa")

    def start() -> CatalogFollower:
        versions: Any = SimpleNamespace(present=present)
        follower = CatalogFollower(versions, faulty, print_nothing)
        follower.follow("bbbbbb")
        return follower

    with on_loop(start, CatalogFollower.close):
        yield faulty


@contextmanager
def direct_client(_folder: Path) -> Works:
    """A direct client that follows its master's workers."""
    told = Told()
    faulty = Faulty(told.follow)
    told.follow = faulty  # type: ignore[method-assign]
    master = FakeMaster(*(some(f"v{n}") for n in range(len(FAILURES) + 3)))

    async def start() -> MembershipWatch:
        watch = MembershipWatch(master, told)
        await watch.start(5.0)
        faulty.begin()
        return watch

    with on_loop(start, MembershipWatch.close):
        yield faulty


@contextmanager
def server(_folder: Path) -> Works:
    """A server's look at its connections."""
    made = Server(Service)
    faulty = Faulty(print_nothing)
    faulty.begin()
    for listener in made._listeners:
        listener.drop_silent = faulty  # type: ignore[method-assign]
    with on_loop(made.start, lambda _none: made.stop()):
        yield faulty


@contextmanager
def console(_folder: Path) -> Works:
    """The console's look at a cluster."""
    cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
    faulty = Faulty(cluster.snapshot)
    faulty.begin()
    cluster.snapshot = faulty  # type: ignore[method-assign]
    seen = threading.Event()

    def post(message: object) -> bool:
        if isinstance(message, SnapshotTaken):
            seen.set()
        return True

    driver = Driver(lambda _progress: cluster, post, poll_interval_s=0.005)
    driver.start()
    yield faulty
    assert seen.wait(5.0)
    driver.stop(5.0)
    assert not driver._thread.is_alive()


LASTING: dict[str, Callable[[Path], Any]] = {
    "ticks": lambda _: ticking("each_tick"),
    "seconds": lambda _: ticking("each_second"),
    "busy cores": lambda _: ticking("busy_percent"),
    "journal": journal,
    "recorder": recorder,
    "token": token_watch,
    "machines and workers": fleet,
    "watched records": watched_records,
    "registration": registration,
    "following": following,
    "direct client": direct_client,
    "server": server,
    "console": console,
}


@pytest.mark.parametrize("name", LASTING)
def test_it_goes_on_and_ends_when_it_is_told_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = Backoff(first_s=0.001, longest_s=0.002)
    monkeypatch.setattr(supervision, "RESTART_BACKOFF", soon)
    monkeypatch.setattr(registration_module, "REGISTER_BACKOFF", soon)
    monkeypatch.setattr(ticker_module, "TICK_S", 0.002)
    for module, interval in (
        (fleet_module, "WATCH_EVERY_S"),
        (placer_module, "MACHINES_EVERY_S"),
        (token_module, "TOKEN_EVERY_S"),
        (server_module, "BEAT_S"),
    ):
        monkeypatch.setattr(module, interval, 0.002)
    with LASTING[name](tmp_path) as faulty:
        assert faulty.recovered.wait(10.0), f"{len(faulty._left)} failures were not reached"
