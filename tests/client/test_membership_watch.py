"""How a direct client learns who is there: told of changes, and asking little."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nodes.client.async_connection import AsyncMasterConnection
from nodes.client.blocking import Client
from nodes.client.direct import DirectClient
from nodes.client.membership_watch import MembershipWatch
from nodes.cluster import HostedCluster
from nodes.errors import BadRequest, MasterLost
from nodes.transport import Value
from nodes.wire import PAGE_RECORDS, Envelope, Members
from tests.kit import PATIENCE, FrozenProcess, hosted, poll_for, up


class CountedConnection(AsyncMasterConnection):
    """Counts the calls."""

    def __init__(self, address: str) -> None:
        super().__init__(address, token=lambda: None)
        self.calls = 0

    async def call(self, *args: Any, **options: Any) -> Envelope:
        self.calls += 1
        return await super().call(*args, **options)


class CountedClient:
    """A direct client, and the calls that its master got from it."""

    def __init__(self, address: str) -> None:
        self.connection = CountedConnection(address)
        self.client = DirectClient(lambda: self.connection)

    def ask(self) -> str:
        """Asks, and tells which worker answered."""
        page = self.client.page(
            "getbyname", ("xander",), limit=PAGE_RECORDS, after=None, timeout=PATIENCE
        )
        return page.worker

    def knows(self) -> dict[str, str]:
        """The live workers, as the client sees them, with their states."""
        return {one.id: str(one.state) for one in self.client._router.registry.live()}


def probes(cluster: HostedCluster) -> int:
    """How many probes the worker that has answered the fewest has answered."""
    live = cluster.master.loop.call(cluster.master.membership.registry.live)
    return min(worker.probes_answered for worker in live)


def test_a_worker_that_comes_or_goes_is_told_of_and_nobody_asks_meanwhile() -> None:
    with hosted(1) as cluster:
        counted = CountedClient(cluster.address)
        try:
            assert counted.ask() == "w1"
            connection = counted.connection
            poll_for(lambda: connection.calls >= 2 and not counted.client.in_doubt)
            calls, before = connection.calls, probes(cluster)
            poll_for(lambda: probes(cluster) >= before + 3)
            assert connection.calls <= calls + 1, "an idle cluster is asked again and again"
            calls = connection.calls
            cluster.spawn(1)
            poll_for(lambda: counted.knows() == {"w1": "up", "w2": "up"})
            cluster.kill("w1")
            poll_for(lambda: counted.knows() == {"w2": "up"})
            # Each answer tells of a change: expected, starting, up; killed, gone, and how it died.
            assert connection.calls <= calls + 8
            assert counted.ask() == "w2"
        finally:
            counted.client.close()


def test_however_much_changes_no_more_than_twenty_answers_a_second_tell_of_it() -> None:
    with hosted(1) as cluster:
        master = cluster.master

        def change(number: int) -> None:
            for worker in master.membership.registry.live():
                worker.version = f"{number}"
            master.membership.changed()

        async def follow() -> tuple[int, float]:
            connection = AsyncMasterConnection(cluster.address, token=lambda: None)
            loop = asyncio.get_running_loop()
            known, answers, began = "", 0, loop.time()
            over = asyncio.create_task(asyncio.to_thread(changes))
            while not over.done():
                reply = await connection.call("members", known, 1.0, timeout=PATIENCE)
                known = reply.result["version"]
                answers += 1
            took = loop.time() - began
            connection.close()
            await connection.wait_closed()
            return answers, took

        def changes() -> None:
            for number in range(300):
                master.loop.call(change, number)
                master.loop.run(asyncio.sleep(0.002))

        answers, took = asyncio.run(follow())
        # Besides those, the first; and what changes while an answer is under way, is told at once.
        assert 2 <= answers <= 2 + 2 * (took / 0.05)


def test_a_worker_that_was_late_is_forgiven_when_it_has_answered_a_probe() -> None:
    with hosted(1) as cluster:
        counted = CountedClient(cluster.address)
        try:
            counted.ask()
            [quick] = counted.client._quick._list
            asking = threading.Thread(target=counted.ask)
            with FrozenProcess(cluster.snapshot().workers[0].pid):
                asking.start()
                poll_for(lambda: quick.late)
            asking.join()
            poll_for(lambda: not quick.late or not counted.client._quick._list[0].late)
        finally:
            counted.client.close()


@pytest.mark.long
def test_a_client_that_nobody_holds_any_more_ends_by_itself() -> None:
    def direct_threads() -> int:
        return [thread.name for thread in threading.enumerate()].count("direct")

    with hosted(1) as cluster:
        before = direct_threads()
        client = Client(cluster.address, direct=True)
        assert client.getbyname("xander")
        assert direct_threads() == before + 1
        client._master.close()
        del client

        def ended() -> bool:
            gc.collect()
            return direct_threads() == before

        poll_for(ended)
        server = cluster.master._server
        poll_for(lambda: server.connections == len(up(cluster)), what="its connection is closed")


# -- the watch alone --------------------------------------------------------------------


class FakeMaster:
    """Answers with what is next in line, and then never."""

    where = "127.0.0.1:1"

    def __init__(self, *answers: Members | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Value, ...]] = []

    async def call(
        self, _verb: str, *args: Value, timeout: float, patient: bool = True
    ) -> Envelope:
        self.asked.append(args)
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Envelope(error=False, result=msgspec.to_builtins(answer))

    def close(self) -> None:
        """Nothing is open."""


class Told:
    """What a follower was told."""

    def __init__(self, fail: Callable[[], None] = lambda: None) -> None:
        self.versions: list[str] = []
        self.aways = 0
        self.in_doubt = False
        self._fail = fail

    def follow(self, members: Members) -> None:
        self.versions.append(members.version)
        self._fail()

    def master_away(self) -> None:
        self.aways += 1


def some(version: str) -> Members:
    """A list of nobody."""
    return Members(master="m", balance="load", expecting=True, members=(), version=version)


def watched(master: FakeMaster, told: Told, asked: int) -> None:
    """Watches until that master was asked so often."""

    async def run() -> None:
        watch = MembershipWatch(master, told)
        await watch.start(PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while len(master.asked) < asked:
                await asyncio.sleep(0.005)
        watch.close()

    asyncio.run(run())


def test_the_master_is_asked_to_wait_for_another_list_than_the_one_that_is_known() -> None:
    master, told = FakeMaster(some("m-1"), some("m-2")), Told()
    watched(master, told, 3)
    assert master.asked == [(), ("m-1", 10.0), ("m-2", 10.0)]
    assert told.versions == ["m-1", "m-2"]


def test_a_master_of_the_version_before_is_asked_again_and_again() -> None:
    master, told = FakeMaster(some(""), some(""), some("")), Told()
    watched(master, told, 4)
    assert master.asked == [()] * 4


@pytest.mark.parametrize("error", [BadRequest("the arguments do not fit"), MasterLost("gone")])
def test_another_master_is_asked_like_one_of_the_version_before(error: Exception) -> None:
    master, told = FakeMaster(some("m-1"), error, some("n-1")), Told()
    watched(master, told, 4)
    assert master.asked == [(), ("m-1", 10.0), (), ("n-1", 10.0)]
    assert told.aways == 1


def test_as_long_as_a_worker_is_in_doubt_the_master_is_asked_for_its_probes() -> None:
    master, told = FakeMaster(some("m-1")), Told()
    told.in_doubt = True

    async def answer(_verb: str, *args: Value, timeout: float, patient: bool = True) -> Envelope:
        master.asked.append(args)
        if args:
            await asyncio.Event().wait()
        return Envelope(error=False, result=msgspec.to_builtins(some("m-1")))

    master.call = answer  # type: ignore[method-assign]
    watched(master, told, 4)
    assert master.asked == [(), ("m-1", 10.0), (), ()]
