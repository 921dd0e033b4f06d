"""Where a connection waits for its first byte: without a thread, and in nobody's way."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import time

from nodes.transport.peer import Peer

logger = logging.getLogger("rollcall.transport")

AT_ONCE = 16
"""Connections taken in before those who wait are looked at again."""


class Lobby:
    """New connections, of which those that stay silent cost a descriptor and no more.

    For one thread only.

    Args:
        listener: listens; not blocking.
        most: connections that may wait; the longest silent goes for one more.
        patience: seconds that each may be silent.
    """

    def __init__(self, listener: socket.socket, *, most: int, patience: float) -> None:
        self._listener = listener
        self._most = most
        self._patience = patience
        # In the order of their coming.
        self._waiting: dict[socket.socket, tuple[Peer, float]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)

    def wait(self, longest: float) -> list[tuple[socket.socket, Peer]]:
        """Takes in who comes, for up to `longest` seconds; gives out who has begun to speak.

        Raises:
            OSError: nobody can be taken in now (no descriptors, say).
        """
        begun = []
        events = self._selector.select(min(longest, self._expire(time.monotonic())))
        comes = False
        for key, _ in events:
            if key.fileobj is self._listener:
                comes = True
            elif isinstance(key.fileobj, socket.socket):
                if not _speaks(key.fileobj):
                    self._drop(key.fileobj, "left without a word")
                    continue
                begun.append((key.fileobj, self._waiting[key.fileobj][0]))
                self._remove(key.fileobj)
        if comes and not begun:
            self._take_in()
        return begun

    def _take_in(self) -> None:
        # Several, as to look at all who wait takes longer than to accept; but only as many
        # as nobody has to go for, as those who wait may have spoken meanwhile.
        with contextlib.suppress(BlockingIOError):
            for _ in range(max(1, min(AT_ONCE, self._most - len(self._waiting)))):
                sock, address = self._listener.accept()
                if len(self._waiting) >= self._most:
                    self._drop(next(iter(self._waiting)), "there are too many silent ones")
                self._waiting[sock] = (Peer(*address[:2]), time.monotonic())
                self._selector.register(sock, selectors.EVENT_READ)

    def _expire(self, now: float) -> float:
        """Drops who was silent for too long; seconds until the next one is."""
        for sock, (_peer, since) in list(self._waiting.items()):
            if now - since < self._patience:
                return self._patience - (now - since)
            self._drop(sock, "silent")
        return self._patience

    def _drop(self, sock: socket.socket, why: str) -> None:
        peer, _since = self._waiting[sock]
        self._remove(sock)
        sock.close()
        logger.debug("%s:%d dropped: %s", peer.host, peer.port, why)

    def _remove(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        del self._waiting[sock]

    def close(self) -> None:
        """Closes all that wait, and looks no more."""
        for sock in self._waiting:
            sock.close()
        self._waiting.clear()
        self._selector.close()


def _speaks(sock: socket.socket) -> bool:
    """Whether there is a byte to read; the end of a connection makes it readable as well."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except OSError:
        return False
