"""A worker: its port, its catalogs, and its registration, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import secrets
from collections.abc import Callable

import msgspec

from nodes.catalog import Catalog, CatalogInfo
from nodes.security.cursors import Cursors
from nodes.security.tls import Tls
from nodes.support.addresses import Address
from nodes.support.slices import complete
from nodes.support.version import VERSION
from nodes.transport import Limits, LoopThread, Server
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    Registered,
    Registration,
    describe,
    new_instance,
)
from nodes.worker.access import WorkerAccess
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters
from nodes.worker.fetching import CatalogFetcher
from nodes.worker.following import CatalogFollower
from nodes.worker.mending import CatalogMender, Records
from nodes.worker.registration import RegistrationKeeper
from nodes.worker.service import DirectService, Lookups, MasterFacingService
from nodes.worker.warmup import warm_up

logger = logging.getLogger("rollcall.worker")

STOP_S = 2.0
"""Seconds that the end of a registration may take when the worker stops."""

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
        advertise: where clients find it, where that is not where it listens.
        follows: whether it gets what its master serves by itself, whenever that is another.
        records: finds or builds the catalog of the records that it was started with; None if it
            has none.

    Attributes:
        server: its port, for its master and for direct clients.
        registration: with its master.
        loop: the thread that all of it runs on.

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
        follows: bool = False,
        records: Records | None = None,
        advertise: Address | None = None,
    ) -> None:
        self._access = WorkerAccess(instance or new_instance())
        self._versions = CatalogVersions(catalog)
        self._lookups = Lookups(self._versions, Counters())
        self.server = Server(
            lambda: DirectService(self._lookups, self._access),
            host=host,
            port=port,
            limits=CONNECTION_LIMITS,
            tls=None if tls is None else tls.listening(),
        )
        request = Registration(
            instance=self._access.instance,
            wanted_id=wanted_id,
            host=advertise.host if advertise else host,
            port=advertise.port if advertise else self.server.address[1],
            pid=os.getpid(),
            catalog=describe(catalog.info),
            advertised=advertise is not None,
            program=VERSION,
        )
        to_master = None if tls is None else tls.to_master()
        self._follows = follows
        make_fetcher = functools.partial(CatalogFetcher, master=master, token=token, tls=to_master)
        self._follower = CatalogFollower(self._versions, make_fetcher, self._switched)
        self._mender = CatalogMender(self._versions, make_fetcher, records)
        self._versions.mend = self._mender.mend
        self.registration = RegistrationKeeper(
            request,
            master=master,
            token=token,
            make_service=lambda: MasterFacingService(
                self._lookups,
                retire=self._retire,
                prepare=self._follower.prepare,
                switch=self._follower.switch,
            ),
            on_registered=self._registered,
            tls=to_master,
        )
        self.loop = LoopThread("worker")
        self._running: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """The worker's id, as its master gave it."""
        return self.registration.id

    def start(self) -> None:
        """Warms up, listens, then registers in the background; see `RegistrationKeeper.settled`."""
        self.loop.start()
        self.loop.run(self._start())

    async def _start(self) -> None:
        await complete(warm_up(self._lookups, self._versions))
        self.server.start()
        self._running = self.loop.loop.create_task(self.registration.run())

    def drain(self) -> None:
        """Leaves the master once its last lookups are answered; see `RegistrationKeeper.leave`.

        Safe to call from a signal handler, and more than once.
        """
        with contextlib.suppress(RuntimeError):  # it has stopped
            self.loop.loop.call_soon_threadsafe(self.registration.leave)

    def stop(self) -> None:
        """Answers the direct clients, then closes everything."""
        if self._running is not None:
            self.loop.run(self._end())
        self.loop.stop()
        self.server.leave_port()

    async def _end(self) -> None:
        self.registration.leave()
        self._mender.close()
        await self._follower.close()
        await self.server.finish(LOOKUP_TIMEOUT_S)
        await self.server.stop()
        if self._running is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._running, STOP_S)
        self._versions.close()

    def _registered(self, registered: Registered) -> None:
        # If the master hands out no key, a page goes on at this worker only.
        key = registered.cursor_key or secrets.token_hex(32)
        self._versions.cursors = Cursors(bytes.fromhex(key))
        self._access.is_open = not registered.require_token
        if self._follows and registered.serves:
            self._follower.follow(registered.serves)

    def _retire(self) -> bool:
        """The verb by which the master has the worker drain."""
        self.registration.leave()
        return True

    def _switched(self, info: CatalogInfo) -> None:
        keeper = self.registration
        keeper.request = msgspec.structs.replace(keeper.request, catalog=describe(info))
