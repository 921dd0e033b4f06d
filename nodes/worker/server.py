"""A worker: its port, its catalogs, and its registration, started and stopped together."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable

import msgspec

from nodes.catalog import Catalog
from nodes.errors import Conflict, DataError, Forbidden, NotPossible
from nodes.security.cursors import Cursors
from nodes.security.tls import Tls
from nodes.transport import Limits, Server
from nodes.wire import (
    DEADLINE,
    Registered,
    Registration,
    WorkerRefusal,
    describe,
    new_instance,
)
from nodes.worker.access import WorkerAccess
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters
from nodes.worker.registration import RegistrationKeeper
from nodes.worker.service import WorkerService

logger = logging.getLogger("rollcall.worker")

CONNECTION_LIMITS = Limits(idle=300.0)
"""Connections of a master that is gone are closed after five minutes, not an hour. A master that
is there dials again."""


class WorkerServer:
    """The parts of a worker process.

    Args:
        catalog: what it serves.
        master: host and port to register with.
        token: asked for a worker's token before each registration, as it may change.
        host, port: where it listens; port 0 lets the system choose.
        wanted_id: the id it asks for, "" for any.
        tls: a worker's certificates; None for no TLS.
        instance: the secret by which its launcher knows it, "" for one of its own.

    Attributes:
        server: its port, for its master and for direct clients.
        registration: with its master.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        master: tuple[str, int],
        token: Callable[[], str | None],
        host: str = "127.0.0.1",
        port: int = 0,
        wanted_id: str = "",
        tls: Tls | None = None,
        instance: str = "",
    ) -> None:
        self._access = WorkerAccess(instance or new_instance())
        self._versions = CatalogVersions(catalog)
        self._counters = Counters()
        self._secure = tls is not None
        self.server = Server(
            self._make_service,
            host=host,
            port=port,
            limits=CONNECTION_LIMITS,
            name="worker",
            tls=None if tls is None else tls.listening(),
        )
        request = Registration(
            instance=self._access.instance,
            wanted_id=wanted_id,
            host=host,
            port=self.server.address[1],
            pid=os.getpid(),
            catalog=describe(catalog.info),
        )
        self.registration = RegistrationKeeper(
            request,
            master=master,
            token=token,
            on_registered=self._registered,
            tls=None if tls is None else tls.to_master(),
        )

    @property
    def id(self) -> str:
        """The worker's id, as its master gave it."""
        return self.registration.id

    def start(self) -> None:
        """Listens, then registers in the background; see `RegistrationKeeper.settled`."""
        self.server.start()
        self.registration.start()

    def drain(self) -> None:
        """Leaves the master once its last lookups are answered; see `RegistrationKeeper.leave`."""
        self.registration.leave()

    def stop(self) -> None:
        """Answers the direct clients, then closes everything."""
        self.drain()
        self.server.finish(DEADLINE)
        self.server.stop()
        self.registration.stop()

    def _make_service(self) -> WorkerService:
        return WorkerService(
            self._versions,
            self._counters,
            self._access,
            retire=self._retire,
            switch=self._switch,
            secure=self._secure,
        )

    def _registered(self, registered: Registered) -> None:
        # If the master hands out no key, a page goes on at this worker only.
        key = registered.cursor_key or secrets.token_hex(32)
        self._versions.sign_with(Cursors(bytes.fromhex(key)))
        self._access.is_open = not registered.require_token

    def _retire(self, instance: object) -> bool:
        """The verb by which the master, who alone knows `instance`, has the worker drain."""
        known = self._access.is_master(instance)
        if known:
            self.drain()
        return known

    def _switch(self, instance: object, path: object) -> str | WorkerRefusal:
        """The verb by which the master has the worker serve another catalog of its dataset from
        the next lookup on. Returns its version, or why the worker goes on with the present one.
        """
        if not self._access.is_master(instance) or type(path) is not str:
            return (Forbidden.code, "only the master of this worker may ask that")
        try:
            catalog = Catalog.open(path)
        except DataError as error:
            logger.warning("goes on with what it serves: %s", error)
            return (NotPossible.code, str(error))
        if catalog.info.name != self._versions.catalog.info.name:
            return (Conflict.code, f"{path} is of the dataset {catalog.info.name!r}")
        self._versions.switch(catalog)
        keeper = self.registration
        keeper.request = msgspec.structs.replace(keeper.request, catalog=describe(catalog.info))
        logger.info("serves catalog %s", catalog.info.version)
        return catalog.info.version
