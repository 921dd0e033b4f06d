"""A master that is told to stop: what it finishes, what it refuses, what it leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

import pytest
import rpyc

from nodes.client.blocking import Client
from nodes.client.connection import MasterConnection
from nodes.client.retry import MAX_BREAKS
from nodes.errors import DataError, MasterLost, NoWorkers, Stopping
from nodes.fleet.fleet import Fleet
from nodes.master.events import registered
from nodes.master.journal_file import journal_file
from nodes.master.journal_reading import read_events
from nodes.master.lookups import LookupHandler
from nodes.master.master import Master
from nodes.master.served_catalog import ServedCatalog
from nodes.transport import Service
from nodes.wire import Description, Event, LookupShape, error_envelope, result_envelope
from nodes.worker.registration import REGISTER_BACKOFF
from tests.dispatch.harness import DispatcherHarness, Silence, dispatching, good
from tests.kit import PATIENCE, ServerThread, hosted, master_alone, poll_for, worker_inside

SERVED = Description("d", "v", 1, ("name",), (), (LookupShape("find", ("name",), ("text",)),))


# -- the link ------------------------------------------------------------------------


class FakeMaster:
    """Answers `describe`: the first so many times, that it is stopping."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.connections = 0
        fake = self

        class Answers(Service):
            def on_open(self, _peer: object) -> None:
                fake.connections += 1

            def verb(self, _name: str) -> Callable[..., object]:
                return fake._answer

        self.server = ServerThread(Answers)
        self.address = "{}:{}".format(*self.server.address)

    def _answer(self) -> str:
        if not self.refusals:
            return result_envelope("answered").decode()
        self.refusals -= 1
        return error_envelope(Stopping("this master is stopping")).decode()


@contextmanager
def link_to(fake: FakeMaster, *, patient: bool) -> Iterator[MasterConnection]:
    """A link to it; both end with the block."""
    link = MasterConnection(fake.address, token=lambda: None, patient=patient)
    try:
        yield link
    finally:
        link.close()
        fake.server.stop()


def ask(link: MasterConnection, timeout: float = PATIENCE) -> object:
    """What a call that only reads comes to."""
    return link.call("describe", timeout=timeout).result


def test_a_master_that_stops_is_waited_for_however_often_it_says_so() -> None:
    fake = FakeMaster(MAX_BREAKS + 3)
    with link_to(fake, patient=True) as link:
        assert ask(link) == "answered"
    assert fake.connections == MAX_BREAKS + 4


def test_one_that_is_not_replaced_in_time_is_lost_and_the_error_says_why() -> None:
    fake = FakeMaster(0)
    with link_to(fake, patient=True) as link:
        assert ask(link) == "answered"
        fake.server.leave_port()
        fake.refusals = 1
        with pytest.raises(MasterLost, match="stopping"):
            ask(link, timeout=0.5)


def test_who_has_no_patience_looks_once_for_another() -> None:
    with link_to(FakeMaster(1), patient=False) as link:
        assert ask(link) == "answered"
    with link_to(FakeMaster(2), patient=False) as link:
        with pytest.raises(MasterLost, match="stopping"):
            ask(link)


def test_no_idle_lane_leads_back_to_a_master_that_stops() -> None:
    fake = FakeMaster(0)
    with link_to(fake, patient=True) as link:
        with ThreadPoolExecutor(4) as threads:
            taken = [link._pool.take(timeout=PATIENCE) for _ in range(4)]
            for lane in taken:
                link._pool.give(lane)
            assert list(threads.map(lambda _: ask(link), range(4))) == ["answered"] * 4
        fake.refusals = 1
        assert ask(link) == "answered"
        assert fake.refusals == 0
        poll_for(lambda: fake.server.server.connections == 1)


# -- the lookups ----------------------------------------------------------------------


def handler_of(s: DispatcherHarness) -> LookupHandler:
    """What a master's clients ask, over those workers."""

    async def wait_for_worker(_timeout_s: float) -> None:
        """Nobody has to."""

    return LookupHandler(
        s.dispatcher,
        ServedCatalog(s.registry, SERVED),
        wait_for_worker=wait_for_worker,
        note=lambda _k, _w, _t: None,
    )


async def settled(s: DispatcherHarness, *tasks: asyncio.Task[bytes]) -> None:
    """Lets simulated time and the loop go on until those are done."""
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        s.time.run(lambda: False, 0.01)


def test_what_was_taken_in_is_finished_and_the_new_is_refused() -> None:
    async def finish() -> None:
        with dispatching(max_calls=8) as s:
            lookups = handler_of(s)
            worker = s.worker("a", lambda *_: Silence)
            asked = [asyncio.create_task(lookups.lookup("find", ("x",))) for _ in range(8)]
            await asyncio.sleep(0)
            assert (lookups.in_flight, len(s.asked)) == (8, 8)
            finished = asyncio.create_task(lookups.finish(PATIENCE))
            await asyncio.sleep(0)
            for new in (
                lookups.lookup("find", ("x",)),
                lookups.lookup_many('[["find", "x"]]'),
                lookups.suggest("name", "x", limit=10, timeout_s=PATIENCE),
            ):
                with pytest.raises(Stopping):
                    await new
            assert not finished.done()
            s.links[worker.generation].answer_late(good())
            assert [b'"error":false' in await one for one in asked] == [True] * 8
            await finished

    asyncio.run(finish())


def test_what_no_worker_answers_any_more_is_for_the_next_master() -> None:
    async def finish() -> None:
        expected = True
        with dispatching(expecting=lambda: expected) as s:
            lookups = handler_of(s)
            one = asyncio.create_task(lookups.lookup("find", ("x",)))
            batch = asyncio.create_task(lookups.lookup_many('[["find", "x"]]'))
            await asyncio.sleep(0)
            assert lookups.in_flight == 2
            await lookups.finish(0.0)
            expected = False
            s.dispatcher.changed()
            await settled(s, one, batch)
            assert b'"code":"stopping"' in await one
            with pytest.raises(Stopping):
                await batch

    asyncio.run(finish())


def test_one_that_does_not_stop_has_no_workers() -> None:
    async def ask() -> bytes:
        with dispatching() as s:
            return await handler_of(s).lookup("find", ("x",))

    assert b'"code":"no_workers"' in asyncio.run(ask())


# -- the master ----------------------------------------------------------------------


@contextmanager
def stopping(master: Master) -> Iterator[Future[None]]:
    """A master that is told to stop while a lookup is under way; it has stopped after the block."""
    master.loop.call(master.lookups._admit)
    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(master.stop)
        try:
            poll_for(lambda: master.lookups._finished)
            yield stopped
        finally:
            master.loop.call(master.lookups._leave)
        stopped.result(PATIENCE)


def test_a_stock_client_is_told_that_it_stops_and_the_port_is_free() -> None:
    with master_alone() as master, worker_inside(master):
        host, port = master.address
        with rpyc.connect(host, port) as connection:
            assert json.loads(connection.root.getbyname("xander"))["count"] == 1
            with stopping(master) as stopped:
                for verb, args in (
                    ("getbyname", ("xander",)),
                    ("lookup", ("getbyname", "xander")),
                    ("lookup_many", ("[]",)),
                    ("suggest", ("name", "x")),
                    ("describe", ()),
                    ("members", ()),
                ):
                    reply = json.loads(getattr(connection.root, verb)(*args))
                    assert (reply["error"], reply["code"]) == (True, "stopping"), verb
                    assert "another" in reply["error_message"]
                ServerThread(Service, port=port).stop()
                assert not stopped.done()


def events_of(port: int) -> list[Event]:
    """Those that a master left on disk."""
    try:
        return read_events(journal_file(port))
    except DataError:
        return []


def test_its_journal_ends_with_the_stop_and_loses_no_worker() -> None:
    with master_alone() as master, worker_inside(master) as worker:
        port = master.address.port
        master.stop()
        events = events_of(port)
        assert events[-1].kind == "stopped"
        assert registered(events) == {worker.id}
        with master_alone(port=port) as successor, Client(str(successor.address)) as client:
            assert successor.membership.expecting()
            assert client.describe().dataset == "people"


def test_lookups_that_come_before_the_workers_are_started_wait_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spawn = Fleet.spawn
    heard: list[str] = []

    def spawn_late(crew: Fleet, count: int, where: str = "") -> list[str]:
        with Client(str(crew._master), timeout=0.2) as client, pytest.raises(NoWorkers) as raised:
            client.getbyname("xander")
        heard.append(str(raised.value))
        return spawn(crew, count, where)

    monkeypatch.setattr(Fleet, "spawn", spawn_late)
    with hosted(0):
        assert ["in time" in words for words in heard] == [True]


# -- its journal, and its workers ------------------------------------------------------


def told(*words: str) -> list[Event]:
    """Events, each as "KIND WORKER"."""
    split = [word.partition(" ") for word in words]
    return [Event(n, 0.0, kind, worker, "") for n, (kind, _, worker) in enumerate(split, 1)]


@pytest.mark.parametrize(
    ("events", "there"),
    [
        (told("started", "registered w1", "registered w2", "lost w1", "stopped"), {"w2"}),
        (told("started", "registered w1", "left w1", "stopped"), set()),
        (told("started", "spawned w1", "registered w1", "registered w2", "stopped"), {"w2"}),
        (told("started", "spawned w1", "registered w1"), set()),
        (told("started", "spawned w1", "registered w1", "started", "registered w1"), {"w1"}),
        (told("started", "spawned w1", "registered w1", "started"), set()),
    ],
)
def test_who_was_registered_and_did_not_leave_with_the_master(
    events: list[Event], there: set[str]
) -> None:
    assert registered(events) == there


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_looks_for_its_master_often_at_first_and_never_seldom(seed: int) -> None:
    now, absent, random = 0.0, 0, Random(seed)
    for attempt in itertools.count():
        wait = REGISTER_BACKOFF.wait_s(attempt, random.random())
        # After a second's absence, about a third of a second; and never more than 3 s.
        assert wait <= 1.5 * min(REGISTER_BACKOFF.longest_s, REGISTER_BACKOFF.first_s + 0.35 * now)
        now += wait
        absent += now < 1.0
        if now > 60.0:
            break
    assert absent >= 4
