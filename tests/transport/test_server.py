"""The server's own life: it binds, starts, stops, and leaves nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from nodes.transport import Lane, Limits, Server, messages
from nodes.transport.responder import ROOT
from tests.kit import PATIENCE, ServerThread, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    COMMON,
    FIRST_VERB,
    Gate,
    RawPeer,
    RecordingService,
    RunningServer,
    calling,
    descriptor,
)

Dials = Callable[[RunningServer], Lane]


def server_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tested")]


def test_its_address_is_known_and_connectable_before_it_starts() -> None:
    running = RunningServer(Limits(), COMMON, start=False)
    try:
        assert running.address[1] > 0
        with Lane.dial(*running.address) as lane:
            running.loop.call(running.server.start)
            assert lane.call("echo", 1, timeout=PATIENCE) == (1,)
    finally:
        running.stop()


def test_an_address_in_use_is_the_systems_own_error(start_server: StartServer) -> None:
    running = start_server()
    with pytest.raises(OSError, match="address") as raised:
        Server(lambda: RecordingService({}), port=running.address[1])
    assert raised.value.errno == errno.EADDRINUSE


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        running = ServerThread(lambda: RecordingService(COMMON), host="::1")
    except OSError:
        pytest.skip("no IPv6 address here")
    with running, Lane.dial(*running.address) as lane:
        assert running.address[0] == "::1"
        assert lane.call("echo", timeout=PATIENCE) == ()


def test_it_starts_once(start_server: StartServer) -> None:
    running = start_server()
    with pytest.raises(RuntimeError, match="once"):
        running.loop.call(running.server.start)
    running.loop.run(running.server.stop())
    with pytest.raises(RuntimeError, match="once"):
        running.loop.call(running.server.start)


def test_one_that_never_started_stops() -> None:
    server = Server(lambda: RecordingService({}))
    server.leave_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address)


def test_stopping_ends_every_connection(start_server: StartServer, dial: Dials) -> None:
    running = start_server()
    lanes = [dial(running) for _ in range(5)]
    for lane in lanes:
        lane.call("echo", timeout=PATIENCE)
    assert len(server_threads()) == 1
    running.stop()
    assert server_threads() == []
    poll_for(lambda: all(lane.stale for lane in lanes))
    assert [service.closed for service in running.services] == [1] * 5
    assert running.server.connections == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(running.address)
    running.stop()


def test_stopping_does_not_wait_for_a_peer_that_does_not_read(
    start_server: StartServer, ended: ExitStack
) -> None:
    """In the middle of a send that nobody takes; a frozen peer looks like it."""
    running = start_server({"big": lambda: bytes(24 << 20)}, limits=Limits(frame=600.0))
    peer = RawPeer(running.address, receive_buffer=4096)
    ended.callback(peer.sock.close)
    peer.call("big")
    first = len(messages.reference_reply(1, ROOT)) + len(messages.reference_reply(2, FIRST_VERB))
    while first > 0:
        first -= len(peer.sock.recv(first))
    assert peer.sock.recv(1), "the large answer is on its way"
    running.stop()
    assert server_threads() == []


def test_the_port_is_anothers_at_once_while_who_is_connected_is_served_on(
    start_server: StartServer, dial: Dials, ended: ExitStack
) -> None:
    running = start_server()
    lane = dial(running)
    lane.call("echo", 1, timeout=PATIENCE)
    silent = RawPeer(running.address)
    ended.callback(silent.sock.close)
    running.loop.call(running.server.leave_port)
    successor = ServerThread(lambda: RecordingService(COMMON), port=running.address[1])
    ended.callback(successor.stop)
    assert silent.rest() == b""
    assert lane.call("echo", 2, timeout=PATIENCE) == (2,)
    running.loop.call(running.server.leave_port)


def test_who_finishes_answers_what_was_asked_and_ends_the_rest(
    start_server: StartServer, dial: Dials
) -> None:
    gate = Gate()
    running = start_server({"wait": gate.wait})
    idle, busy = dial(running), dial(running)
    for lane in (idle, busy):
        lane.call("echo", timeout=PATIENCE)
    with calling(busy, "wait") as answer:
        poll_for(lambda: gate.entered)
        running.loop.run(running.server.finish(0.01))
        poll_for(lambda: idle.stale)
        poll_for(lambda: running.server.connections == 1)
        gate.open(running)
        assert answer.result() == 1
    poll_for(lambda: busy.stale)
    running.loop.run(running.server.finish(PATIENCE))
    assert running.server.connections == 0


def test_finished_connections_are_forgotten(start_server: StartServer) -> None:
    running = start_server()
    for _ in range(30):
        with Lane.dial(*running.address) as lane:
            lane.call("echo", timeout=PATIENCE)
        poll_for(lambda: running.server.connections == 0)
    assert len(server_threads()) == 1


def test_accepted_connections_do_not_wait_to_send(start_server: StartServer, dial: Dials) -> None:
    running = start_server()
    lane = dial(running)
    lane.call("echo", timeout=PATIENCE)
    (connection,) = running.server._places
    accepted = connection._sock
    assert accepted is not None
    with socket.socket(fileno=socket.dup(descriptor(lane))) as dialled:
        for sock in (accepted, dialled):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_nor_do_they_on_a_loop_of_asyncio() -> None:
    """Which does not see to it, unlike uvloop."""

    async def accepted() -> int:
        server = Server(lambda: RecordingService(COMMON))
        server.start()
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(messages.root_request(1))
        await reader.readexactly(1)
        (connection,) = server._places
        assert connection._sock is not None
        found = connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await server.stop()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return found

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(accepted())
