"""Listens, and gives each connection that speaks its own thread."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable

import msgspec
from rpyc.core import Channel, SocketStream

from nodes.transport import messages
from nodes.transport.connection import SETTINGS
from nodes.transport.frames import FrameReader, MalformedError
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.lobby import Lobby
from nodes.transport.peer import Peer
from nodes.transport.seats import Seat, least, room
from nodes.transport.service import Service
from nodes.transport.stream import Stream
from nodes.transport.tls import TlsStream

logger = logging.getLogger("rollcall.transport")

WAKE_S = 0.5
"""Seconds after which a blocked accept looks whether it should stop, on systems where
closing the listener does not wake it."""

NOTE_EVERY_S = 60.0
"""Seconds between two lines that say there are too many connections."""


class Server:
    """Serves `Service` objects on one address, in daemon threads.

    A connect succeeds from the constructor on, and is served from `start` to `stop`.

    Args:
        make_service: called in each connection's thread for the object that answers it.
        host: address to bind; one with a colon is IPv6.
        port: 0 lets the system choose: see `address`.
        limits: of each connection, and how many there may be (fewer if the system allows
            this process fewer than twice as many descriptors).
        name: starts the names of its threads.
        tls: who is trusted, and what is shown; None for no TLS. The handshake is part of
            what a new connection may take until its first byte.

    Attributes:
        address: host and port it is bound to.
        refused: connections turned away because there were too many, so far.
        given_up: connections closed for a newcomer, so far; see `seats.least`.

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
        name: str = "server",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # It listens at once: on Linux two processes may bind one port, and only the
        # second to listen is told.
        self._listener = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=socket.SOMAXCONN,
        )
        # Accepted sockets inherit both. Without the first, the second packet of every
        # reply waits 40 ms for the peer's acknowledgement.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._listener.settimeout(0.0)
        self._lobby = Lobby(
            self._listener, most=room(limits.connections, 4), patience=limits.first_byte
        )
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self.limits = limits
        self.refused = 0
        self.given_up = 0
        self._room = room(limits.connections, 2)
        self._make_service = make_service
        self._name = name
        self._tls = tls
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._acceptor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._seats: dict[socket.socket, Seat] = {}
        self._leaving: set[socket.socket] = set()
        self._turning: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._noted = -math.inf
        self._troubled = False

    @property
    def connections(self) -> int:
        """Connections open now that have spoken, without those being turned away."""
        return len(self._seats)

    def start(self) -> None:
        """Accept in a daemon thread. Once only."""
        with self._lock:
            if self._acceptor is not None or self._stopping.is_set():
                raise RuntimeError("a server starts once")
            acceptor = threading.Thread(
                target=self._accept_all, name=f"{self._name}-accept", daemon=True
            )
            acceptor.start()
            self._acceptor = acceptor

    def leave_port(self) -> None:
        """Accept nobody any more: another may have the port at once. Connections that have
        not spoken yet are closed; all others are served on. Harmless when done before.
        """
        with self._lock:
            self._stopping.set()
            _shut(self._listener)
        if self._acceptor is None:
            self._lobby.close()
        else:
            self._acceptor.join(2 * WAKE_S)
        self._listener.close()

    def finish(self, timeout: float) -> None:
        """Leave the port, and end each connection once what it has asked is answered.

        A thread still busy after `timeout` seconds (for all threads together) goes on.
        """
        self.leave_port()
        with self._lock:
            for sock in self._seats:
                _shut(sock, socket.SHUT_RD)
        self._join(timeout)

    def stop(self, timeout: float = 2.0) -> None:
        """Close everything; harmless when done before, or from a verb.

        Every connection is shut down at once, whatever its peer does. A thread still
        busy in a verb after `timeout` seconds (for all threads together) is left
        behind: it ends with the verb, or with the process.
        """
        self.leave_port()
        with self._lock:
            for sock in (*self._seats, *self._leaving, *self._turning):
                _shut(sock)
        busy = self._join(timeout)
        if busy:
            logger.warning("still busy after %.1f s: %s", timeout, ", ".join(busy))

    def _join(self, timeout: float) -> list[str]:
        """The names of the connections' threads that have not ended within `timeout` seconds."""
        with self._lock:
            threads = [t for t in self._threads if t is not threading.current_thread()]
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]

    def _accept_all(self) -> None:
        while not self._stopping.is_set():
            try:
                for sock, peer in self._lobby.wait(WAKE_S):
                    self._admit(sock, peer)
            except OSError as exc:  # RPyC takes any error here for the end of the server
                self._note_trouble(exc)
                self._stopping.wait(self.limits.accept_retry)
        self._lobby.close()

    def _admit(self, sock: socket.socket, peer: Peer) -> None:
        with self._lock:
            seat = Seat(time.monotonic())
            full = not self._make_room(peer, seat.since)
            if self._stopping.is_set() or (full and len(self._turning) >= self.limits.turned_away):
                sock.close()
                return
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            work = self._turn_away if full else functools.partial(self._serve, seat)
            thread = threading.Thread(
                target=self._run,
                args=(work, sock, peer),
                name=f"{self._name}-{peer.host}:{peer.port}",
                daemon=True,
            )
            # Counted before it is served, so that `connections` is never behind.
            if full:
                self._turning.add(sock)
            else:
                self._seats[sock] = seat
            try:
                thread.start()
            except RuntimeError as exc:  # the system has no thread to give
                self._forget(sock)
                sock.close()
                self._note_trouble(exc)
                return
            self._threads.append(thread)
            self._troubled = False

    def _note_trouble(self, exc: Exception) -> None:
        if not self._troubled and not self._stopping.is_set():
            logger.warning("cannot take a connection, trying again: %s", exc)
        self._troubled = True

    def _make_room(self, peer: Peer, now: float) -> bool:
        """Whether one more connection can be kept, if need be in the place of another."""
        if len(self._seats) < self._room:
            return True
        gone = self._left.wait_for(
            lambda: len(self._leaving) < self.limits.leaving, self.limits.accept_retry
        )
        silent = least(self._seats, now, settled=self.limits.settled) if gone else None
        if now - self._noted >= NOTE_EVERY_S:
            self._noted = now
            what = "refused" if silent is None else "let in for the longest silent of them"
            logger.warning(
                "%s:%d %s: %d connections are open", peer.host, peer.port, what, self._room
            )
        if silent is None:
            self.refused += 1
            return False
        self.given_up += 1
        del self._seats[silent]
        self._leaving.add(silent)
        _shut(silent)
        return True

    def _forget(self, sock: socket.socket) -> None:
        self._seats.pop(sock, None)
        self._turning.discard(sock)
        self._leaving.discard(sock)
        self._left.notify()

    def _run(
        self, work: Callable[[socket.socket, Peer], None], sock: socket.socket, peer: Peer
    ) -> None:
        try:
            work(sock, peer)
        except Exception:
            logger.exception("%s:%d could not be served", peer.host, peer.port)
        finally:
            # Out of the sets first: `stop` must never shut down a descriptor that is
            # already someone else's.
            with self._lock:
                self._forget(sock)
            _shut(sock)
            sock.close()

    def _serve(self, seat: Seat, sock: socket.socket, peer: Peer) -> None:
        def hang_up() -> None:
            with self._lock:
                if sock in self._seats:
                    _shut(sock)

        deadline = time.monotonic() + self.limits.first_byte
        try:
            stream = self._open(sock, deadline)
        except OSError as exc:
            logger.debug("%s:%d dropped: %s", peer.host, peer.port, exc)
            return
        config = SETTINGS | {
            "limits": self.limits,
            "hang_up": hang_up,
            "stream": stream,
            "seat": seat,
            "peer": msgspec.structs.replace(peer, certificate=stream.certificate),
            "patience": max(0.0, deadline - time.monotonic()),
        }
        channel = Channel(SocketStream(sock), compress=False)
        seat.service = self._make_service()
        seat.service._connect(channel, config).serve_all()

    def _open(self, sock: socket.socket, deadline: float) -> Stream:
        if self._tls is None:
            return Stream(sock)
        stream = TlsStream(sock, self._tls, None)
        stream.shake_hands(deadline)
        return stream

    def _turn_away(self, sock: socket.socket, _peer: Peer) -> None:
        """Answer whatever is asked first, as a peer that is only cut off knows nothing."""
        with contextlib.suppress(OSError, EOFError, MalformedError):
            deadline = time.monotonic() + self.limits.turn_away
            stream = self._open(sock, deadline)
            payload = stream.receive(FrameReader(self.limits.frame_in), deadline)
            question = messages.load(payload, messages.MAX_REQUEST_READS)
            text = f"all {self._room} connections are in use; try again in a moment"
            answer = messages.exception_reply(question.seq, "rollcall", "Overloaded", text)
            stream.send(answer, deadline)


def _shut(sock: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End both directions at once, or one; what has ended already says so with an OSError."""
    with contextlib.suppress(OSError):
        sock.shutdown(how)
