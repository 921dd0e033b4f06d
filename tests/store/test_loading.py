"""`data load`: all of a catalog or nothing of it, the newest is served, and old ones go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from nodes.catalog import ensure_catalog, load_into_store, open_catalog
from nodes.catalog.postgres.loading import KEPT_VERSIONS
from nodes.errors import DataError, StoreDown
from tests.catalog.kit import OpenCatalog, definition, opened, person, write
from tests.kit import poll_for
from tests.store.conftest import Sql
from tests.store.test_definition import STORE

pytestmark = pytest.mark.store

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^rollcall_[0-9a-f]{12}'"


def records_of(data: Path, records: list[object]) -> Path:
    """A folder with these records, whose dataset.toml names the store."""
    lines = "\n".join(map(json.dumps, records))
    return write(data, {"dataset.toml": 'name = "people"\n' + STORE, "a.jsonl": lines})


def names(catalog: OpenCatalog) -> list[str]:
    """All names in it."""
    return catalog.reader.suggest("name", "")


def test_the_newest_that_was_loaded_is_served(store: str, tmp_path: Path) -> None:
    data = tmp_path / "people"
    loaded = []
    for name in ("al", "bo", "al"):
        info = load_into_store(records_of(data, [person(name)]))
        loaded.append(info.version)
        assert ensure_catalog(data) == info
        with opened(open_catalog(info.path)) as catalog:
            assert names(catalog) == [name]
            assert catalog.info == info
    assert loaded[0] == loaded[2] != loaded[1]


def test_nothing_was_loaded(store: str, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", [person("al")])
    with pytest.raises(DataError, match="no catalog of 'people': load one with 'rollcall-nodes"):
        ensure_catalog(data)
    info = load_into_store(data)
    other = write(tmp_path / "others", {"dataset.toml": 'name = "others"\n' + STORE})
    with pytest.raises(DataError, match="no catalog of 'others'"):
        ensure_catalog(other)
    gone = info.path.replace(info.version, "0" * 12)
    with pytest.raises(DataError, match="no catalog 000000000000"):
        open_catalog(gone)


def test_a_load_needs_a_store_and_files(store: str, tmp_path: Path) -> None:
    here = write(tmp_path / "here", {"a.json": [person("al")]})
    with pytest.raises(DataError, match="names no store to load records into"):
        load_into_store(here)
    empty = write(tmp_path / "empty", {"dataset.toml": STORE})
    with pytest.raises(DataError, match="no files of records here"):
        load_into_store(empty)


STOPPED = """
import os, signal, sys, pathlib
from nodes.catalog import load_into_store
def progress(stage, done, total):
    if (stage, done) == (sys.argv[2], int(sys.argv[3])):
        print("there", flush=True)
        signal.pause()
load_into_store(pathlib.Path(sys.argv[1]), progress=progress)
"""


@pytest.mark.parametrize(
    ("stage", "done"), [("copy", 0), ("copy", 9), ("store index", 1), ("store index", 5)]
)
def test_of_a_load_that_is_killed_nothing_is_left(
    sql: Sql, tmp_path: Path, stage: str, done: int
) -> None:
    first = load_into_store(records_of(tmp_path / "people", [person("al")]))
    data = records_of(tmp_path / "people", [person(f"p{number}") for number in range(9)])
    command = [sys.executable, "-c", STOPPED, str(data), stage, str(done)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        assert ensure_catalog(data) == first
        os.kill(process.pid, signal.SIGKILL)
    busy = "SELECT FROM pg_stat_activity WHERE query ~ '^(COPY|CREATE|INSERT)'"
    poll_for(lambda: sql(busy) == [])
    assert sql(TABLES) == [(f"rollcall_{first.version}",)]
    assert ensure_catalog(data) == first
    assert load_into_store(data).records == 9


def test_old_catalogs_stay_for_open_cursors_then_go(sql: Sql, tmp_path: Path) -> None:
    data = tmp_path / "people"
    loaded = []
    for number in range(KEPT_VERSIONS + 2):
        loaded.append(load_into_store(records_of(data, [person(f"p{number}")])).version)

    def left() -> set[str]:
        return {str(name).removeprefix("rollcall_") for (name,) in sql(TABLES)}

    assert left() == set(loaded), "all of them were replaced of late"
    sql("UPDATE rollcall_catalogs SET loaded_at = loaded_at - interval '1 hour'")
    loaded.append(load_into_store(records_of(data, [person("new")])).version)
    # What the last of the hour-old ones replaced was replaced an hour ago.
    assert left() == set(loaded[-KEPT_VERSIONS:])
    assert sql("SELECT count(*) FROM rollcall_catalogs") == [(KEPT_VERSIONS,)]


def test_one_that_is_gone_says_what_to_do(sql: Sql, tmp_path: Path) -> None:
    info = load_into_store(records_of(tmp_path / "people", [person("al")]))
    with opened(open_catalog(info.path)) as catalog:
        sql(f"DROP TABLE rollcall_{info.version}")
        with pytest.raises(StoreDown, match="no longer has these records: 'rollcall-nodes reload'"):
            catalog.reader.find("getbyname", ["al"])


def test_a_value_that_no_index_can_hold_is_refused_with_its_field(sql: Sql, tmp_path: Path) -> None:
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(4000))
    data = records_of(tmp_path / "people", [person("al"), person("bo", location=noise)])
    with pytest.raises(DataError, match="value of location takes 12000 bytes"):
        load_into_store(data)
    assert sql("SELECT relname FROM pg_class WHERE relname ~ '^rollcall_'") == []


def test_a_database_of_another_encoding_is_refused(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    monkeypatch.setenv("ROLLCALL_STORE_URL", store.rpartition("/")[0] + "/latin")
    with pytest.raises(DataError, match="must have the encoding UTF8"):
        load_into_store(records_of(tmp_path / "people", [person("al")]))
    with psycopg.connect(store, autocommit=True) as db:
        db.execute("DROP DATABASE latin WITH (FORCE)")


STRANGE = ["", "\0", "\1", "\0\0", "\1\1", "\1\2", "a\0b", "a\1b", "a\0", "a", "aa", "%s", "%", '"']


def test_texts_with_every_character_are_found_and_suggested_in_order(
    store: str, tmp_path: Path
) -> None:
    data = records_of(tmp_path / "people", [person(name) for name in STRANGE])
    with opened(open_catalog(load_into_store(data).path)) as catalog:
        for name in STRANGE:
            assert catalog.records("getbyname", name) == [person(name)]
            expected = sorted(other for other in STRANGE if other.startswith(name))
            assert catalog.reader.suggest("name", name, limit=100) == expected


NUMBERS = [0, -0.0, 1, 1.0, 0.1, 2**53, 2**53 + 1, 2.0**53, 2**63 - 1, 2.0**63, 5e-324, 1.5e308]


def test_numbers_are_the_same_to_the_last_digit(store: str, tmp_path: Path) -> None:
    toml = definition({"bysize": ["size"]}) + STORE
    records = [{"size": size, "number": number} for number, size in enumerate(NUMBERS)]
    data = write(tmp_path / "sizes", {"dataset.toml": toml, "a.json": records})
    with opened(open_catalog(load_into_store(data).path)) as catalog:
        for size in NUMBERS:
            expected = [one for one in records if one["size"] == size]
            assert catalog.records("bysize", size) == expected


def test_the_command_says_what_it_did(store: str, tmp_path: Path) -> None:
    data = records_of(tmp_path / "people", [person("al")])
    command = [str(Path(sys.executable).parent / "rollcall-nodes"), "data", "load", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "people: 1 records, catalog" in done.stdout
    assert "rollcall-nodes reload" in done.stdout
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["records"] == 1
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ROLLCALL_STORE_URL": "postgresql://127.0.0.1:1/none"},
    )
    assert done.returncode == 2
    assert "rollcall-nodes: the store cannot be reached" in done.stderr
