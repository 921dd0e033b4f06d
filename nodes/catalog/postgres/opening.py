"""Opening catalogs in PostgreSQL: the newest of a dataset, and one that a locator names."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from nodes.catalog.dataset import Dataset
from nodes.catalog.model import CatalogInfo
from nodes.catalog.postgres.connecting import connect
from nodes.catalog.postgres.live import describe_live
from nodes.catalog.postgres.pool import Pool
from nodes.catalog.postgres.reader import StoreReader
from nodes.catalog.postgres.statements import Table
from nodes.catalog.postgres.versions import newest, of_version, table_of
from nodes.catalog.store import LiveTable, StoreDefinition, StoreLocator, parse_locator
from nodes.errors import DataError
from nodes.support.slices import Sliced, awaited

REPLICA_LAG_S = 3.0
"""Seconds that a version may take to come to the replica that is asked for it."""

LOOK_EVERY_S = 0.1


class StoreCatalog:
    """A catalog in a store; see `nodes.catalog.protocol` for what each method does.

    Args:
        info: what it holds.
        table: how its table is asked.
        url_env: the environment variable that holds the store's URL.
    """

    def __init__(self, info: CatalogInfo, table: Table, url_env: str) -> None:
        self.info = info
        self._table = table
        self._url_env = url_env

    @property
    def is_intact(self) -> bool:
        """A store sees to that itself."""
        return True

    def reader(self) -> StoreReader:
        """See `nodes.catalog.protocol`; it connects when it is first asked."""
        return StoreReader(self.info, self._table, Pool(self._url_env))

    def other_version(self, version: str) -> Sliced[StoreCatalog]:
        """See `nodes.catalog.protocol`."""
        return awaited(asyncio.to_thread(_open_version, self._url_env, version, 0.0))

    def close(self) -> None:
        """Holds nothing."""


def newest_catalog(dataset: Dataset) -> CatalogInfo:
    """What is to be served of a dataset whose records lie in a store.

    Raises:
        DataError: nothing was loaded, or the live table cannot be used.
        StoreDown: the store cannot be asked.
    """
    store = dataset.store
    assert store is not None  # noqa: S101 - who calls this has looked
    with closing(connect(store.url_env)) as db:
        if store.is_live:
            return describe_live(db, live_table(dataset, store), store.url_env).info
        return newest(db, dataset.name, store.url_env)


def live_table(dataset: Dataset, store: StoreDefinition) -> LiveTable:
    """The live table of a dataset that names one."""
    return LiveTable(dataset.name, tuple(store.table.split(".")), store.key, dataset.lookups)


def open_store_catalog(text: str) -> StoreCatalog:
    """Opens what a locator names.

    Raises:
        DataError: it is not there, or cannot be used.
        StoreDown: the store cannot be asked.
    """
    locator = parse_locator(text)
    if locator.live is None:
        return _open_version(locator.url_env, locator.version, REPLICA_LAG_S)
    return _open_live(locator, locator.live)


def _open_live(locator: StoreLocator, live: LiveTable) -> StoreCatalog:
    with closing(connect(locator.url_env)) as db:
        described = describe_live(db, live, locator.url_env)
    return StoreCatalog(described.info, described.table, locator.url_env)


def _open_version(url_env: str, version: str, patience_s: float) -> StoreCatalog:
    until = time.monotonic() + patience_s
    with closing(connect(url_env)) as db:
        while (info := of_version(db, version, url_env)) is None:
            if time.monotonic() >= until:
                raise DataError(
                    f"the store has no catalog {version}: 'rollcall-nodes reload' serves the newest"
                )
            time.sleep(LOOK_EVERY_S)
    return StoreCatalog(info, table_of(info), url_env)
