"""The reader of catalogs in files: threads, closing, and what becomes of the file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psutil
import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.sqlite_reader import SqliteCatalog, SqliteReader
from nodes.errors import DataError
from tests.catalog.conftest import Put
from tests.catalog.kit import person, plain_scan

MANY = [person(f"p{number % 7}", "Oslo", 2000 + number % 4) for number in range(97)]


def test_readers_of_one_catalog_answer_in_many_threads(put: Put) -> None:
    catalog = SqliteCatalog.open(ensure_catalog(put({"a.json": MANY})).path)
    expected = plain_scan(MANY, ("name",), ("p3",))
    answers: list[object] = []

    def read() -> None:
        with catalog.reader() as reader:
            for _ in range(50):
                answers.append(json.loads(reader.find("getbyname", ["p3"]).body))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 200


def test_a_closed_reader_says_so_and_may_be_closed_again(put: Put) -> None:
    reader = SqliteCatalog.open(ensure_catalog(put({"a.json": MANY})).path).reader()
    reader.close()
    reader.close()
    for use in (reader.ping, lambda: reader.find("getbyname", ["p1"])):
        with pytest.raises(DataError, match="cannot be read"):
            use()


def test_a_catalog_that_is_open_outlives_its_file(put: Put) -> None:
    info = ensure_catalog(put({"a.json": MANY}))
    with SqliteCatalog.open(info.path).reader() as reader:
        Path(info.path).unlink()
        page = reader.find("getbyname", ["p1"])
        assert json.loads(page.body) == plain_scan(MANY, ("name",), ("p1",))


def test_a_catalog_lets_go_of_its_file(put: Put) -> None:
    info = ensure_catalog(put({"a.json": MANY}))

    def opened() -> list[str]:
        return [file.path for file in psutil.Process().open_files()]

    catalog: SqliteCatalog | None = SqliteCatalog.open(info.path)
    reader: SqliteReader | None = catalog.reader() if catalog else None
    assert info.path in opened()
    if reader:
        reader.close()
    del reader
    catalog = None
    assert catalog is None
    assert info.path not in opened()


def test_a_relative_path_is_good_from_everywhere(
    put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    info = ensure_catalog(put({"a.json": MANY}), cache=Path("near"))
    catalog = SqliteCatalog.open(Path(info.path).relative_to(tmp_path))
    monkeypatch.chdir("/")
    assert Path(info.path).is_absolute()
    with catalog.reader() as reader:
        assert reader.find("getbyname", ["p1"]).count > 0
