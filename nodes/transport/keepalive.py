"""Keepalive: a peer that is gone without a word (power, cable, firewall) is found out."""

from __future__ import annotations

import contextlib
import socket

import msgspec


class Keepalive(msgspec.Struct, frozen=True, kw_only=True):
    """After how long the kernel ends a connection whose peer does not answer. Left alone, it takes
    more than two hours for one that is silent, and a quarter of an hour for one that does not
    acknowledge what it was sent.

    Attributes:
        idle_s: seconds of silence after which it asks whether the peer is there.
        every_s: seconds between two such questions.
        probes: how many may go unanswered.
        unacknowledged_s: seconds for which what was sent may go unacknowledged.
    """

    idle_s: int = 30
    every_s: int = 10
    probes: int = 3
    unacknowledged_s: float = 60.0


KEEPALIVE = Keepalive()
"""A peer that is gone is found out in a minute."""


def keep_alive(sock: socket.socket, keepalive: Keepalive = KEEPALIVE) -> None:
    """Has the kernel end a TCP connection whose peer is gone. Of a listening socket, those that
    are accepted inherit it.

    Args:
        sock: of any family; one that is not TCP is left alone, as its peer is on this machine.
        keepalive: after how long.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = {
        "TCP_KEEPIDLE": keepalive.idle_s,
        "TCP_KEEPALIVE": keepalive.idle_s,  # as macOS calls that
        "TCP_KEEPINTVL": keepalive.every_s,
        "TCP_KEEPCNT": keepalive.probes,
        "TCP_USER_TIMEOUT": int(keepalive.unacknowledged_s * 1000),
    }
    with contextlib.suppress(OSError):  # it has ended already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
