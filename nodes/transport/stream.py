"""A socket with deadlines that cost nothing while they are kept."""

from __future__ import annotations

import _socket
import math
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.transport.peer import Certificate

CHUNK_BYTES = 64 * 1024
"""Bytes asked of the kernel at once; RPyC's own figure (``STREAM_CHUNK``)."""

TIMEOUT_SLACK = 0.1
"""A wait may end later than asked by this part of it, and not be set anew."""


def is_cooperative(kind: type) -> bool:
    """Whether a class of sockets is of a library that runs many tasks in one thread, such as
    gevent: its sockets are not the kernel's own, and wait within its loop.
    """
    return not issubclass(kind, _socket.socket)


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, by the monotonic clock; TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left


class Stream:
    """Bytes out and in, by deadlines.

    Python's own socket timeouts cost two system calls at each step: one that sets the
    timeout, and one that polls first. Here the kernel keeps the time (``SO_RCVTIMEO``,
    ``SO_SNDTIMEO``), and is told again only when the time asked for is another.

    A socket that is not the kernel's own, but waits within an event loop as gevent's do, has
    its own timeouts: those of the kernel would not end its waits.

    Args:
        sock: connected; made blocking here.

    Attributes:
        certificate: what the peer has proved to be; None without TLS, or if it showed none.
        shortest_s, longest_s: what a wait may be for the kernel to keep its time as told before.
    """

    __slots__ = ("_cooperative", "_poll", "_sock", "certificate", "longest_s", "shortest_s")

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self.certificate: Certificate | None = None
        self._sock = sock
        self._cooperative = is_cooperative(type(sock))
        self.shortest_s = math.inf
        self.longest_s = 0.0
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def _allow(self, option: int, deadline: float) -> float:
        """Has the kernel end a wait at `deadline`; the seconds that it was told."""
        seconds = max(remaining(deadline), 0.001)
        value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        self._sock.setsockopt(socket.SOL_SOCKET, option, value)
        return seconds

    def send(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`: what the kernel has room for at once, the rest by the deadline.

        Raises:
            TimeoutError: the peer did not take it in time.
            OSError: the connection broke.
        """
        if self._cooperative:
            self._sock.settimeout(remaining(deadline))
            self._sock.sendall(data)
            return
        try:
            sent = self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.send_slowly(memoryview(data)[sent:], deadline)

    def send_slowly(self, rest: memoryview, deadline: float) -> None:
        """Sends what the kernel had no room for at once; errors as `send`."""
        room = select.poll()
        room.register(self._sock, select.POLLOUT)
        while rest:
            room.poll(max(1.0, remaining(deadline) * 1000))
            try:
                rest = rest[self._sock.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue  # whether there is time left, the deadline says

    def read(self, deadline: float) -> bytes:
        """The next bytes there are, at least one.

        Raises:
            TimeoutError: none came in time.
            EOFError: the peer closed.
            OSError: the connection broke.
        """
        while True:
            if self._cooperative:
                self._sock.settimeout(remaining(deadline))
            elif not self.shortest_s <= deadline - time.monotonic() <= self.longest_s:
                seconds = self._allow(socket.SO_RCVTIMEO, deadline)
                # Shorter than asked is fine as well: the wait is then begun again.
                self.shortest_s, self.longest_s = seconds / (1.0 + TIMEOUT_SLACK), 2 * seconds
            try:
                data = self._sock.recv(CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise EOFError("closed by the peer")
            return data

    def buffered(self) -> bool:
        """Whether the next `read` would wait for nothing, though the system holds no bytes."""
        return False

    def readable(self) -> bool:
        """Whether `read` would give something, or the end, at once."""
        return bool(self._poll.poll(0))
