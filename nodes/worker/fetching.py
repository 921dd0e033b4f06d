"""Catalogs fetched from the master into this machine's cache: resumed, shared, verified."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TypeVar

import msgspec

from nodes.catalog import (
    CatalogInfo,
    PartialCatalog,
    Progress,
    bytes_so_far,
    cached_catalog,
    open_catalog,
    partial_catalog,
)
from nodes.errors import DataError, MasterLost, NotPossible, Overloaded, Stopping
from nodes.support.addresses import Address
from nodes.support.backoff import Backoff
from nodes.transport import Lane, RemoteFailure, Secure, TransportError
from nodes.wire import MAX_CATALOG_PART_BYTES, CatalogOffer, FetchProgress
from nodes.worker.master_replies import checked_result

FETCH_LOGGER = "rollcall.worker.fetch"
"""What logs how far it is. A launcher hears by it that its worker gets on."""

logger = logging.getLogger(FETCH_LOGGER)

T = TypeVar("T")

FETCH_BACKOFF = Backoff(first_s=0.1, factor=1.5, longest_s=5.0)
"""Between attempts to go on, since the last part that came."""

DIAL_TIMEOUT_S = 3.0
CALL_TIMEOUT_S = 20.0
"""Seconds for a connection, and for one call on it: a part waits for its turn at the master."""

MAX_DAMAGED = 3
"""How often a catalog may come in full and not be what was offered."""

LOOK_AGAIN_S = 0.2
"""Seconds between two looks at what another process of this machine fetches."""

TELL_EVERY_S = 5.0
"""Seconds between two lines in the log on how far it is."""


class FetchCancelled(Exception):  # noqa: N818 - asked for
    """What was to be fetched is wanted no more."""


class CatalogFetcher:
    """Fetches one catalog from the master. Blocking; only `cancel` is for other threads.

    Args:
        master: host and port.
        token: asked for a worker's token on each connection, as it may change.
        tls: how the master is checked; None for no TLS.
        cache: the cache directory, by default the user's.
        progressed: told of the stage "fetch", which counts bytes.

    Attributes:
        progress: how far it is.
    """

    def __init__(
        self,
        *,
        master: tuple[str, int],
        token: Callable[[], str | None],
        tls: Secure | None = None,
        cache: Path | None = None,
        progressed: Progress | None = None,
    ) -> None:
        self.progress: FetchProgress = (0, 0)
        self._master = master
        self._token = token
        self._tls = tls
        self._cache = cache
        self._progressed = progressed
        self._random = Random()  # noqa: S311 - jitter, no secret
        self._cancelled = threading.Event()
        self._lane: Lane | None = None
        self._attempts = 0
        self._damaged = 0
        self._told_at = 0.0

    def fetch(self, version: str = "") -> CatalogInfo:
        """A catalog in this machine's cache, fetched if it is not there. Goes on for as long as it
        takes, whatever becomes of connections and masters. Once only.

        Args:
            version: of the catalog, "" for the one that the master serves.

        Raises:
            LookupFailed: the master refuses; nobody but an operator can change that. Or the store
                in which the catalog lies is down.
            DataError: it cannot be kept here, or is damaged again and again.
            FetchCancelled: see `cancel`.
        """
        found = cached_catalog(version, cache=self._cache) if version else None
        while found is None:
            self._check()
            try:
                with closing(self._dial()) as lane:
                    found = self._fetch(lane, version)
                    break
            except RemoteFailure as error:
                if error.kind == "AttributeError":
                    raise NotPossible(
                        "the master is an older one, which gives its records to nobody"
                    ) from error
                why: object = error
            except (TransportError, MasterLost, Stopping) as error:
                why = error
            self._check()
            logger.info("the catalog of %s: %s", Address(*self._master), why)
            self._pause(FETCH_BACKOFF.wait_s(self._attempts, self._random.random()))
            self._attempts += 1
        return found

    def cancel(self) -> None:
        """Has `fetch` end; from any thread."""
        self._cancelled.set()
        lane = self._lane
        if lane is not None:
            lane.abort()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise FetchCancelled

    def _pause(self, seconds: float) -> None:
        self._cancelled.wait(seconds)
        self._check()

    def _dial(self) -> Lane:
        lane = self._lane = Lane.dial(*self._master, timeout=DIAL_TIMEOUT_S, tls=self._tls)
        try:
            self._check()  # or it would not hear that it was cancelled just before
            checked_result(lane.call("login", self._token() or "", timeout=CALL_TIMEOUT_S))
        except BaseException:
            lane.close()
            raise
        return lane

    def _fetch(self, lane: Lane, version: str) -> CatalogInfo:
        result = self._patiently(
            lambda: checked_result(lane.call("catalog_offer", version, timeout=CALL_TIMEOUT_S))
        )
        try:
            offer = msgspec.convert(result, CatalogOffer)
        except msgspec.ValidationError as error:
            raise MasterLost(f"the master's offer cannot be read: {error}") from error
        if offer.store:
            return open_catalog(offer.store).info
        while (found := cached_catalog(offer.version, cache=self._cache)) is None:
            self._check()
            with partial_catalog(
                offer.version, digest=offer.digest, size=offer.bytes, cache=self._cache
            ) as partial:
                if partial is not None:
                    self._complete(lane, offer, partial)
                    continue
            so_far = bytes_so_far(offer.version, digest=offer.digest, cache=self._cache)
            self._note(offer, so_far)
            self._pause(LOOK_AGAIN_S)
        self.progress = (offer.bytes, offer.bytes)
        return found

    def _complete(self, lane: Lane, offer: CatalogOffer, partial: PartialCatalog) -> None:
        """Fetches what is missing, and gives the catalog its name."""
        partial.check_room()
        if partial.have < partial.size:
            logger.info(
                "fetches catalog %s from %s:%d: %s bytes, %s are here",
                *(offer.version, *self._master, f"{offer.bytes:,}", f"{partial.have:,}"),
            )
        while partial.have < partial.size and partial.in_place:
            self._note(offer, partial.have)
            partial.add(self._part(lane, offer, partial.have))
            self._attempts = 0
            self._check()
        self._note(offer, partial.have)
        if partial.have == partial.size and partial.finish(stopped=self._cancelled.is_set):
            logger.info("catalog %s is here", offer.version)
            return
        self._check()
        if not partial.in_place:
            logger.warning("the folder of catalog %s was removed; it is made anew", offer.version)
            return
        self._damaged += 1
        logger.warning("what came of catalog %s is damaged, and thrown away", offer.version)
        if self._damaged >= MAX_DAMAGED:
            raise DataError(
                f"catalog {offer.version} came damaged from {self._master[0]}:{self._master[1]},"
                f" {MAX_DAMAGED} times: something on the way, or a disk, changes what is sent"
            )

    def _part(self, lane: Lane, offer: CatalogOffer, offset: int) -> bytes:
        def ask() -> bytes:
            part = lane.call("catalog_part", offer.version, offset, timeout=CALL_TIMEOUT_S)
            if type(part) is not bytes:
                checked_result(part)
                raise MasterLost("the master answered with something else than a part")
            if not 0 < len(part) <= min(MAX_CATALOG_PART_BYTES, offer.bytes - offset):
                raise MasterLost(f"the master sent {len(part)} bytes, which is no part")
            return part

        try:
            return self._patiently(ask)
        except NotPossible as error:
            # Its offer does not hold any more; the next one says what does.
            raise MasterLost(error.message) from error

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Asks again for as long as the master has too much to do."""
        while True:
            try:
                return ask()
            except Overloaded as busy:
                self._pause((busy.retry_after_ms or 200) / 1000)

    def _note(self, offer: CatalogOffer, have: int) -> None:
        self.progress = (have, offer.bytes)
        if self._progressed is not None:
            self._progressed("fetch", have, offer.bytes)
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            logger.info(
                "catalog %s: %d %% of %s bytes",
                *(offer.version, have * 100 // offer.bytes, f"{offer.bytes:,}"),
            )
