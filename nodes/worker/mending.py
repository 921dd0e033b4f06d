"""A worker's catalog mended: one whose file was damaged is got anew, from whoever has it or its
records.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from nodes.catalog import Catalog, CatalogInfo, open_catalog
from nodes.errors import DataError, LookupFailed
from nodes.support.backoff import Backoff
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.fetching import CatalogFetcher, FetchCancelled

logger = logging.getLogger("rollcall.worker")

MEND_BACKOFF = Backoff(first_s=0.1, factor=1.5, longest_s=15.0)
"""Between attempts to get a damaged catalog anew."""

Records = Callable[[], CatalogInfo]
"""Finds the catalog of the records that this worker was started with, or builds it."""


class CatalogMender:
    """Gets a catalog anew that was damaged, and has it served. For the worker's loop; files and the
    network are for a thread beside it.

    Args:
        versions: what the worker reads from.
        make_fetcher: makes what gets a catalog from the master.
        records: the worker's own; None if it has none.
    """

    def __init__(
        self,
        versions: CatalogVersions,
        make_fetcher: Callable[[], CatalogFetcher],
        records: Records | None,
    ) -> None:
        self._versions = versions
        self._make_fetcher = make_fetcher
        self._records = records
        self._random = Random()  # noqa: S311 - jitter, no secret
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mending")
        self._fetcher: CatalogFetcher | None = None
        self._mending: asyncio.Task[None] | None = None

    def mend(self) -> asyncio.Future[None]:
        """Begins, unless it has begun. Returns what is done once an intact catalog is served."""
        if self._mending is None or self._mending.done():
            self._mending = asyncio.get_running_loop().create_task(self._mend())
        return self._mending

    def close(self) -> None:
        """Ends what is under way."""
        if self._mending is not None:
            self._mending.cancel()
        if self._fetcher is not None:
            self._fetcher.cancel()
        self._thread.shutdown(wait=False)

    async def _mend(self) -> None:
        attempts = 0
        while not (damaged := self._versions.present.catalog).is_intact:
            try:
                found = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._find, damaged.info
                )
            except FetchCancelled:
                return
            except (DataError, LookupFailed) as error:
                logger.warning("catalog %s is damaged: %s", damaged.info.version, error)
                await asyncio.sleep(MEND_BACKOFF.wait_s(attempts, self._random.random()))
                attempts += 1
                continue
            if self._versions.present.catalog is damaged:
                self._versions.switch(found)
                logger.warning("catalog %s was damaged, and is served anew", found.info.version)

    def _find(self, wanted: CatalogInfo) -> Catalog:
        """That catalog: where it was, from the worker's own records, or from the master."""
        looks: list[Callable[[], CatalogInfo | str]] = [lambda: wanted.path]
        if self._records is not None:
            looks.append(self._records)
        for look in looks:
            try:
                place = look()
                found = open_catalog(place if isinstance(place, str) else place.path)
            except DataError as error:
                logger.debug("not there: %s", error)
                continue
            if found.info.version == wanted.version:
                return found
            found.close()
        self._fetcher = self._make_fetcher()
        return open_catalog(self._fetcher.fetch(wanted.version).path)
