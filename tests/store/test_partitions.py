"""One table, its records spread by hash over three servers with postgres_fdw, read live."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from nodes.catalog import ensure_catalog, open_catalog
from nodes.client.blocking import Client
from tests.catalog.kit import opened
from tests.kit import hosted
from tests.store.server import PostgresServer, missing, server_folder
from tests.store.test_live import dataset

pytestmark = pytest.mark.store

PARTS = 3
COUNT = "SELECT count(*) FROM ONLY part{}"
RECORDS = 3000
COLUMNS = 'id int8 NOT NULL, name text COLLATE "C", location text COLLATE "C"'


@pytest.fixture(scope="module")
def spread() -> Iterator[str]:
    """Three servers, and the URL of the first, which knows of the other two."""
    if why := missing():
        pytest.skip(why)
    with server_folder() as folder, ExitStack() as stack:
        servers = []
        for _ in range(PARTS):
            server = PostgresServer(folder)
            stack.callback(server.stop)
            servers.append(server)
        for number, server in enumerate(servers):
            with psycopg.connect(server.url, autocommit=True) as db:
                db.execute(f"CREATE TABLE part{number} ({COLUMNS}, PRIMARY KEY (id))")
                db.execute(f"CREATE INDEX ON part{number} (name, id)")
        with psycopg.connect(servers[0].url, autocommit=True) as db:
            db.execute("CREATE EXTENSION postgres_fdw")
            db.execute(f"CREATE TABLE people ({COLUMNS}) PARTITION BY HASH (id)")
            rest = f"WITH (MODULUS {PARTS}, REMAINDER 0)"
            db.execute(f"ALTER TABLE people ATTACH PARTITION part0 FOR VALUES {rest}")
            for number, server in enumerate(servers[1:], 1):
                db.execute(
                    f"CREATE SERVER server{number} FOREIGN DATA WRAPPER postgres_fdw"
                    f" OPTIONS (host '127.0.0.1', port '{server.port}', dbname 'postgres')"
                )
                db.execute(
                    f"CREATE USER MAPPING FOR rollcall SERVER server{number}"
                    " OPTIONS (user 'rollcall')"
                )
                rest = f"WITH (MODULUS {PARTS}, REMAINDER {number})"
                db.execute(
                    f"CREATE FOREIGN TABLE part{number} PARTITION OF people FOR VALUES {rest}"
                    f" SERVER server{number}"
                )
            db.execute(
                "INSERT INTO people SELECT n, 'p' || n %% 100, 'city ' || n %% 7"
                " FROM generate_series(1, %s) AS n",
                (RECORDS,),
            )
        yield servers[0].url
        for number, server in enumerate(servers):
            with psycopg.connect(server.url, autocommit=True) as db:
                [held] = db.execute(COUNT.format(number)).fetchone() or [0]
                assert RECORDS / PARTS * 0.8 < held < RECORDS / PARTS * 1.2


LOOKUPS = {"getbyname": ["name"], "getbylocation": ["location"]}


def test_records_of_three_servers_are_one_answer(
    spread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_STORE_URL", spread)
    info = ensure_catalog(dataset(tmp_path, LOOKUPS))
    with opened(open_catalog(info.path)) as catalog:
        for number in (0, 42, 99):
            found = [record["id"] for record in catalog.records("getbyname", f"p{number}", limit=7)]
            assert found == [n for n in range(1, RECORDS + 1) if n % 100 == number]
        found = [record["id"] for record in catalog.records("getbylocation", "city 3")]
        assert found == [n for n in range(1, RECORDS + 1) if n % 7 == 3]
        names = sorted(f"p{number}" for number in range(100))
        assert catalog.reader.suggest("name", "p", limit=100) == names


def test_a_cluster_serves_them(
    spread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_STORE_URL", spread)
    with hosted(2, data=dataset(tmp_path, LOOKUPS)) as cluster, Client(cluster.address) as client:
        assert len(client.getbyname("p7")) == RECORDS // 100
        assert client.page("getbyname", "p7").catalog == "live"
