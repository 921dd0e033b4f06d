"""A worker's registration: made, kept for as long as its master is there, and made anew."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from random import Random

import msgspec

from nodes.errors import LookupFailed, MasterLost
from nodes.support.backoff import Backoff
from nodes.transport import Lane, Secure, TransportError
from nodes.wire import Registered, Registration, decode_envelope

logger = logging.getLogger("rollcall.worker")

REGISTER_BACKOFF = Backoff(first_s=0.1, factor=1.2, longest_s=2.0)
"""Between attempts to register. The waits grow slowly, so that a master that is back within a
second is found soon after; and however long it was away, all its workers are back within 3 s."""

RENEW_EVERY_S = 10.0
"""Seconds between signs of life on the registration, and the time one may take."""


class RegistrationKeeper:
    """A thread that registers a worker with its master, and registers it again if the master was
    away. A registration lasts as long as the connection it came on.

    Args:
        request: what the worker says of itself.
        master: host and port to register with.
        token: asked for a worker's token before each registration, as it may change.
        on_registered: called with the master's answer to each registration.
        tls: how the master is checked; None for no TLS.

    Attributes:
        request: as above; the next registration sends what is here then.
        id: the worker's id, as the master gave it.
        ready: whether the master has ever taken the registration.
        unready: why a registered worker is sent no lookups; "" if it is sent them.
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
        on_registered: Callable[[Registered], None],
        tls: Secure | None = None,
        random: Random | None = None,
    ) -> None:
        self.request = request
        self._master = master
        self._token = token
        self._on_registered = on_registered
        self._tls = tls
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self.id = request.wanted_id
        self.ready = False
        self.unready = ""
        self.refusal: LookupFailed | None = None
        self.settled = threading.Event()
        self.done = threading.Event()
        self._leaving = threading.Event()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        """Begins to register."""
        self._thread.start()

    def leave(self) -> None:
        """Asks the master for no more lookups, waits until it has sent the last, then is `done`.

        Safe to call from a signal handler, and more than once.
        """
        self._leaving.set()
        self._wake_write.send(b"x")

    def stop(self) -> None:
        """Leaves, and ends the thread."""
        self.leave()
        self._thread.join(2.0)
        self._wake_read.close()
        self._wake_write.close()

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
        text = msgspec.json.encode(msgspec.structs.replace(self.request, wanted_id=self.id))
        result = self._ask(lane, "register", text.decode())
        registered = msgspec.convert(result, Registered)
        self._on_registered(registered)
        self.id = registered.id
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
