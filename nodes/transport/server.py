"""Listens on an event loop, and serves each connection that speaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from collections.abc import Callable

import msgspec

from nodes.support.silence import Absence
from nodes.support.supervision import RepeatingTimer, Supervision
from nodes.transport.connection import Connection
from nodes.transport.eviction import Descriptors, Kept, descriptors_left
from nodes.transport.holdings import Holdings
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.listener import Listener, listening_socket
from nodes.transport.local_sockets import LOOPBACK, listen_locally
from nodes.transport.peer import Peer
from nodes.transport.places import Places
from nodes.transport.service import Service
from nodes.transport.tls import AlertingObject, shaking_hands

logger = logging.getLogger("rollcall.transport")

NOTE_EVERY_S = 60.0
"""Seconds between two lines that say there are too many connections."""

BEAT_S = 0.25
"""Seconds, at most, between two looks at who is too slow, and whether this process runs."""

TURN_EVERY_S = 0.02
"""Seconds between two looks at who may have a turn, while any wait for one."""

SLEPT_S = 1.0
"""Seconds without a look after which this process has not run: it was frozen, say."""


class Server:
    """Serves `Service` objects on one address. All but the constructor is for the loop's thread.

    A connect succeeds from the constructor on, and is served from `start` to `stop`.

    Args:
        make_service: called for each connection, for the object that answers it.
        host: address or name to bind; "::" is every address, of IPv4 as well.
        port: 0 lets the system choose: see `address`.
        limits: of each connection, and how many there may be (fewer if this process is about
            to run out of descriptors).
        tls: who is trusted, and what is shown; None for no TLS. The handshake is part of
            what a new connection may take until its first byte.
        local: whether clients of this machine and user may take `local_sockets`.

    Attributes:
        address: host and port it is bound to.
        holdings: bounds what is held for all connections.

    Raises:
        OSError: the address cannot be had; `errno` tells why.
    """

    def __init__(
        self,
        make_service: Callable[[], Service],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits = DEFAULTS,
        tls: ssl.SSLContext | None = None,
        local: bool = True,
    ) -> None:
        # How much a peer has not taken, the loop does not say where there is TLS.
        keepalive = limits.keepalive
        if tls is not None:
            keepalive = msgspec.structs.replace(keepalive, unacknowledged_s=limits.frame)
        self._sock = listening_socket(host, port, keepalive)
        self.address: tuple[str, int] = self._sock.getsockname()[:2]
        self.limits = limits
        self._places: Places[Connection] = Places(limits, Connection.abort)
        self.holdings = Holdings(limits.held, measure=self._measure, relieve=self._relieve)
        self._make_service = make_service
        self._tls = tls
        if tls is not None:
            tls.sslobject_class = AlertingObject
        self._listeners = [self._make_listener(self._sock)]
        if local and tls is None:
            self._listen_locally()
        self._opening: dict[asyncio.Task[None], socket.socket] = {}
        self._left: list[asyncio.Future[None]] = []
        self._beat: RepeatingTimer | None = None
        self._turns = RepeatingTimer(TURN_EVERY_S, self._give_turns, Supervision("turns"))
        self._giving = False
        self._beaten_at = math.inf
        self._absence = Absence()
        self._slept_until = -math.inf
        self._noted_at = -math.inf
        self._listening = False
        self._port_left = False

    def _make_listener(self, sock: socket.socket, peer: Peer | None = None) -> Listener:
        return Listener(
            sock,
            max_silent=self.limits.connections,
            first_byte_s=self.limits.first_byte,
            retry_s=self.limits.accept_retry,
            tls=self._tls is not None,
            speaks=self._admit,
            make_way=self._make_way,
            peer=peer,
        )

    def _listen_locally(self) -> None:
        try:
            sock = listen_locally(*self.address)
        except OSError:
            self._sock.close()
            raise
        if sock is not None:
            peer = Peer(LOOPBACK[self.address[0]], 0)
            self._listeners.append(self._make_listener(sock, peer))

    @property
    def connections(self) -> int:
        """Connections open now that have a place."""
        return len(self._places.kept)

    @property
    def refused(self) -> int:
        """Connections that were told that there is no place, so far; see `Places`."""
        return self._places.refused

    @property
    def given_up(self) -> int:
        """Connections closed for a newcomer, so far; see `longest_silent`."""
        return self._places.given_up

    @property
    def unsent_bytes(self) -> int:
        """Bytes of answers that peers have not taken, all together."""
        return sum(connection.unsent_bytes for connection in self._places)

    def _measure(self) -> int:
        return sum(connection.held_bytes for connection in self._places)

    def _relieve(self) -> bool:
        return self._places.relieve(self._loop.time())

    def start(self) -> None:
        """Accepts from now on. Once only."""
        if self._listening or self._port_left:
            raise RuntimeError("a server starts once")
        self._loop = asyncio.get_running_loop()
        self._listening = True
        for listener in self._listeners:
            listener.start()
        limits = self.limits
        shortest = min(limits.first_byte, limits.frame, limits.idle, limits.probation_s)
        every_s = min(BEAT_S, max(0.01, shortest / 4))
        self._beat = RepeatingTimer(every_s, self._look, Supervision("the look at connections"))
        self._beat.start()

    def leave_port(self) -> None:
        """Accepts nobody any more: another may have the port at once. Connections that have not
        spoken yet are closed; all others are served on. Harmless when done before.
        """
        if self._port_left:
            return
        self._port_left = True
        for listener in self._listeners:
            listener.close()

    async def finish(self, timeout: float) -> None:
        """Leaves the port, and ends each connection once what it has asked is answered, or after
        `timeout` seconds.
        """
        self.leave_port()
        if not self._listening:
            return
        for connection in self._places:
            connection.finish()
        await self._wait_empty(timeout)

    async def stop(self) -> None:
        """Closes everything; harmless when done before."""
        self.leave_port()
        if self._beat is not None:
            self._beat.stop()
        self._turns.stop()
        opening = dict(self._opening)
        for task in opening:
            task.cancel()
        if opening:
            await asyncio.wait(opening)
        for sock in opening.values():
            sock.close()  # a task that never ran has not
        for connection in self._places:
            connection.abort()
        await self._wait_empty(1.0)

    async def _wait_empty(self, timeout: float) -> None:
        if not self._places:
            return
        empty = self._loop.create_future()
        self._left.append(empty)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(empty, timeout)

    # -- connections --------------------------------------------------------------

    def _admit(self, sock: socket.socket, peer: Peer) -> None:
        """A connection has begun to speak."""
        connection = Connection(
            self._make_service,
            peer,
            self.limits,
            sock=sock,
            owner=self,
            spoken=self._tls is None,
        )
        places = self._places
        given_up = places.given_up
        # Before it is served, so that `connections` is never behind.
        places.admit(connection, self._loop.time(), most=self._most())
        if connection not in places.kept or places.given_up > given_up:
            self._note_crowd(peer, waits=connection not in places.kept)
        task = self._loop.create_task(self._open(connection, sock, peer))
        self._opening[task] = sock
        task.add_done_callback(self._opening.pop)
        if places.waiting and not self._giving:
            self._giving = True
            self._turns.start()

    def _give_turns(self) -> None:
        """Keeps who waits, as far as there is room, and looks no more once nobody does."""
        if self._places.waiting:
            self._places.give_turns(self._loop.time(), most=self._most())
        if not self._places.waiting:
            self._giving = False
            self._turns.stop()

    def _note_crowd(self, peer: Peer, *, waits: bool) -> None:
        now = self._loop.time()
        if now - self._noted_at >= NOTE_EVERY_S:
            self._noted_at = now
            what = "waits for its turn" if waits else "let in for the longest silent of them"
            where = f"{peer.host}:{peer.port}"
            logger.warning("%s %s: %d connections are open", where, what, self.connections)

    @property
    def _silent(self) -> int:
        return sum(listener.silent for listener in self._listeners)

    def _descriptors(self) -> Descriptors:
        return descriptors_left(len(self._places) + self._silent)

    def _most(self) -> float:
        """How many connections can be kept with the descriptors there are: as many more as if
        nobody waited, or those who come together would all be in each other's way.
        """
        left, spare = self._descriptors()
        return len(self._places) + self._silent + left - spare

    def _make_way(self) -> bool:
        """Whether one more may be accepted, if need be in the place of another."""
        if self._descriptors().accept or self._drop_longest_silent():
            return True
        if not self._places.waiting:  # else the first of them is next
            self._places.give_up_one(self._loop.time())
        return False

    def _drop_longest_silent(self) -> bool:
        """Ends the connection that has not spoken for longest; whether there was one."""
        return min(self._listeners, key=lambda one: one.silent_since).drop_oldest()

    async def _open(self, connection: Connection, sock: socket.socket, peer: Peer) -> None:
        shaking_hands.set(sock)
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self.limits.first_byte,
            )
        except (OSError, asyncio.CancelledError) as error:
            if not isinstance(error, ssl.SSLError | ConnectionResetError):  # those are told of
                logger.debug("%s dropped: %s", peer.where, error)
            sock.close()
            self.connection_closed(connection)

    def connection_closed(self, connection: Kept) -> None:
        """A connection has ended."""
        if isinstance(connection, Connection):
            self._places.left(connection)
        if self._giving:
            self._give_turns()  # there may be room
        if not self._places:
            for waiting in self._left:
                if not waiting.done():
                    waiting.set_result(None)
            self._left.clear()

    def is_gone(self, sock: socket.socket | None) -> bool:
        """Whether a peer has hung up while this process did not run: what it has asked meanwhile
        would be worked off for nobody.
        """
        now = self._loop.time()
        slept = now - self._beaten_at > SLEPT_S or now < self._slept_until
        if not slept or sock is None:
            return False
        with contextlib.suppress(OSError):
            return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        return False

    def _look(self) -> None:
        """Drops who is too slow, again and again."""
        now = self._loop.time()
        away = self._absence.noticed(now - self._beaten_at)
        if now - self._beaten_at > SLEPT_S:
            self._slept_until = now + BEAT_S  # what came meanwhile may be read after this
        self._beaten_at = now
        for listener in self._listeners:
            listener.drop_silent(now)
        for connection in self._places:
            why = connection.overdue(now)
            if why and not away:
                logger.debug("%s dropped: %s", connection.peer.where, why)
                connection.abort()
        self._places.look(now)
        self.holdings.look()
