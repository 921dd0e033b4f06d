"""Connections to a store: bounded, renewed at once, and never a reason to wait too long."""

from __future__ import annotations

import asyncio
import signal
import time

import psycopg
import pytest

from nodes.catalog.postgres.opening import open_store_catalog
from nodes.catalog.postgres.pool import MAX_CONNECTIONS, Pool
from nodes.catalog.store import LiveTable, StoreLocator
from nodes.errors import StoreDown
from nodes.support.slices import complete
from tests.store.conftest import Sql
from tests.store.server import PostgresServer

pytestmark = pytest.mark.store

COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rollcall'"
LONGEST_HOLD_S = 0.005
"""Seconds of work that others on the loop wait for, at most."""


@pytest.fixture
def pool(store: str) -> Pool:
    """A pool of connections to a store."""
    return Pool("ROLLCALL_STORE_URL")


async def ask(pool: Pool, statement: str = "SELECT 1", within: float = 5.0) -> object:
    """What a question gives: its first value."""
    row = await (await pool.ask(statement, (), within)).fetchone()
    return row[0] if row else None


def test_many_questions_at_once_take_few_connections(pool: Pool, sql: Sql) -> None:
    async def run() -> list[object]:
        found = await asyncio.gather(*(ask(pool, f"SELECT {n}") for n in range(200)))
        assert sql(COUNT) == [(MAX_CONNECTIONS,)]
        pool.close()
        return list(found)

    assert asyncio.run(run()) == list(range(200))


def test_a_question_that_takes_too_long_is_ended_by_the_server(pool: Pool, sql: Sql) -> None:
    async def run() -> None:
        began = time.monotonic()
        with pytest.raises(StoreDown, match=r"^the store did not answer within 0.15 s$"):
            await ask(pool, "SELECT pg_sleep(30)", within=0.2)
        assert time.monotonic() - began < 5.0
        assert await ask(pool) == 1, "on the same connection"
        assert sql(COUNT) == [(1,)]
        pool.close()

    asyncio.run(run())


def test_who_waits_for_a_connection_waits_no_longer_than_said(pool: Pool) -> None:
    async def run() -> None:
        slow = [
            asyncio.create_task(ask(pool, "SELECT 1 FROM pg_sleep(1)"))
            for _ in range(MAX_CONNECTIONS)
        ]
        await asyncio.sleep(0.2)
        with pytest.raises(StoreDown, match=r"did not answer within 0\.15 s"):
            await ask(pool, within=0.2)
        assert await asyncio.gather(*slow) == [1] * MAX_CONNECTIONS
        assert await ask(pool) == 1
        pool.close()

    asyncio.run(run())


def test_a_connection_that_was_ended_is_renewed_within_the_question(pool: Pool, sql: Sql) -> None:
    async def run() -> None:
        for _ in range(3):
            assert await asyncio.gather(*(ask(pool) for _ in range(20))) == [1] * 20
            sql(COUNT.replace("count(*)", "pg_terminate_backend(pid)"))
        pool.close()

    asyncio.run(run())


def test_a_refusal_is_told_in_our_words(pool: Pool) -> None:
    async def run() -> None:
        with pytest.raises(StoreDown, match=r"^the store refused the question \(SQLSTATE 42703\)$"):
            await ask(pool, "SELECT secret")
        with pytest.raises(psycopg.DataError):
            await ask(pool, "SELECT 1e300::float4")
        assert await ask(pool) == 1
        pool.close()

    asyncio.run(run())


def test_a_server_that_is_gone_and_back(mortal: PostgresServer) -> None:
    async def run() -> None:
        pool = Pool("ROLLCALL_STORE_URL")
        assert await asyncio.gather(*(ask(pool) for _ in range(9))) == [1] * 9
        await asyncio.to_thread(mortal.kill)
        for _ in range(9):
            began = time.monotonic()
            with pytest.raises(StoreDown, match="the store cannot be reached: see that PostgreSQL"):
                await ask(pool)
            assert time.monotonic() - began < 2.0
        await asyncio.to_thread(mortal.start)
        await asyncio.sleep(0.15)
        assert await ask(pool) == 1
        pool.close()

    asyncio.run(run())


def test_a_server_that_froze_holds_up_no_loop(mortal: PostgresServer) -> None:
    async def run() -> None:
        pool = Pool("ROLLCALL_STORE_URL")
        assert await asyncio.gather(*(ask(pool) for _ in range(9))) == [1] * 9
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        counting = asyncio.create_task(count())
        mortal.freeze()
        began = time.monotonic()
        asked = [asyncio.create_task(ask(pool, within=1.0)) for _ in range(30)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < 3.0
        assert {type(one) for one in results} == {StoreDown}
        assert turns > 100, "all the while, the loop went round"
        counting.cancel()
        mortal.signal(signal.SIGCONT)
        assert await ask(pool) == 1
        pool.close()

    asyncio.run(run())


def test_a_large_page_is_made_in_short_steps(store: str, sql: Sql) -> None:
    sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text)",
        "INSERT INTO people SELECT n, 'al' FROM generate_series(1, 10000) AS n",
    )
    live = LiveTable("people", ("people",), "id", {"getbyname": ("name",)})
    catalog = open_store_catalog(str(StoreLocator("ROLLCALL_STORE_URL", live=live)))

    async def run() -> float:
        reader = catalog.reader()
        await complete(reader.probe_in_slices())
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.thread_time()  # what others do meanwhile is no hold
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - before)

        watching = asyncio.create_task(watch())
        page = await complete(
            reader.find_in_slices("getbyname", ("al",), limit=10_000, start=0, within=10.0)
        )
        watching.cancel()
        reader.close()
        assert page.count == 10_000
        return longest

    assert min(asyncio.run(run()) for _ in range(3)) < LONGEST_HOLD_S


def test_a_pool_that_is_closed_lets_go_of_all(pool: Pool, sql: Sql) -> None:
    async def run() -> None:
        slow = asyncio.create_task(ask(pool, "SELECT pg_sleep(30)", within=60.0))
        await asyncio.gather(*(ask(pool) for _ in range(9)))
        pool.close()
        with pytest.raises(StoreDown):
            await slow
        with pytest.raises(StoreDown):
            await ask(pool)

    asyncio.run(run())
