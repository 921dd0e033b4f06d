"""Local sockets: a quicker way to a server of the same user on this machine than its TCP port.

On Linux, a server on a loopback address listens as well under a name in the abstract namespace of
Unix sockets, made of that address. Nothing lies in a file, the name goes with the server, and
each network namespace has names of its own, as it has ports. Where there is no such way, TCP is
taken; nothing else is different.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys

LOOPBACK = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::1": "::1", "::": "::1"}  # noqa: S104
"""The loopback address on which one is found who listens on an address."""

_CREDENTIALS = struct.Struct("3i")
"""What the kernel says of a peer: its process, user and group."""


def listen_locally(host: str, port: int) -> socket.socket | None:
    """A local socket that listens beside a TCP port; None where there can be none.

    Args:
        host: that the port is bound to.
        port: where a server of this process listens.

    Raises:
        OSError: another has the name (`EADDRINUSE`): clients would find that one.
    """
    if host not in LOOPBACK or not _is_possible():
        return None
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.bind(_name(LOOPBACK[host], port))
            sock.listen(socket.SOMAXCONN)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            return None
        sock.settimeout(0.0)
        undo.pop_all()
        return sock


def connect_locally(host: str, port: int) -> socket.socket | None:
    """A local socket that is connected to the server of a TCP port, if one of this user listens
    there; None to take TCP.

    Args:
        host: as it is dialled; only a loopback address leads to a local socket.
        port: 1 to 65535.
    """
    if LOOPBACK.get(host) != host or not _is_possible():
        return None
    with contextlib.ExitStack() as undo, contextlib.suppress(OSError):
        sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.settimeout(0.0)
        sock.connect(_name(host, port))
        said = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        # Anybody may have taken the name; nobody takes a port from who listens on it.
        if _CREDENTIALS.unpack(said)[1] == os.geteuid():
            undo.pop_all()
            return sock
    return None


def _is_possible() -> bool:
    return sys.platform == "linux"


def _name(host: str, port: int) -> bytes:
    return b"\0rollcall/%b/%d" % (host.encode(), port)
