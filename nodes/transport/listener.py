"""Accepts connections, and keeps those that have not spoken yet apart: they cost a descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable

from nodes.support.addresses import peer_host
from nodes.transport.keepalive import Keepalive, keep_alive
from nodes.transport.peer import Peer
from nodes.transport.tls import ALERT

logger = logging.getLogger("rollcall.transport")

ACCEPTED_AT_ONCE = 16
"""Connections accepted before the loop goes on with those there are."""

ABOUT_TO_SPEAK_S = 0.25
"""Seconds for which nobody who has just connected is let go of for being silent."""

TLS_HANDSHAKE = b"\x16"
"""How TLS's first record begins."""


class Listener:
    """A listening socket on an event loop.

    Args:
        sock: listens.
        max_silent: connections that may be silent; the longest silent goes for one more.
        first_byte_s: seconds that each may be silent.
        retry_s: seconds between attempts to accept while the system refuses.
        tls: whether who speaks has to speak TLS.
        speaks: given each connection that has begun to speak.
        make_way: called before each is accepted; returns whether there are descriptors for one,
            if only later.
        peer: who is at the other end of each, where the system does not say.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_silent: int,
        first_byte_s: float,
        retry_s: float,
        tls: bool,
        speaks: Callable[[socket.socket, Peer], None],
        make_way: Callable[[], bool],
        peer: Peer | None = None,
    ) -> None:
        self._sock = sock
        self._peer = peer
        self._max_silent = max_silent
        self._first_byte_s = first_byte_s
        self._retry_s = retry_s
        self._tls = tls
        self._speaks = speaks
        self._make_way = make_way
        # In the order of their coming, with the time of it.
        self._silent: dict[socket.socket, tuple[Peer, float]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._troubled = False
        self._started = False

    def start(self) -> None:
        """Accepts from now on; called on the loop."""
        self._loop = asyncio.get_running_loop()
        self._started = True
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accepts nobody any more, and lets go of who has not spoken and of the socket; called on
        the loop, if it was started.
        """
        if self._retry is not None:
            self._retry.cancel()
        if self._started:
            self._loop.remove_reader(self._sock)
        for sock in list(self._silent):
            self._drop(sock, "the server stops")
        self._sock.close()

    def drop_silent(self, now: float) -> None:
        """Drops who has been silent for too long."""
        for sock, (_peer, since) in list(self._silent.items()):
            if now - since < self._first_byte_s:
                return
            self._drop(sock, "silent")

    def _accept(self) -> None:
        try:
            room = self._max_silent - len(self._silent)
            for _ in range(max(1, min(ACCEPTED_AT_ONCE, room))):
                if not self._make_way():
                    self._pause()
                    return
                sock, address = self._sock.accept()
                self._take_in(sock, self._peer or Peer(peer_host(address[0]), address[1]))
        except (BlockingIOError, ConnectionAbortedError):
            self._troubled = False
        except OSError as error:  # RPyC takes any error here for the end of the server
            self._note_trouble(error)
            self._pause()

    def _pause(self) -> None:
        """Who connects now waits, in the system's queue."""
        self._loop.remove_reader(self._sock)
        self._retry = self._loop.call_later(self._retry_s, self._start_again)

    def _start_again(self) -> None:
        self._retry = self._loop.call_later(self._retry_s, self._start_again)
        self.start()
        self._retry.cancel()

    def _note_trouble(self, error: Exception) -> None:
        # Once, however often it is tried.
        if not self._troubled:
            logger.warning("cannot take a connection, trying again: %s", error)
        self._troubled = True

    def _take_in(self, sock: socket.socket, peer: Peer) -> None:
        sock.settimeout(0.0)
        if len(self._silent) >= self._max_silent and not self.drop_oldest():
            oldest = next(iter(self._silent))
            if not _has_spoken(oldest):
                self._drop(oldest, "there are too many silent ones")
        self._silent[sock] = (peer, self._loop.time())
        self._loop.add_reader(sock, self._readable, sock)

    @property
    def silent(self) -> int:
        """Connections that have not spoken."""
        return len(self._silent)

    @property
    def silent_since(self) -> float:
        """When the longest silent came; infinity if nobody is."""
        return next(iter(self._silent.values()))[1] if self._silent else math.inf

    def drop_oldest(self) -> bool:
        """Drops who has been silent for longest, and still is; whether there was one."""
        now = self._loop.time()
        for sock, (_peer, since) in self._silent.items():
            if now - since >= ABOUT_TO_SPEAK_S and not _has_spoken(sock):
                self._drop(sock, "there are too many silent ones")
                return True
        return False

    def _readable(self, sock: socket.socket) -> None:
        first = b""
        with contextlib.suppress(OSError):
            first = sock.recv(1, socket.MSG_PEEK)
        if not first:
            self._drop(sock, "left without a word")
        elif self._tls and first != TLS_HANDSHAKE:
            # It is told, as OpenSSL has no words for one without TLS.
            with contextlib.suppress(OSError):
                sock.send(ALERT)
            self._drop(sock, "it does not use TLS")
        else:
            peer, _since = self._silent.pop(sock)
            self._loop.remove_reader(sock)
            self._speaks(sock, peer)

    def _drop(self, sock: socket.socket, why: str) -> None:
        peer, _since = self._silent.pop(sock)
        self._loop.remove_reader(sock)
        logger.debug("%s dropped: %s", peer.where, why)
        sock.close()


def _has_spoken(sock: socket.socket) -> bool:
    """Whether something came from it that has not been looked at, if only its end."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def listening_socket(host: str, port: int, keepalive: Keepalive) -> socket.socket:
    """A socket that listens at once: on Linux two processes may bind one port, and only the second
    to listen is told.

    Args:
        host: address or name to bind; "::" is every address, of IPv4 as well.
        port: 0 lets the system choose.
        keepalive: of those that are accepted.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that has both is bound as IPv4: who dials it tries all its addresses.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    sock = socket.create_server(
        address,
        family=family,
        backlog=socket.SOMAXCONN,
        dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
    )
    # Accepted sockets inherit these. Asyncio's own loop lets small packets wait.
    keep_alive(sock, keepalive)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(0.0)
    return sock
