"""What `[store]` may say in a dataset.toml, and the text that names a catalog in a store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog, open_catalog
from nodes.catalog.dataset import load_dataset
from nodes.catalog.store import (
    LiveTable,
    StoreDefinition,
    StoreLocator,
    names_store,
    parse_locator,
)
from nodes.errors import DataError
from tests.catalog.kit import person, write

URL = "postgresql://rollcall:secret@127.0.0.1/people"
STORE = '[store]\nkind = "postgresql"\nurl_env = "ROLLCALL_STORE_URL"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STORE, StoreDefinition("ROLLCALL_STORE_URL")),
        (STORE + 'mode = "versions"', StoreDefinition("ROLLCALL_STORE_URL")),
        (
            STORE + 'mode = "live"\ntable = "crm.people"\nkey = "id"',
            StoreDefinition("ROLLCALL_STORE_URL", "crm.people", "id"),
        ),
    ],
)
def test_a_store_needs_no_files_here(tmp_path: Path, text: str, expected: StoreDefinition) -> None:
    dataset = load_dataset(write(tmp_path / "people", {"dataset.toml": text}))
    assert (dataset.store, dataset.files) == (expected, ())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("store = 7", r"\[store\] must be a table"),
        (STORE.replace("ROLLCALL_STORE_URL", URL), "a URL does not belong in a file"),
        (STORE + f'url = "{URL}"', "a URL does not belong in a file"),
        (STORE + 'password = "secret"', "unknown 'password'"),
        (STORE.replace("postgresql", "mysql"), 'kind must be "postgresql"'),
        ('[store]\nkind = "postgresql"', "url_env must name the environment variable"),
        (STORE.replace("ROLLCALL_STORE_URL", "a b"), "url_env must name the environment variable"),
        (STORE + 'mode = "fast"', 'mode must be "versions" or "live"'),
        (STORE + 'table = "people"', "unknown 'table'"),
        (STORE + 'mode = "live"', "table must name the table"),
        (STORE + 'mode = "live"\ntable = "a.b.c"\nkey = "id"', "table must name the table"),
        (STORE + 'mode = "live"\ntable = "people"\nkey = 7', "key must name its column"),
        (STORE + 'mode = "live"\ntable = "p"\nkey = "p.id"', "key must name its column"),
        (
            'files = ["a.json"]\n' + STORE + 'mode = "live"\ntable = "people"\nkey = "id"',
            "files are not read in the mode live",
        ),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_is(tmp_path: Path, text: str, wrong: str) -> None:
    data = write(tmp_path / "people", {"dataset.toml": text, "a.json": [person("al")]})
    with pytest.raises(DataError, match=wrong) as caught:
        load_dataset(data)
    assert "secret" not in str(caught.value)


def test_the_url_is_asked_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "people", {"dataset.toml": STORE})
    monkeypatch.delenv("ROLLCALL_STORE_URL", raising=False)
    with pytest.raises(DataError, match="ROLLCALL_STORE_URL is not set"):
        ensure_catalog(data)
    monkeypatch.setenv("ROLLCALL_STORE_URL", "my secret")
    with pytest.raises(DataError, match="no URL of PostgreSQL") as caught:
        ensure_catalog(data)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "locator",
    [
        StoreLocator("STORE", "5f2c91d0a3b4"),
        StoreLocator("STORE", live=LiveTable("people", ("a/ b", "c:d"), "id", {"by": ("x", "y")})),
    ],
)
def test_a_locator_is_text_that_means_the_same_everywhere(locator: StoreLocator) -> None:
    assert names_store(str(locator))
    assert parse_locator(str(locator)) == locator
    assert not names_store("/var/cache/5f2c91d0a3b4.db")


@pytest.mark.parametrize("text", ["", "{}", "7", "\ud800"])
def test_a_locator_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="names no catalog in a store"):
        open_catalog(f"postgresql:{text}")


WITHOUT_DRIVER = """
import sys, pathlib
sys.modules["psycopg"] = None
from nodes.catalog import ensure_catalog
try:
    ensure_catalog(pathlib.Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_who_lacks_the_driver_is_told_what_to_install(tmp_path: Path) -> None:
    data = write(tmp_path / "people", {"dataset.toml": STORE})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVER, data], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("DataError")
    assert "pip install 'rollcall-console[postgres]'" in done.stdout


SERVES_FILES = """
import sys, json, nodes.cli.worker, nodes.cli.data, nodes.cluster
from nodes.catalog import ensure_catalog, open_catalog
from nodes.support.paths import shipped_data
open_catalog(ensure_catalog(shipped_data()).path).reader().close()
print(json.dumps(sorted(sys.modules)))
"""


def test_who_serves_files_loads_no_driver() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES_FILES], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout)
    assert "nodes.catalog.sqlite_reader" in loaded
    assert not [name for name in loaded if "psycopg" in name or "postgres" in name]
