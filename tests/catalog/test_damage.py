"""Damaged catalog files: never a crash, never trusted, always built again."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_reader import SqliteCatalog, SqliteReader
from nodes.errors import BadRequest, DataError
from tests.catalog.conftest import Put
from tests.catalog.kit import catalog_of, person, plain_scan, write

RECORDS = [person(f"p{number % 50}", f"City {number % 9}", number) for number in range(400)]
PAGE = 8192


def _replace_by(content: bytes) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.write_bytes(content)

    return replace


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _lose_last_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-PAGE])


def _grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * PAGE)


def _zero_from(start: int) -> Callable[[Path], None]:
    def zero(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:start] + b"\0" * (len(content) - start))

    return zero


def _other_database(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE meta (key, value)")
    db.commit()
    db.close()


def _no_info(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("DELETE FROM meta")
    db.commit()
    db.close()


def _strange_info(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = '{\"path\": 7}'")
    db.commit()
    db.close()


def _wrong_index(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA writable_schema = ON")
    roots = dict(db.execute("SELECT name, rootpage FROM sqlite_master WHERE name IN ('i0', 'i1')"))
    db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'i0'", (roots["i1"],))
    db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'i1'", (roots["i0"],))
    db.commit()
    db.close()


def _other_catalog(path: Path) -> None:
    data = write(path.parent / "other", {"a.json": [person("somebody else")]})
    shutil.copy(ensure_catalog(data, cache=path.parent / "other-cache").path, path)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": _replace_by(b""),
    "one byte": _replace_by(b"S"),
    "text": _replace_by(b"not a database " * 1000),
    "cut": _cut,
    "a page short": _lose_last_page,
    "a page long": _grow,
    "zeros after the header": _zero_from(100),
    "zeros after the first page": _zero_from(PAGE),
    "zeros in the records": _zero_from(6 * PAGE),
    "one index in place of another": _wrong_index,
    "another database": _other_database,
    "no info": _no_info,
    "strange info": _strange_info,
    "another catalog": _other_catalog,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_catalog_is_built_again(put: Put, damage: str) -> None:
    data = put({"a.json": RECORDS})
    info = ensure_catalog(data)
    DAMAGE[damage](Path(info.path))
    with catalog_of(data) as catalog:
        assert catalog.info == info
        assert catalog.records("getbyname", "p7") == plain_scan(RECORDS, ("name",), ("p7",))


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "another catalog"])
def test_to_open_or_to_read_a_damaged_catalog_is_a_data_error(put: Put, damage: str) -> None:
    path = Path(ensure_catalog(put({"a.json": RECORDS})).path)
    DAMAGE[damage](path)
    with pytest.raises(DataError) as caught:
        with SqliteCatalog.open(path).reader() as reader:
            reader.ping()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("seed", range(60))
def test_wherever_bytes_are_wrong_nothing_but_our_errors_comes_out(put: Put, seed: int) -> None:
    data = put({"a.json": RECORDS})
    path = Path(ensure_catalog(data).path)
    rng = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 20, 400])):
        start = rng.randrange(len(content) if seed % 3 else PAGE)
        content[start : start + 4] = rng.randbytes(4)[: len(content) - start]
    path.write_bytes(content)
    uses: list[Callable[[SqliteReader], object]] = [
        SqliteReader.ping,
        lambda reader: reader.find("getbyname", ["p7"]),
        lambda reader: reader.find("getbyyear", ["City 4", 13]),
        lambda reader: reader.suggest("location", "City", limit=100),
        lambda reader: reader.suggest("year", "", limit=100),
    ]
    for use in uses:
        # BadRequest: the damage may be in the name of the lookup.
        with suppress(DataError, BadRequest), SqliteCatalog.open(path).reader() as reader:
            use(reader)
    with catalog_of(data) as catalog:
        assert catalog.info.records == len(RECORDS)
