"""A cache and a data folder of their own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.catalog.kit import OpenCatalog, backing, catalog_of, write
from tests.store.server import PostgresServer


class Put(Protocol):
    """Writes files into the test's data folder, and returns the folder."""

    def __call__(self, files: dict[str, object]) -> Path: ...


class Ask(Protocol):
    """Opens the catalog of some data until the end of the test."""

    def __call__(self, data: Path, *, skip_bad: bool = False) -> OpenCatalog: ...


@pytest.fixture(scope="module", params=["file", pytest.param("store", marks=pytest.mark.store)])
def anywhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has the tests of a module run twice: on records in files, and in a store."""
    if request.param == "file":
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROLLCALL_STORE_URL", server.url)
        patch.setattr(backing, "url_env", "ROLLCALL_STORE_URL")
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory, not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ROLLCALL_CACHE", str(folder))
    return folder


@pytest.fixture
def put(tmp_path: Path) -> Put:
    return lambda files: write(tmp_path / "data", files)


@pytest.fixture
def ask() -> Iterator[Ask]:
    with ExitStack() as stack:

        def opened(data: Path, *, skip_bad: bool = False) -> OpenCatalog:
            return stack.enter_context(catalog_of(data, skip_bad=skip_bad))

        yield opened
