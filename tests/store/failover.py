"""A primary and its replica under load, and the primary killed or frozen.

`python -m tests.store.failover [SECONDS]` prints the rows of docs/faults.md. It needs the server of
PostgreSQL, which other faults do not.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from nodes.catalog import load_into_store
from nodes.client.blocking import Client
from nodes.cluster import HostedCluster
from nodes.errors import DeadlineExceeded, LookupFailed, StoreDown
from nodes.security.tokens import ensure_token
from nodes.support.paths import shipped_data
from tests.kit import hosted, poll_for, shipped_records
from tests.store.server import PostgresServer, missing, server_folder, url_of
from tests.store.test_definition import STORE

CLIENTS = 4
SETTLED_LOOKUPS = 50
"""Lookups in a row that all clients must see answered after the death."""


class Failover(NamedTuple):
    """What the clients saw.

    Attributes:
        lookups: how many were asked.
        errors: those that failed, in words.
        wrong: answers that were not right.
        slowest: seconds of the slowest that was answered.
        until_answered: seconds from the death to the last error.
    """

    lookups: int
    errors: list[str]
    wrong: list[str]
    slowest: float
    until_answered: float


class Asking:
    """Clients that ask and check every answer, each in a thread of its own."""

    def __init__(self, address: str) -> None:
        self.lookups = 0
        self.errors: list[tuple[float, LookupFailed]] = []
        self.wrong: list[str] = []
        self.slowest = 0.0
        self.in_a_row = [0] * CLIENTS
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(address, number)) for number in range(CLIENTS)
        ]

    def _ask(self, address: str, number: int) -> None:
        expected = shipped_records()
        names = sorted({str(record["name"]) for record in expected})
        with Client(address, timeout=2.0) as client:
            turn = number
            while not self._over.is_set():
                name = names[turn % len(names)]
                turn += CLIENTS
                began = time.monotonic()
                try:
                    found = client.getbyname(name)
                except LookupFailed as error:
                    with self._lock:
                        self.lookups += 1
                        self.errors.append((time.monotonic(), error))
                    self.in_a_row[number] = 0
                    time.sleep(0.01)  # as a client that waits a moment after an error
                    continue
                took = time.monotonic() - began
                right = found == [record for record in expected if record["name"] == name]
                with self._lock:
                    self.lookups += 1
                    self.slowest = max(self.slowest, took)
                    if not right:
                        self.wrong.append(name)
                self.in_a_row[number] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """For as long as the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


def dataset(folder: Path) -> Path:
    """The records that ship, as a folder whose dataset.toml names the store."""
    data = folder / "people"
    data.mkdir()
    for file in shipped_data().glob("*.json"):
        (data / file.name).write_bytes(file.read_bytes())
    (data / "dataset.toml").write_text('name = "people"\n' + STORE)
    return data


def wait_replayed(primary: PostgresServer, replica: PostgresServer) -> None:
    """Waits until the replica has all that the primary has."""
    with psycopg.connect(primary.url, autocommit=True) as db:
        [place] = db.execute("SELECT pg_current_wal_lsn()").fetchone() or [None]
    with psycopg.connect(replica.url, autocommit=True) as db:

        def there() -> bool:
            row = db.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (place,)).fetchone()
            return bool(row and row[0])

        poll_for(there)


def readers(server: PostgresServer) -> int:
    """How many connections workers have to a server."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rollcall'"
    with psycopg.connect(server.url) as db:
        [count] = db.execute(asked).fetchone() or [0]
    return int(count)


def run_failover(
    folder: Path, seconds: float, *, hurt: Callable[[PostgresServer], None] = PostgresServer.kill
) -> Failover:
    """Kills the primary, which lookups go to, after some time under load, and goes on as long.

    Args:
        folder: for the records.
        seconds: how long clients ask.
        hurt: what is done to the primary.
    """
    with server_folder() as servers:
        primary = PostgresServer(servers)
        replica = None
        try:
            replica = PostgresServer(servers, standby_of=primary)
            # The primary first, so that lookups are at it when it dies.
            os.environ["ROLLCALL_STORE_URL"] = url_of(primary, replica)
            data = dataset(folder)
            load_into_store(data)
            wait_replayed(primary, replica)
            with hosted(2, data=data) as cluster:
                assert readers(primary) >= 2
                seen = _asked(cluster, lambda: hurt(primary), seconds)
                assert readers(replica) >= 2
                return seen
        finally:
            primary.stop()
            if replica is not None:
                replica.stop()


def _asked(cluster: HostedCluster, hurt: Callable[[], None], seconds: float) -> Failover:
    asking = Asking(cluster.address)
    with asking.running():
        time.sleep(seconds / 2)
        poll_for(lambda: min(asking.in_a_row) >= SETTLED_LOOKUPS)
        assert not asking.errors
        died_at = time.monotonic()
        hurt()
        until = time.monotonic() + seconds / 2
        asking.in_a_row = [0] * CLIENTS
        poll_for(
            lambda: min(asking.in_a_row) >= SETTLED_LOOKUPS and time.monotonic() >= until,
            timeout=seconds + 30.0,
        )
    poll_for(lambda: {one.why for one in cluster.snapshot().workers} == {""})
    workers = cluster.snapshot().workers
    assert {one.state for one in workers} == {"up"}
    assert not [one for one in workers if one.breaker_open or one.errors or one.restarts]
    # Who waits at a server that froze may be told of the deadline first.
    assert all(isinstance(error, StoreDown | DeadlineExceeded) for _, error in asking.errors)
    last = max((at for at, _ in asking.errors), default=died_at)
    return Failover(
        asking.lookups,
        [str(error) for _, error in asking.errors],
        asking.wrong,
        asking.slowest,
        last - died_at,
    )


HURTS: dict[str, Callable[[PostgresServer], None]] = {
    "store's primary killed (SIGKILL), a replica is there": PostgresServer.kill,
    "store's primary frozen (SIGSTOP), a replica is there": PostgresServer.freeze,
}


def main() -> None:
    """Prints a row for each."""
    if why := missing():
        raise SystemExit(why)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROLLCALL_STATE"] = f"{folder}/state"
        os.environ["ROLLCALL_CACHE"] = f"{folder}/cache"
        ensure_token()
        for number, (what, hurt) in enumerate(HURTS.items()):
            data = Path(folder, str(number))
            data.mkdir()
            seen = run_failover(data, seconds, hurt=hurt)
            print(  # noqa: T201
                f"| {what} | {seen.lookups} | {len(seen.errors)} | {len(seen.wrong)}"
                f" | {seen.slowest * 1000:.0f} ms | {seen.until_answered:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
