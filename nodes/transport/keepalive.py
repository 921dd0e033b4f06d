"""Keepalive: a peer that is gone without a word (power, cable, firewall) is found out."""

from __future__ import annotations

import contextlib
import socket

KEEPALIVE_IDLE_S = 30
KEEPALIVE_EVERY_S = 10
KEEPALIVE_PROBES = 3
"""Seconds of silence after which the kernel asks whether the peer is there, seconds between two
such questions, and how many may go unanswered: a peer that is gone is found out in a minute. Left
alone, the kernel takes more than two hours."""

UNACKNOWLEDGED_S = 60.0
"""Seconds for which what was sent may go unacknowledged; the kernel would try for a quarter of an
hour."""

_OPTIONS = {
    "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
    "TCP_KEEPALIVE": KEEPALIVE_IDLE_S,  # as macOS calls that
    "TCP_KEEPINTVL": KEEPALIVE_EVERY_S,
    "TCP_KEEPCNT": KEEPALIVE_PROBES,
}


def keep_alive(sock: socket.socket, unacknowledged_s: float = UNACKNOWLEDGED_S) -> None:
    """Has the kernel end a TCP connection whose peer is gone. Of a listening socket, those that
    are accepted inherit it.

    Args:
        sock: of any family; one that is not TCP is left alone, as its peer is on this machine.
        unacknowledged_s: seconds for which what was sent may go unacknowledged.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # it has ended already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout_ms = int(unacknowledged_s * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
