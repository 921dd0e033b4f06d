"""A worker: listens, registers with its master, and stays registered until it leaves."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import select
import socket
import threading
from collections.abc import Callable
from random import Random

import msgspec

from nodes.catalog import Catalog
from nodes.errors import (
    Conflict,
    DataError,
    Forbidden,
    LookupFailed,
    MasterLost,
    NotPossible,
)
from nodes.security.cursors import Cursors
from nodes.security.tls import Tls
from nodes.support.backoff import Backoff
from nodes.transport import Lane, Limits, Server, TransportError
from nodes.wire import (
    DEADLINE,
    Registered,
    Registration,
    WorkerRefusal,
    decode_envelope,
    describe,
    direct_key,
    new_instance,
)
from nodes.worker.catalogs import CatalogVersions
from nodes.worker.counters import Counters
from nodes.worker.service import WorkerService

logger = logging.getLogger("rollcall.worker")

REGISTER_BACKOFF = Backoff(first_s=0.1, factor=1.2, longest_s=2.0)
"""Between attempts to register. The waits grow slowly, so that a master that is back within a
second is found soon after; and however long it was away, all its workers are back within 3 s."""

RENEW_EVERY_S = 10.0
"""Seconds between signs of life on the registration, and the time one may take."""


class WorkerServer:
    """The worker process's parts, started and stopped together.

    Args:
        catalog: what it serves.
        master: host and port to register with.
        token: asked for a worker's token before each registration, as it may change.
        host, port: where it listens; port 0 lets the system choose.
        wanted_id: the id it asks for, "" for any.
        tls: a worker's certificates; None for no TLS.
        instance: the secret by which its launcher knows it, "" for one of its own.

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
        random: Random | None = None,
        tls: Tls | None = None,
        instance: str = "",
    ) -> None:
        self._master = master
        self._token = token
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._tls = None if tls is None else tls.to_master()
        self._instance = instance or new_instance()
        self._open = False
        """Lookups need no token: its master has said so. Until then, nobody else is answered."""
        self._versions = CatalogVersions(catalog)
        counters = Counters()
        # Lanes of a master that is gone would be kept for an hour; a live one redials.
        self.server = Server(
            lambda: WorkerService(
                self._versions,
                counters,
                is_master=self._is_ours,
                is_keyed=self._is_direct_key,
                is_open=lambda: self._open,
                retire=self._asked_to_retire,
                switch=self._asked_to_switch,
                secure=tls is not None,
            ),
            host=host,
            port=port,
            limits=Limits(idle=300.0),
            name="worker",
            tls=None if tls is None else tls.listening(),
        )
        self._registration = Registration(
            instance=self._instance,
            wanted_id=wanted_id,
            host=host,
            port=self.server.address[1],
            pid=os.getpid(),
            catalog=describe(catalog.info),
        )
        self.id = wanted_id
        self.ready = False
        self.unready = ""
        self.done = threading.Event()
        self.settled = threading.Event()
        self.refusal: LookupFailed | None = None
        self._leaving = threading.Event()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        """Listens, then registers in the background; `settled` is set once the master has
        taken it (`ready`), or refused it (`refusal`), or it leaves.
        """
        self.server.start()
        self._thread.start()

    def drain(self) -> None:
        """Asks the master for no more lookups, answers what is under way, then is `done`.

        Safe to call from a signal handler, and more than once.
        """
        self._leaving.set()
        self._wake_write.send(b"x")

    def stop(self) -> None:
        """Answers those who ask it themselves, then closes everything."""
        self.drain()
        self.server.finish(DEADLINE)
        self.server.stop()
        self._thread.join(2.0)
        self._wake_read.close()
        self._wake_write.close()

    def _asked_to_retire(self, instance: object) -> bool:
        """The verb by which the master, who alone knows `instance`, has the worker drain."""
        known = self._is_ours(instance)
        if known:
            self.drain()
        return known

    def _asked_to_switch(self, instance: object, path: object) -> str | WorkerRefusal:
        """The verb by which the master has the worker serve another catalog of its dataset,
        from the next lookup on. Returns the version, or why it goes on with the old one.
        """
        if not self._is_ours(instance) or type(path) is not str:
            return (Forbidden.code, "only the master of this worker may ask that")
        try:
            catalog = Catalog.open(path)
        except DataError as error:
            logger.warning("goes on with what it serves: %s", error)
            return (NotPossible.code, str(error))
        if catalog.info.name != self._versions.catalog.info.name:
            return (Conflict.code, f"{path} is of the dataset {catalog.info.name!r}")
        self._versions.switch(catalog)
        self._registration = msgspec.structs.replace(
            self._registration, catalog=describe(catalog.info)
        )
        logger.info("serves catalog %s", catalog.info.version)
        return catalog.info.version

    def _is_ours(self, instance: object) -> bool:
        return _same(instance, self._instance)

    def _is_direct_key(self, key: object) -> bool:
        return _same(key, direct_key(self._instance))

    # -- registration -----------------------------------------------------------

    def _run(self) -> None:
        attempts = 0
        try:
            while not self._leaving.is_set():
                try:
                    with Lane.dial(*self._master, timeout=1.0, tls=self._tls) as lane:
                        self._register(lane)
                        attempts = 0
                        self._stay(lane)
                except (TransportError, MasterLost) as error:
                    logger.info("master %s:%d: %s", *self._master, error)
                except LookupFailed as refusal:
                    logger.warning("not registered: %s", refusal)
                    if not self.ready:
                        self.refusal = refusal
                        return
                self._sleep(REGISTER_BACKOFF.wait_s(attempts, self._random.random()))
                attempts += 1
        finally:
            self.settled.set()
            self.done.set()

    def _sleep(self, seconds: float) -> None:
        if not self._leaving.is_set():
            select.select([self._wake_read], [], [], seconds)

    def _ask(self, lane: Lane, verb: str, *args: str) -> object:
        reply = lane.call(verb, *args, timeout=RENEW_EVERY_S)
        if type(reply) is not str:
            raise MasterLost("the master answered with something else than an envelope")
        try:
            return decode_envelope(reply).checked().result
        except msgspec.MsgspecError as error:
            raise MasterLost(f"the master's answer cannot be read: {error}") from error

    def _register(self, lane: Lane) -> None:
        self._ask(lane, "login", self._token() or "")
        text = msgspec.json.encode(msgspec.structs.replace(self._registration, wanted_id=self.id))
        result = self._ask(lane, "register", text.decode())
        registered = msgspec.convert(result, Registered)
        # Where the master hands out none, a page goes on at this worker only.
        key = registered.cursor_key or secrets.token_hex(32)
        self._versions.sign_with(Cursors(bytes.fromhex(key)))
        self.id, self._open = registered.id, not registered.require_token
        self.unready = registered.unready
        if self.unready:
            logger.warning("registered as %s, and sent no lookups: %s", self.id, self.unready)
        self.ready = True
        self.settled.set()

    def _stay(self, lane: Lane) -> None:
        """Keeps the registration until the master goes, or until this worker leaves."""
        while not self._leaving.is_set():
            ends: list[Lane | socket.socket] = [lane, self._wake_read]
            readable, _, _ = select.select(ends, [], [], RENEW_EVERY_S)
            if lane in readable and lane.wait_closed(0.0):
                return
            if not readable and self._ask(lane, "renew") is not True:
                return
        # The master counts lookups before it sends them: at zero, none is on its way.
        while self._ask(lane, "leave") != 0:
            if lane.wait_closed(0.02):
                return


def _same(given: object, secret: str) -> bool:
    """Compares in constant time; anything but a str is wrong."""
    return type(given) is str and hmac.compare_digest(
        given.encode("utf-8", "replace"), secret.encode()
    )
