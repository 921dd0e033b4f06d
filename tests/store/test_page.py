"""Every shell line of docs/store.md is run, with a server, or this fails."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog
from nodes.client.blocking import Client
from nodes.support.paths import shipped_data
from tests.kit import Node
from tests.store.conftest import Sql
from tests.test_docs import BIN, PAGES, STORE_PAGE

pytestmark = pytest.mark.store

PAGE = PAGES[STORE_PAGE]
LOADED, LIVE = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
[LINES] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)


def test_what_the_page_says_works(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = tmp_path / "people"
    people.mkdir()
    for file in shipped_data().glob("*.json"):
        (people / file.name).write_bytes(file.read_bytes())
    (people / "dataset.toml").write_text(LOADED)
    monkeypatch.chdir(tmp_path)
    variable, load, up = LINES.strip().splitlines()
    assert variable.startswith("export ROLLCALL_STORE_URL=")
    command = shlex.split(load)
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=True
    )
    assert "rollcall-nodes reload" in done.stdout
    with (
        Node(*shlex.split(up)[1:], "--port", "0", "--json") as node,
        Client(node.ready["master"]) as client,
    ):
        assert client.getbyname("xander")


def test_the_live_table_of_the_page_is_one(sql: Sql, tmp_path: Path) -> None:
    sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text, location text, year int)",
        *re.findall(r"`(CREATE INDEX [^`]*)`", PAGE),
    )
    (tmp_path / "dataset.toml").write_text(LIVE)
    info = ensure_catalog(tmp_path)
    assert [one.name for one in info.lookups] == ["getbyname", "getbyyear"]


def test_the_benchmark_runs() -> None:
    command = [sys.executable, "-m", "tests.bench.store", "2000", "--calls", "12"]
    done = subprocess.run(
        [*command, "--seconds", "0.3"], capture_output=True, text=True, check=True, timeout=50
    )
    rows = re.findall(r"^\| (.*?) \| .*\d.* \| .*\d.* \|$", done.stdout, re.M)
    assert len(rows) == 9
