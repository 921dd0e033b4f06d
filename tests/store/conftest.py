"""A store of their own for the tests that need one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.store.server import PostgresServer, missing, running_server

_numbers = itertools.count(1)

Sql = Callable[..., list[tuple[object, ...]]]
"""Runs statements in the store; returns what the last one gives."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of their own."""
    monkeypatch.setenv("ROLLCALL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server that may be hurt."""
    if why := missing():
        pytest.skip(why)
    with running_server() as server:
        monkeypatch.setenv("ROLLCALL_STORE_URL", server.url)
        yield server


@pytest.fixture
def store(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database; its URL is in ROLLCALL_STORE_URL."""
    name = f"test{next(_numbers)}"
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    url = postgres.url.removesuffix("postgres") + name
    monkeypatch.setenv("ROLLCALL_STORE_URL", url)
    yield url
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sql(store: str) -> Sql:
    """Runs statements in the store."""

    def run(*statements: str) -> list[tuple[object, ...]]:
        with psycopg.connect(store, autocommit=True) as db:
            for statement in statements:
                cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return run
