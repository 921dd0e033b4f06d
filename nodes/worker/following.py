"""A worker's catalog follows its master's: got by its version, in the background, then served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nodes.catalog import Catalog, CatalogInfo, open_catalog, path_of_version
from nodes.errors import BadRequest, Conflict, DataError, LookupFailed, NotPossible
from nodes.support.supervision import Supervision, supervised
from nodes.wire import FetchProgress, WorkerRefusal, is_version
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.fetching import CatalogFetcher, FetchCancelled

logger = logging.getLogger("rollcall.worker")

REPORT_AFTER_S = 0.5
"""Seconds after which a master that waits for a catalog is told how far it is."""

FOLLOW_AGAIN_S = 15.0
"""Seconds after which a worker that follows by itself tries again what it could not do."""

CLOSE_S = 2.0
"""Seconds that the end of what is under way may take."""

Outcome = str | WorkerRefusal
"""The version of a catalog that is there, or why it is not."""


class _Getting:
    """A catalog that is got.

    Attributes:
        told: whether the master has heard what came of it.
    """

    def __init__(
        self, version: str, fetcher: CatalogFetcher, outcome: asyncio.Task[Outcome]
    ) -> None:
        self.version = version
        self.fetcher = fetcher
        self.outcome = outcome
        self.told = False


class CatalogFollower:
    """Gets the catalogs that a master names, and has them served. For the worker's loop; files and
    the network are for a thread beside it.

    Args:
        versions: what the worker reads from.
        make_fetcher: makes what gets a catalog that is not on this machine.
        switched: told of the catalog that is served from now on.
    """

    def __init__(
        self,
        versions: CatalogVersions,
        make_fetcher: Callable[[], CatalogFetcher],
        switched: Callable[[CatalogInfo], None],
    ) -> None:
        self._versions = versions
        self._make_fetcher = make_fetcher
        self._switched = switched
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalog")
        self._getting: _Getting | None = None
        self._ready: Catalog | None = None
        self._wanted = ""
        self._following: asyncio.Task[None] | None = None

    async def prepare(self, version: object) -> Outcome | FetchProgress:
        """The verb by which the master has the worker get a catalog. Returns its version once it is
        there, how far it is, or why it will not be there.
        """
        if not is_version(version):
            return (BadRequest.code, "a version is letters and digits")
        if version == self._versions.present.version or self._is_ready(version):
            return version
        getting = self._get(version)
        await asyncio.wait({getting.outcome}, timeout=REPORT_AFTER_S)
        if not getting.outcome.done():
            return getting.fetcher.progress
        getting.told = True
        return getting.outcome.result()

    async def switch(self, version: object) -> Outcome | FetchProgress:
        """The verb by which the master has the worker serve another catalog of its dataset, from
        the next lookup on or, where it has to be fetched, as soon as it is there.
        """
        if is_version(version):
            self._wanted = version
        said = await self.prepare(version)
        self._serve()
        return said

    def follow(self, version: str) -> None:
        """Gets that catalog and serves it, and tries again until it does."""
        if self._following is not None:
            self._following.cancel()
        self._wanted = version
        work = supervised(lambda: self._follow(version), Supervision("following the master"))
        self._following = asyncio.get_running_loop().create_task(work)

    async def close(self) -> None:
        """Ends what is under way."""
        if self._following is not None:
            self._following.cancel()
        if self._getting is not None:
            self._getting.fetcher.cancel()
            await asyncio.wait({self._getting.outcome}, timeout=CLOSE_S)
        self._thread.shutdown(wait=False)

    async def _follow(self, version: str) -> None:
        while self._wanted == version != self._versions.present.version:
            said = await self.switch(version)
            if isinstance(said, tuple) and isinstance(said[0], str):
                logger.warning("serves another catalog than its master, and tries again to follow")
                await asyncio.sleep(FOLLOW_AGAIN_S)

    def _is_ready(self, version: str) -> bool:
        return self._ready is not None and self._ready.info.version == version

    def _get(self, version: str) -> _Getting:
        """What gets that catalog: it is under way, has ended unheard, or begins now."""
        getting = self._getting
        if getting is not None:
            if getting.version == version and not getting.told:
                return getting
            getting.fetcher.cancel()
        fetcher = self._make_fetcher()
        work = self._bring(version, fetcher)
        outcome = asyncio.get_running_loop().create_task(work)
        self._getting = getting = _Getting(version, fetcher, outcome)
        return getting

    async def _bring(self, version: str, fetcher: CatalogFetcher) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            self._ready = await loop.run_in_executor(self._thread, self._open, version, fetcher)
        except FetchCancelled:
            return (NotPossible.code, "another catalog is to be served by now")
        except (DataError, LookupFailed) as error:
            logger.warning("goes on with what it serves: %s", error)
            code = error.code if isinstance(error, LookupFailed) else NotPossible.code
            return (code, str(error))
        self._serve()
        return version

    def _open(self, version: str, fetcher: CatalogFetcher) -> Catalog:
        """The catalog of that version: beside the present one (in its folder, or its store), in the
        cache, or from the master.
        """
        present = self._versions.present.catalog.info
        beside = path_of_version(present.path, version)
        found = None
        with contextlib.suppress(DataError):
            found = open_catalog(beside)
        if found is None or found.info.version != version:
            found = open_catalog(fetcher.fetch(version).path)
        if found.info.name != present.name:
            raise Conflict(f"catalog {version} is of the dataset {found.info.name!r}")
        return found

    def _serve(self) -> None:
        """Serves what is ready, if that is what is wanted."""
        ready = self._ready
        if ready is None or ready.info.version != self._wanted:
            return
        self._ready = None
        self._versions.switch(ready)
        self._switched(ready.info)
        logger.info("serves catalog %s", ready.info.version)
