"""Accepts connections, and keeps those that have not spoken yet apart: they cost a descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Callable

from nodes.transport.eviction import is_scarce
from nodes.transport.peer import Peer
from nodes.transport.tls import ALERT

logger = logging.getLogger("rollcall.transport")

ACCEPTED_AT_ONCE = 16
"""Connections accepted before the loop goes on with those there are."""

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
        scarce: called when descriptors are, to end a connection that has not spoken; returns
            whether there was one.
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
        scarce: Callable[[], bool],
        peer: Peer | None = None,
    ) -> None:
        self._sock = sock
        self._peer = peer
        self._max_silent = max_silent
        self._first_byte_s = first_byte_s
        self._retry_s = retry_s
        self._tls = tls
        self._speaks = speaks
        self._scarce = scarce
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
                sock, address = self._sock.accept()
                self._take_in(sock, self._peer or Peer(*address[:2]))
        except (BlockingIOError, ConnectionAbortedError):
            self._troubled = False
        except OSError as error:  # RPyC takes any error here for the end of the server
            self._note_trouble(error)
            self._scarce()
            self._loop.remove_reader(self._sock)
            self._retry = self._loop.call_later(self._retry_s, self.start)

    def _note_trouble(self, error: Exception) -> None:
        # Once, however often it is tried.
        if not self._troubled:
            logger.warning("cannot take a connection, trying again: %s", error)
        self._troubled = True

    def _take_in(self, sock: socket.socket, peer: Peer) -> None:
        sock.settimeout(0.0)
        if is_scarce(sock.fileno()):
            self._scarce()
        if len(self._silent) >= self._max_silent:
            self.drop_oldest()
        self._silent[sock] = (peer, self._loop.time())
        self._loop.add_reader(sock, self._readable, sock)

    @property
    def silent_since(self) -> float:
        """When the longest silent came; infinity if nobody is."""
        return next(iter(self._silent.values()))[1] if self._silent else math.inf

    def drop_oldest(self) -> bool:
        """Drops the longest silent, if it still is; whether there was one."""
        oldest = next(iter(self._silent), None)
        if oldest is None:
            return False
        if not self._has_spoken(oldest):
            self._drop(oldest, "there are too many silent ones")
        return True

    def _has_spoken(self, sock: socket.socket) -> bool:
        """Whether something came from it that has not been looked at; it is now."""
        try:
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._readable(sock)
        return True

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
        logger.debug("%s:%d dropped: %s", peer.host, peer.port, why)
        sock.close()
