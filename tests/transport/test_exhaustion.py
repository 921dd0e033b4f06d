"""Too many connections, no descriptors: who is there goes on being served."""

from __future__ import annotations

import logging
import os
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from nodes.transport import Lane, Limits, RemoteFailure, messages
from nodes.transport.frames import frame
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import RawPeer, RunningServer, still_open

pytestmark = pytest.mark.usefixtures("quiet")
ConnectRaw = Callable[[RunningServer], RawPeer]
SHORT = 0.05
WAITING = 4
TURNED_AWAY = 5


def overloaded(lane: Lane) -> str:
    with pytest.raises(RemoteFailure) as raised:
        lane.call("echo", timeout=PATIENCE)
    assert raised.value.kind == "Overloaded"
    return raised.value.message


def proved(peer: RawPeer) -> RawPeer:
    """A peer that was answered: its place is safe for a while."""
    peer.send(messages.root_request(0))
    assert peer.sock.recv(1000)
    return peer


def warnings_in(log: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in log.records if r.levelno > logging.DEBUG]


def test_one_connection_too_many_is_told_so(
    start_server: StartServer, dial: Callable[[RunningServer], Lane], loud: pytest.LogCaptureFixture
) -> None:
    running = start_server(limits=Limits(connections=2, tenure=600.0, turn=SHORT))
    kept = [dial(running), dial(running)]
    for lane in kept:
        lane.call("echo", timeout=PATIENCE)
    for _ in range(3):
        assert "all 2 connections are in use" in overloaded(dial(running))
    assert [lane.call("echo", timeout=PATIENCE) for lane in kept] == [(), ()]
    assert running.server.refused == 3
    assert len(warnings_in(loud)) == 1, "one line, however many are refused"
    kept[0].close()
    poll_for(lambda: running.server.connections == 1)
    assert dial(running).call("echo", 3, timeout=PATIENCE) == (3,)


def test_a_stock_client_is_told_so_too(
    start_server: StartServer,
    dial: Callable[[RunningServer], Lane],
    connect: Callable[[RunningServer], object],
    loud: pytest.LogCaptureFixture,
) -> None:
    running = start_server(limits=Limits(connections=1, tenure=600.0, turn=SHORT))
    dial(running).call("echo", timeout=PATIENCE)
    with pytest.raises(Exception, match="try again in a moment") as raised:
        connect(running).root.echo()  # type: ignore[attr-defined]
    assert type(raised.value).__name__ == "rollcall.Overloaded"
    assert loud.records


def test_connections_are_bounded(
    start_server: StartServer, raw: ConnectRaw, loud: pytest.LogCaptureFixture
) -> None:
    running = start_server(
        limits=Limits(
            connections=3,
            waiting=WAITING,
            turn=600.0,
            probation=TURNED_AWAY,
            probation_s=600.0,
            tenure=600.0,
        )
    )
    peers = [proved(raw(running)) for _ in range(3)]
    for _ in range(WAITING + TURNED_AWAY + 20):
        peers.append(raw(running))
        peers[-1].send(b"\x00")
    poll_for(lambda: len(still_open(peers)) == 3 + WAITING + TURNED_AWAY)
    assert running.server.connections == 3
    assert running.server.refused == TURNED_AWAY + 20
    running.stop()
    assert len(warnings_in(loud)) == 1


def test_who_is_turned_away_may_say_anything_or_nothing(
    start_server: StartServer,
    dial: Callable[[RunningServer], Lane],
    raw: ConnectRaw,
    loud: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(connections=1, tenure=600.0, turn=SHORT, probation_s=4 * SHORT)
    running = start_server(limits=limits)
    dial(running).call("echo", timeout=PATIENCE)
    for said in (b"\x00", b"GET / HTTP/1.1\r\n\r\n", frame(b"nonsense")):
        peer = raw(running)
        peer.send(said)
        assert peer.rest() == b""
    peer = raw(running)
    peer.finish()
    assert peer.rest() == b""
    assert len(warnings_in(loud)) == 1


def test_running_out_of_descriptors_is_survived(
    start_server: StartServer,
    ended: ExitStack,
    loud: pytest.LogCaptureFixture,
) -> None:
    running = start_server(limits=Limits(accept_retry=0.001))
    waiting = socket.socket()
    ended.callback(waiting.close)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        waiting.settimeout(PATIENCE)
        waiting.connect(running.address)
        poll_for(lambda: "trying again" in loud.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    waiting.sendall(messages.root_request(0))
    assert waiting.recv(1000)
    assert loud.text.count("trying again") == 1, "one line, however often it tries"
