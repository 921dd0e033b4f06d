"""A catalog that is open stays where it is looked for, whatever becomes of its folder."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodes.catalog import Kept, ensure_catalog, keep_in_place
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.errors import DataError
from tests.catalog.conftest import Put
from tests.catalog.kit import catalogs, person

RECORDS = [person(f"p{number}", "Oslo", 2000 + number) for number in range(300)]


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond that."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.fixture
def catalog(put: Put) -> Iterator[SqliteCatalog]:
    opened = SqliteCatalog.open(ensure_catalog(put({"a.json": RECORDS})).path)
    yield opened
    opened.close()


def test_one_that_is_there_is_left_alone(catalog: SqliteCatalog) -> None:
    before = Path(catalog.info.path).stat()
    assert keep_in_place(catalog) is Kept.IN_PLACE
    assert Path(catalog.info.path).stat() == before


@pytest.mark.parametrize("gone", ["file", "folder", "cache"])
def test_one_that_is_gone_is_put_back(catalog: SqliteCatalog, cache: Path, gone: str) -> None:
    path = Path(catalog.info.path)
    content = path.read_bytes()
    if gone == "file":
        path.unlink()
    else:
        shutil.rmtree(cache if gone == "cache" else path.parent)
    assert keep_in_place(catalog) is Kept.PUT_BACK
    assert path.read_bytes() == content
    assert catalogs(cache) == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    with SqliteCatalog.open(path).reader() as reader:
        assert reader.find("getbyname", ["p7"]).count == 1
    assert keep_in_place(catalog) is Kept.IN_PLACE


def test_another_file_in_its_place_is_replaced(catalog: SqliteCatalog) -> None:
    path = Path(catalog.info.path)
    content = path.read_bytes()
    other = path.with_name("other")
    other.write_bytes(b"not a catalog")
    other.replace(path)
    assert keep_in_place(catalog) is Kept.PUT_BACK
    assert path.read_bytes() == content


def test_one_that_is_damaged_itself_is_no_source(catalog: SqliteCatalog) -> None:
    path = Path(catalog.info.path)
    os.truncate(path, 8192)
    assert keep_in_place(catalog) is Kept.DAMAGED
    path.unlink()
    assert keep_in_place(catalog) is Kept.DAMAGED
    assert not path.exists()


def test_one_that_is_closed_is_no_source_whatever_has_its_descriptor_now(
    catalog: SqliteCatalog, put: Put
) -> None:
    path = Path(catalog.info.path)
    path.unlink()
    catalog.close()
    other = SqliteCatalog.open(ensure_catalog(put({"a.json": RECORDS[:9]})).path)
    assert keep_in_place(catalog) is Kept.DAMAGED
    assert not path.exists()
    other.close()


def test_where_there_is_no_room_it_is_said_and_nothing_is_left_half(
    catalog: SqliteCatalog, cache: Path
) -> None:
    path = Path(catalog.info.path)
    path.unlink()
    with full_disk(8192), pytest.raises(DataError, match="make room there, or set ROLLCALL_CACHE"):
        keep_in_place(catalog)
    assert catalogs(cache) == []
    assert keep_in_place(catalog) is Kept.PUT_BACK


def test_where_no_folder_can_be_made_it_is_said(catalog: SqliteCatalog, cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="set ROLLCALL_CACHE"):
        keep_in_place(catalog)
    cache.unlink()
    assert keep_in_place(catalog) is Kept.PUT_BACK


def test_a_build_on_a_full_disk_leaves_nothing_half(put: Put, cache: Path) -> None:
    data = put({"a.json": RECORDS})
    with full_disk(8192), pytest.raises(DataError, match="make room there, or set ROLLCALL_CACHE"):
        ensure_catalog(data)
    assert catalogs(cache) == []
    assert ensure_catalog(data).records == len(RECORDS)
