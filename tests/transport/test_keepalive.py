"""A peer that is gone without a word: nothing of it arrives any more, not even an end."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Callable

import pytest

from nodes.transport import Lane, Limits, messages
from nodes.transport.keepalive import Keepalive
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import RawPeer, RunningServer, descriptor

ConnectRaw = Callable[[RunningServer], RawPeer]
MOST_S = 120
"""Seconds within which such a peer is found out."""

SHORT = Keepalive(idle_s=1, every_s=1, probes=1, unacknowledged_s=1.0)
SO_ATTACH_FILTER = 26
RETURN_NOTHING = struct.pack("HBBI", 6, 0, 0, 0)


def cut_off(peer: RawPeer) -> None:
    """Has the kernel drop whatever comes to that end, so that it acknowledges nothing: as if a
    cable were pulled.
    """
    program = ctypes.create_string_buffer(RETURN_NOTHING)
    filter_ = struct.pack("HL", 1, ctypes.addressof(program))
    peer.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)


def found_out_in_s(sock: socket.socket) -> float:
    """Seconds after which the kernel ends the connection at the latest."""

    def tcp(name: str) -> int:
        return sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    silent = tcp("TCP_KEEPIDLE") + tcp("TCP_KEEPINTVL") * (tcp("TCP_KEEPCNT") + 1)
    return max(silent, tcp("TCP_USER_TIMEOUT") / 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name them otherwise")
def test_at_both_ends_such_a_peer_is_found_out_within_minutes(
    start_server: StartServer, dial: Callable[[RunningServer], Lane]
) -> None:
    running = start_server()
    lane = dial(running)
    lane.call("echo", timeout=PATIENCE)
    (connection,) = running.server._places
    accepted = connection._sock
    assert accepted is not None
    with socket.socket(fileno=socket.dup(descriptor(lane))) as dialled:
        for sock in (accepted, dialled):
            assert 10 <= found_out_in_s(sock) <= MOST_S


@pytest.mark.skipif(sys.platform != "linux", reason="it takes Linux to cut a connection")
@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.long
def test_its_connection_ends_and_its_place_is_free(
    start_server: StartServer, raw: ConnectRaw, unread: bool
) -> None:
    """Whether it was silent, or answers to it are on their way."""
    running = start_server(
        {"large": lambda: bytes(1 << 20)},
        limits=Limits(keepalive=SHORT, frame=600.0, idle=600.0),
    )
    peer = raw(running)
    peer.send(messages.root_request(1))
    assert peer.sock.recv(1000)
    cut_off(peer)
    if unread:
        peer.call("large")
    assert running.server.connections == 1
    poll_for(lambda: running.server.connections == 0, 30.0)
    assert running.services[0].closed == 1
