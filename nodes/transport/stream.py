"""Whole payloads from a socket, by a deadline. Both ends read with this."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from nodes.transport.frames import FrameReader

CHUNK = 64 * 1024
"""Bytes asked of the kernel at once; RPyC's own figure (``STREAM_CHUNK``)."""


def remaining(deadline: float) -> float:
    """Seconds until `deadline`, by the monotonic clock; TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left


def receive(sock: socket.socket, reader: FrameReader, deadline: float) -> bytes:
    """The next payload, which must be complete by `deadline`.

    One deadline for all of it: a peer that sends a byte now and then would start a
    wait anew with each.

    Raises:
        TimeoutError: not complete in time.
        EOFError: the peer closed.
        Broken: what came is no frame.
        OSError: the connection broke.
    """
    while (payload := reader.next()) is None:
        sock.settimeout(remaining(deadline))
        data = sock.recv(CHUNK)
        if not data:
            raise EOFError("closed by the peer")
        reader.feed(data)
    return payload
