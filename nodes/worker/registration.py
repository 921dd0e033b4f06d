"""A worker's registration: made, kept for as long as its master is there, and made anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from random import Random

import msgspec

from nodes.errors import LookupFailed, MasterLost
from nodes.support.addresses import Address
from nodes.support.backoff import Backoff
from nodes.support.program import other_program
from nodes.support.supervision import Supervision, supervised
from nodes.transport import Connection, Secure, Service, TransportError, dial
from nodes.wire import Registered, Registration
from nodes.worker.master_replies import checked_result

logger = logging.getLogger("rollcall.worker")

REGISTER_BACKOFF = Backoff(first_s=0.1, factor=1.2, longest_s=2.0)
"""Between attempts to register. The waits grow slowly, so that a master that is back within a
second is found soon after; and however long it was away, all its workers are back within 3 s."""

RENEW_EVERY_S = 10.0
"""Seconds between signs of life on the registration, and the time one may take."""

GOODBYE_S = 0.5
"""Seconds that the end of a connection may take, for what is still to be sent and for TLS."""

LAST_LOOK_S = 0.02
"""Seconds between two questions whether the last lookup is answered, when the worker leaves."""


class RegistrationKeeper:
    """Registers a worker with its master, and registers it again if the master was away.

    The registration lasts as long as the connection that it came on, and the master asks lookups
    on that connection. To be run on an event loop.

    Args:
        request: what the worker says of itself.
        master: host and port to register with.
        token: asked for a worker's token before each registration, as it may change.
        make_service: called for each connection, for what answers the master.
        on_registered: called with the master's answer to each registration.
        tls: how the master is checked; None for no TLS.

    Attributes:
        request: as above; the next registration sends what is here then.
        id: the worker's id, as the master gave it.
        ready: whether the master has ever taken the registration.
        unready: why a registered worker is sent no lookups; "" if it is sent them.
        status: how it stands, in words.
        refusal: why the master did not take the first registration.
        settled: set once it was taken or refused, or will not be made.
        done: set once there will be no registration any more.
    """

    def __init__(
        self,
        request: Registration,
        *,
        master: tuple[str, int],
        token: Callable[[], str | None],
        make_service: Callable[[], Service],
        on_registered: Callable[[Registered], None],
        tls: Secure | None = None,
        random: Random | None = None,
    ) -> None:
        self.request = request
        self._master = master
        self._token = token
        self._make_service = make_service
        self._on_registered = on_registered
        self._tls = tls
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self.id = request.wanted_id
        self.ready = False
        self.unready = ""
        self.status = "not registered yet"
        self.refusal: LookupFailed | None = None
        self.settled = threading.Event()
        self.done = threading.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Asks the master for no more lookups, waits until it has sent the last, then is `done`.
        Called on the loop; harmless when done before.
        """
        self._leaving.set()

    async def run(self) -> None:
        """Registers, until the worker leaves or the master refuses its first registration."""
        supervision = Supervision("the registration", backoff=REGISTER_BACKOFF)
        try:
            await supervised(self._keep_registered, supervision, self._leaving)
        finally:
            self.settled.set()
            self.done.set()

    async def _keep_registered(self) -> None:
        attempts = 0
        while not self._leaving.is_set():
            try:
                connection = await dial(*self._master, service=self._make_service(), tls=self._tls)
                try:
                    await self._register(connection)
                    attempts = 0
                    await self._stay(connection)
                finally:
                    await _end(connection)
            except (TransportError, MasterLost) as error:
                logger.info("master %s: %s", Address(*self._master), error)
                self.status = f"not registered: master {Address(*self._master)}: {error}"
            except LookupFailed as refusal:
                logger.warning("not registered: %s", refusal)
                self.status = f"not registered: {refusal}"
                if not self.ready:
                    self.refusal = refusal
                    return
            await self._pause(REGISTER_BACKOFF.wait_s(attempts, self._random.random()))
            attempts += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)

    async def _ask(self, connection: Connection, verb: str, *args: str) -> object:
        reply = await connection.call(verb, *args, timeout_s=RENEW_EVERY_S)
        return checked_result(reply)

    async def _register(self, connection: Connection) -> None:
        await self._ask(connection, "login", self._token() or "")
        text = msgspec.json.encode(msgspec.structs.replace(self.request, wanted_id=self.id))
        result = await self._ask(connection, "register", text.decode())
        registered = msgspec.convert(result, Registered)
        self._on_registered(registered)
        self.id = registered.id
        self.unready = registered.unready
        if self.unready:
            logger.warning("registered as %s, and sent no lookups: %s", self.id, self.unready)
        if difference := other_program("the master", registered.program):
            logger.warning("%s", difference)
        where = f"{self.id}, registered with {Address(*self._master)}"
        self.status = f"unready: {where}: {self.unready}" if self.unready else f"ready: {where}"
        self.ready = True
        self.settled.set()

    async def _stay(self, connection: Connection) -> None:
        """Keeps the registration until the master goes, or until this worker leaves."""
        loop = asyncio.get_running_loop()
        ended = loop.create_task(connection.wait_ended())
        leaving = loop.create_task(self._leaving.wait())
        try:
            while not self._leaving.is_set():
                done, _ = await asyncio.wait(
                    (ended, leaving),
                    timeout=RENEW_EVERY_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if ended in done:
                    return
                if not done and await self._ask(connection, "renew") is not True:
                    return
            # The master counts lookups before it sends them: at zero, none is on its way.
            while not ended.done() and await self._ask(connection, "leave") != 0:
                await asyncio.sleep(LAST_LOOK_S)
        finally:
            ended.cancel()
            leaving.cancel()


async def _end(connection: Connection) -> None:
    """Ends a connection, and waits until it has ended: not for long."""
    connection.close()
    try:
        await asyncio.wait_for(connection.wait_ended(), GOODBYE_S)
    except TimeoutError:
        connection.abort()
        await connection.wait_ended()
