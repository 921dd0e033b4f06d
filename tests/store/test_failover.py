"""The primary of a store is killed under load: no wrong answer, and errors only for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.catalog import load_into_store, open_catalog
from tests.catalog.kit import opened
from tests.store.failover import dataset, readers, run_failover, wait_replayed
from tests.store.server import PostgresServer, missing, server_folder, url_of

pytestmark = pytest.mark.store

LONGEST_FROZEN_S = 12.0
"""The same, if the primary does not answer at all: a lookup's two seconds, and as many until the
next host is tried."""

LONGEST_S = 1.0
"""Seconds within which the replica is asked: it takes a few hundredths, and a busy machine more."""


@pytest.fixture(autouse=True)
def _needs_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    if why := missing():
        pytest.skip(why)
    monkeypatch.setenv("ROLLCALL_STORE_URL", "")


def test_the_replica_is_asked_at_once(tmp_path: Path) -> None:
    seen = run_failover(tmp_path, 3.0)
    assert seen.wrong == []
    assert seen.until_answered < LONGEST_S
    assert seen.lookups > 400


def test_a_primary_that_froze_is_left_as_soon_as_its_time_is_up(tmp_path: Path) -> None:
    seen = run_failover(tmp_path, 3.0, hurt=PostgresServer.freeze)
    assert seen.wrong == []
    assert seen.until_answered < LONGEST_FROZEN_S


def test_a_standby_is_asked_where_one_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_folder() as folder:
        primary = PostgresServer(folder)
        replica = PostgresServer(folder, standby_of=primary)
        try:
            monkeypatch.setenv("ROLLCALL_STORE_URL", primary.url)
            loaded = load_into_store(dataset(tmp_path))
            wait_replayed(primary, replica)
            url = url_of(primary, replica, options="?target_session_attrs=prefer-standby")
            monkeypatch.setenv("ROLLCALL_STORE_URL", url)
            with opened(open_catalog(loaded.path)) as catalog:
                assert catalog.records("getbyname", "xander")
                assert (readers(primary), readers(replica)) == (0, 1)
                replica.kill()
                assert catalog.records("getbyname", "xander")
                assert readers(primary) == 1
        finally:
            primary.stop()
            replica.stop()
