"""The asyncio client: the blocking client's answers, promises and errors, many at a time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import math
import pickle
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nodes
from nodes import AsyncClient, Client
from nodes.errors import (
    BadRequest,
    DeadlineExceeded,
    Forbidden,
    LookupFailed,
    MasterLost,
    Overloaded,
)
from nodes.security.tokens import TokenRole, ensure_token, token_file
from nodes.transport import Service
from nodes.transport.requests import MAX_CALLS_IN_FLIGHT
from nodes.wire import error_envelope, result_envelope
from tests.kit import (
    PATIENCE,
    Node,
    ServerThread,
    SilentServer,
    hosted,
    make_tls,
    poll_for,
    same_records,
    scan,
    shipped_records,
)

RECORDS = shipped_records()
NAMES = sorted({record["name"] for record in RECORDS})
MANY = 1000
"""Lookups in flight."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster."""
    with Node("up", "--port", "0", "--workers", "2", "--json") as node:
        yield node.ready["master"]


def with_client(
    address: str, work: Callable[[AsyncClient], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    """Runs `work` with a client, on an event loop of its own."""

    async def run() -> Any:
        async with AsyncClient(address, **{"timeout": PATIENCE, **options}) as client:
            return await work(client)

    return asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    """Waits on the event loop until that is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@contextmanager
def fake_master(answer: Callable[..., object]) -> Iterator[str]:
    """A master whose every verb is `answer`."""

    class Answers(Service):
        def verb(self, _name: str) -> Callable[..., object]:
            return answer

    with ServerThread(Answers) as server:
        yield "{}:{}".format(*server.address)


def lost(ask: Callable[[], object]) -> str:
    """The words of the `MasterLost` that this raises."""
    with pytest.raises(MasterLost) as raised:
        ask()
    return str(raised.value)


# -- the same answers ------------------------------------------------------------------


def test_it_answers_what_the_blocking_client_answers(address: str) -> None:
    places = sorted({(r["location"], r["year"]) for r in RECORDS})
    asked: list[tuple[str | int, ...]] = [("getbyname", name) for name in NAMES]
    asked += [("getbylocation", place) for place in sorted({place for place, _ in places})]
    asked += [("getbyyear", place, year) for place, year in places]

    async def work(client: AsyncClient) -> None:
        with Client(address, timeout=PATIENCE) as blocking:
            for name, *args in asked:
                found = await client.lookup(str(name), *args)
                assert found == blocking.lookup(str(name), *args)
            place, year = places[0]
            assert await client.getbyname(NAMES[0]) == blocking.getbyname(NAMES[0])
            assert await client.getbylocation(place) == blocking.getbylocation(place)
            assert await client.getbyyear(place, year) == blocking.getbyyear(place, year)
            assert await client.lookup_many(asked) == blocking.lookup_many(asked)
            assert await client.describe() == blocking.describe()
            assert await client.suggest("name", "x") == blocking.suggest("name", "x")
            first = [page.result for page in await client.first_pages(asked[:5], limit=1)]
            assert first == [page.result for page in blocking.first_pages(asked[:5], limit=1)]

    with_client(address, work)


def test_pages_lead_from_one_to_the_next(address: str) -> None:
    place = RECORDS[0]["location"]
    whole = scan(RECORDS, location=place)

    async def work(client: AsyncClient) -> None:
        each = [record async for record in client.each("getbylocation", place, limit=2)]
        assert same_records(each, whole)
        pages = [page async for page in client.pages("getbylocation", place, limit=2)]
        assert [record for page in pages for record in page.result] == each
        second = await client.page("getbylocation", place, limit=2, after=pages[0].after)
        assert second.result == pages[1].result

    assert len(whole) > 2
    with_client(address, work)


def test_mistakes_are_told_in_the_same_words(address: str) -> None:
    wrong: list[tuple[Any, ...]] = [
        ("nosuch", "x"),
        ("getbyname",),
        ("getbyname", "\ud800"),
        ("getbyname", []),
        ("getbyname", "x" * 5_000_000),
    ]

    async def work(client: AsyncClient) -> None:
        blocking = stack.enter_context(Client(address, timeout=PATIENCE))
        for name, *args in wrong:
            with pytest.raises(BadRequest) as told:
                await client.lookup(name, *args)
            with pytest.raises(BadRequest) as told_there:
                blocking.lookup(name, *args)
            assert str(told.value) == str(told_there.value)
        good, bad = await client.lookup_many([("getbyname", NAMES[0]), ("nosuch", "x")])
        assert good == scan(RECORDS, name=NAMES[0])
        assert isinstance(bad, LookupFailed)
        with pytest.raises(BadRequest):
            await client.lookup_many([("getbyname", "\ud800")])

    with contextlib.ExitStack() as stack:
        with_client(address, work)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("timeout", [None, math.inf, math.nan, -1.0, 0, "2", True, 60.1, 10**400])
def test_a_timeout_that_is_none_is_refused_when_a_client_is_made(kind: Any, timeout: Any) -> None:
    with pytest.raises(
        ValueError, match=r"timeout must be a number of seconds above 0 and at most 60, not"
    ):
        kind(timeout=timeout)
    client = kind()
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        client.timeout = timeout
    assert client.timeout == 2.0, "as it was"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda client: pickle.loads(pickle.dumps(client))],  # noqa: S301
)
def test_a_copy_of_a_client_is_another_with_the_same_arguments(kind: Any, again: Any) -> None:
    client = kind("127.0.0.1:7", token="secret")
    client.timeout = 3.5
    other = again(client)
    assert type(other) is kind
    assert other.timeout == 3.5
    assert other._master is not client._master
    assert (other._master.where, other._master._token()) == ("127.0.0.1:7", "secret")
    client.close()
    other.close()


def test_all_that_is_public_can_be_named() -> None:
    assert {name: getattr(nodes, name) is not None for name in nodes.__all__} == {
        "AsyncClient": True,
        "Client": True,
        "Record": True,
    }


# -- many at a time --------------------------------------------------------------------


def test_a_thousand_in_flight_share_one_connection_and_each_gets_its_own_answer() -> None:
    async def work(client: AsyncClient) -> None:
        names = [NAMES[number % len(NAMES)] for number in range(MANY)]
        found = await asyncio.gather(*(client.getbyname(name) for name in names))
        for name, records in zip(names, found, strict=True):
            assert same_records(records, scan(RECORDS, name=name))

    with hosted(2) as cluster:
        before = cluster.master.loop.call(lambda: cluster.master._server.connections)
        connections: list[int] = []

        async def counted(client: AsyncClient) -> None:
            await work(client)
            connections.append(cluster.master.loop.call(lambda: cluster.master._server.connections))

        with_client(cluster.address, counted)
        assert connections == [before + 1]
        assert cluster.master.lookups.stats.answered == MANY


def test_no_more_are_sent_than_a_master_answers_and_those_that_wait_go_in_turn() -> None:
    asked: list[str] = []
    most = 0
    free = threading.Event()

    async def answer(_lookup: str, name: str, **_options: object) -> str:
        nonlocal most
        asked.append(name)
        most = max(most, len(asked))
        while not free.is_set():
            await asyncio.sleep(0.005)
        return result_envelope([{"name": name}]).decode()

    async def work(client: AsyncClient) -> None:
        names = [str(number) for number in range(2 * MAX_CALLS_IN_FLIGHT)]
        tasks = [asyncio.create_task(client.lookup("getbyname", name)) for name in names]
        await until(lambda: len(asked) == MAX_CALLS_IN_FLIGHT)
        assert asked == names[:MAX_CALLS_IN_FLIGHT]
        free.set()
        found: list[Any] = await asyncio.gather(*tasks)
        assert found == [[{"name": name}] for name in names]
        assert asked == names

    with fake_master(answer) as address:
        with_client(address, work)


@pytest.mark.long
def test_cancelled_lookups_leave_nothing_behind(address: str) -> None:
    async def work(client: AsyncClient) -> None:
        await client.getbyname(NAMES[0])
        link = client._master._link
        assert link is not None
        for _ in range(3):
            tasks = [asyncio.create_task(client.getbyname(name)) for name in NAMES * 20]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert any(isinstance(one, asyncio.CancelledError) for one in ended)
        assert same_records(await client.getbyname(NAMES[0]), scan(RECORDS, name=NAMES[0]))
        await until(lambda: link.in_flight == 0)
        assert not link.connection.requester._pending
        assert not client._master._waiting
        assert client._master._link is link

    with_client(address, work)


# -- promises --------------------------------------------------------------------------


def test_a_master_that_is_restarted_costs_nobody_an_answer() -> None:
    node = Node("up", "--port", "0", "--workers", "2", "--json")
    over = threading.Event()
    restarted: list[Node] = []

    def restart() -> None:
        node.signal(signal.SIGTERM)
        restarted.append(node.successor())
        over.set()

    async def ask_on(client: AsyncClient, number: int) -> int:
        count = 0
        while not over.is_set() or count < 10:
            name = NAMES[(number + count) % len(NAMES)]
            assert same_records(await client.getbyname(name), scan(RECORDS, name=name))
            count += 1
        return count

    async def work(client: AsyncClient) -> None:
        await client.getbyname(NAMES[0])
        threads = [threading.Thread(target=restart)]
        threads[0].start()
        await asyncio.gather(*(ask_on(client, number) for number in range(50)))
        threads[0].join()

    try:
        with_client(node.ready["master"], work)
    finally:
        for one in (node, *restarted):
            one.close()


@pytest.mark.long
def test_a_killed_master_is_lost_within_the_timeout_and_found_when_it_is_back() -> None:
    with Node("up", "--port", "0", "--workers", "1", "--json") as node:

        async def work(client: AsyncClient) -> None:
            assert await client.getbyname(NAMES[0])
            await asyncio.to_thread(node.close)
            began = time.monotonic()
            with pytest.raises(MasterLost, match="is it running"):
                await client.getbyname(NAMES[0])
            assert 0.5 < time.monotonic() - began < PATIENCE
            again = await asyncio.to_thread(node.successor)
            try:
                client.timeout = PATIENCE
                assert await client.getbyname(NAMES[0])
            finally:
                await asyncio.to_thread(again.close)

        with_client(node.ready["master"], work, timeout=1.0)


def test_an_overloaded_master_is_asked_again_within_the_timeout() -> None:
    asked = 0

    def answer(*_args: object, **_named: object) -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            return error_envelope(Overloaded("busy", retry_after_ms=20)).decode()
        return result_envelope([]).decode()

    with fake_master(answer) as address:
        assert with_client(address, lambda client: client.getbyname("x")) == []
        assert asked == 3

    busy = error_envelope(Overloaded("busy", retry_after_ms=1000)).decode()
    with fake_master(lambda *_args, **_named: busy) as address:
        with pytest.raises(Overloaded):
            with_client(address, lambda client: client.getbyname("x"), timeout=0.5)


def test_all_pages_of_a_lookup_have_one_deadline() -> None:
    cursors = itertools.count()

    async def answer(*_args: object, **_named: object) -> str:
        await asyncio.sleep(0.05)
        return json.dumps({"error": False, "result": [{}], "after": f"{next(cursors)}"})

    with fake_master(answer) as address:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"not all of it came within 0\.3 s"):
            with_client(address, lambda client: client.getbyname("x"), timeout=0.3)
        assert time.monotonic() - began < PATIENCE / 2


def test_a_silent_master_is_lost_in_time_and_its_connection_given_up() -> None:
    with SilentServer() as silent:
        address = f"127.0.0.1:{silent.port}"

        async def work(client: AsyncClient) -> None:
            began = time.monotonic()
            tasks = [asyncio.create_task(client.getbyname("x")) for _ in range(MANY)]
            await until(lambda: client._master._link is not None)
            link = client._master._link
            assert link is not None
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert time.monotonic() - began < PATIENCE / 2
            assert {type(one) for one in ended} == {MasterLost}
            assert all("no answer within 0.700 s" in str(one) for one in ended)
            assert link.connection.ended

        with_client(address, work, timeout=0.2)
        with Client(address, timeout=0.2) as blocking:
            assert "no answer within 0." in lost(lambda: blocking.getbyname("x"))


def test_a_dead_connection_is_found_out_even_if_nobody_waits_long_enough() -> None:
    with SilentServer() as silent:

        async def work(client: AsyncClient) -> None:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.getbyname("x"), 0.05)
            link = client._master._link
            assert link is not None
            await until(lambda: link.connection.ended)

        with_client(f"127.0.0.1:{silent.port}", work, timeout=0.2)


def test_without_a_master_it_says_what_the_blocking_client_says() -> None:
    with SilentServer() as gone:
        address = f"127.0.0.1:{gone.port}"
    with Client(address) as blocking:
        said = lost(lambda: blocking.getbyname("x"))
    assert lost(lambda: with_client(address, lambda client: client.getbyname("x"))) == said
    assert "is it running? 'rollcall-nodes up' starts one" in said


def test_a_closed_client_ends_what_is_under_way_and_answers_nothing_more() -> None:
    with SilentServer() as silent:

        async def work(client: AsyncClient) -> None:
            task = asyncio.create_task(client.getbyname("x"))
            await until(lambda: client._master._link is not None)
            client.close()
            for ended in (task, client.getbyname("x")):
                with pytest.raises(MasterLost, match="no longer in use"):
                    await ended

        with_client(f"127.0.0.1:{silent.port}", work)


def test_it_belongs_to_one_event_loop(address: str) -> None:
    client = AsyncClient(address)

    async def ask() -> None:
        await client.getbyname(NAMES[0])
        await client.aclose()

    asyncio.run(ask())
    with pytest.raises(RuntimeError, match="event loop"):
        asyncio.run(ask())


# -- tokens and TLS --------------------------------------------------------------------


def test_it_logs_in_once_for_all_lookups_of_a_connection() -> None:
    ensure_token(token_file(TokenRole.CLIENT))

    async def work(client: AsyncClient) -> None:
        found = await asyncio.gather(*(client.getbyname(NAMES[0]) for _ in range(300)))
        assert all(same_records(one, scan(RECORDS, name=NAMES[0])) for one in found)
        link = client._master._link
        assert link is not None
        assert link.logins == 1

    async def stranger(client: AsyncClient) -> None:
        asked = (client.getbyname(NAMES[0]) for _ in range(50))
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in ended] == [Forbidden] * 50

    with Node("up", "--port", "0", "--workers", "1", "--require-token", "--json") as node:
        with_client(node.ready["master"], work)
        with_client(node.ready["master"], stranger, token="wrong")


def test_with_tls_the_master_must_be_from_the_same_ca(tmp_path: Path) -> None:
    ours, others = make_tls(tmp_path / "ours"), make_tls(tmp_path / "others")

    async def work(client: AsyncClient) -> None:
        found = await asyncio.gather(*(client.getbyname(name) for name in NAMES))
        for name, records in zip(NAMES, found, strict=True):
            assert same_records(records, scan(RECORDS, name=name))

    with hosted(1, tls=ours) as cluster:
        with_client(cluster.address, work, tls=ours)
        for folder in (others, None):
            with Client(cluster.address, tls=folder, timeout=1.0) as blocking:
                said = lost(lambda client=blocking: client.getbyname("x"))  # type: ignore[misc]
            told = lost(
                lambda tls=folder: with_client(  # type: ignore[misc]
                    cluster.address, lambda client: client.getbyname("x"), tls=tls, timeout=1.0
                )
            )
            assert told == said
        poll_for(lambda: cluster.master.lookups.in_flight == 0)
