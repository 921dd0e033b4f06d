"""TLS and a peer that is none, or only harm: it costs its own connection, and has an end."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from nodes.transport import (
    Lane,
    Limits,
    RemoteFailure,
    Secure,
    TlsStream,
    messages,
)
from nodes.transport.responder import ROOT
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import FIRST_VERB, RawPeer, RunningServer, ask, hello, still_open

SHORT = 0.05
LONG = Limits(first_byte=600.0, frame=600.0, idle=600.0)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(messages.root_request(1), id="plain RPyC"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(bytes(range(256)), id="every byte"),
        pytest.param(b"\x16\x03\x01\x02\x00" + bytes(512), id="a record of nothing"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\x01\xff\xff\xff" * 20000, id="a huge hello"),
        pytest.param(b"\xff" * 64, id="ones"),
    ],
)
def test_nonsense_is_hung_up_on_at_once(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    master: ssl.SSLContext,
    to_master: Secure,
    said: bytes,
    quiet: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start_server(tls=master, limits=LONG)
    peer = raw(running)
    peer.send(said)
    assert len(peer.rest()) <= 7, "an alert, and nothing else"
    poll_for(lambda: running.server.connections == 0)
    assert len(caplog.records) == 1
    assert "dropped: " in caplog.text
    assert running.services == []
    with Lane.dial(*running.address, tls=to_master) as lane:
        assert ask(lane, "echo", 1) == (1,)


def test_a_hello_where_there_is_no_tls_is_told_apart(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    quiet: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start_server(limits=LONG)
    peer = raw(running)
    peer.send(hello())
    assert peer.rest() == b""
    assert [record.getMessage().partition("dropped: ")[2] for record in caplog.records] == [
        "the peer uses TLS, and this end does not"
    ]


@pytest.mark.parametrize("said", [b"", hello()[:20], hello()], ids=["nothing", "half", "hello"])
def test_a_handshake_has_an_end(
    start_server: StartServer,
    raw: Callable[[RunningServer], RawPeer],
    master: ssl.SSLContext,
    said: bytes,
) -> None:
    peer = raw(start_server(tls=master, limits=Limits(first_byte=SHORT)))
    peer.send(said)
    peer.rest()


def test_a_byte_now_and_then_does_not_buy_time(
    start_server: StartServer, raw: Callable[[RunningServer], RawPeer], master: ssl.SSLContext
) -> None:
    running = start_server(tls=master, limits=Limits(first_byte=4 * SHORT))
    peer = raw(running)
    for byte in hello()[:100]:
        peer.send(bytes([byte]))
        if select.select([peer.sock], [], [], SHORT / 2)[0]:
            break
    else:
        pytest.fail("100 bytes later it is still listened to")


def test_silence_after_the_handshake_has_an_end(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server(tls=master, limits=Limits(first_byte=4 * SHORT))
    with Lane.dial(*running.address, tls=to_master) as lane:
        poll_for(lambda: lane.stale)


def test_a_peer_that_does_not_read_is_cut_off(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    asked = messages.root_request(1) + messages.verb_request(2, ROOT, "big")
    asked += messages.call_request(3, messages.call_head(FIRST_VERB), messages.arguments(()))
    running = start_server(
        {"big": lambda: bytes(24 << 20)}, tls=master, limits=Limits(frame=4 * SHORT)
    )
    with socket.create_connection(running.address) as near:
        stream = TlsStream(near, to_master.context, "127.0.0.1")
        stream.shake_hands(time.monotonic() + PATIENCE)
        stream.send(asked, time.monotonic() + PATIENCE)
        poll_for(lambda: running.services)
        poll_for(lambda: running.server.connections == 0)


def test_one_too_many_is_told_so(
    start_server: StartServer, master: ssl.SSLContext, to_master: Secure
) -> None:
    limits = Limits(connections=1, tenure=600.0, turn=SHORT)
    running = start_server(tls=master, limits=limits)
    with Lane.dial(*running.address, tls=to_master) as first:
        ask(first, "echo")
        with Lane.dial(*running.address, tls=to_master) as second:
            with pytest.raises(RemoteFailure, match="Overloaded"):
                ask(second, "echo")


def test_a_stop_ends_handshakes(
    start_server: StartServer, raw: Any, master: ssl.SSLContext
) -> None:
    running = start_server(tls=master, limits=LONG)
    peer = raw(running)
    peer.send(hello()[:20])
    poll_for(lambda: running.server.connections == 1)
    running.stop()
    peer.rest()


def test_handshakes_that_are_given_up_end(
    start_server: StartServer, raw: Callable[[RunningServer], RawPeer], master: ssl.SSLContext
) -> None:
    """One that gets no further goes for a newcomer, and with it its descriptor."""
    running = start_server(tls=master, limits=Limits(connections=3, first_byte=600.0, frame=600.0))
    peers = []
    for _ in range(12):
        peers.append(raw(running))
        peers[-1].send(hello()[:20])
    poll_for(lambda: running.server.given_up == 9)
    poll_for(lambda: len(still_open(peers)) == 3)
