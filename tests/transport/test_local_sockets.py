"""Local sockets: taken where there are any, and nothing is different but the speed.

The other tests of the transport are about TCP; those above it take whatever there is.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from nodes.transport import (
    CallTimeout,
    DialFailed,
    Lane,
    Limits,
    LinkLost,
    Server,
    Service,
    dial,
)
from nodes.transport.local_sockets import connect_locally, listen_locally
from nodes.transport.stream import Stream
from tests.kit import PATIENCE, poll_for
from tests.transport.kit import COMMON, Gate, RecordingService, RunningServer

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names for local sockets"),
]
NOBODY = 65534


@pytest.fixture
def running() -> Iterator[RunningServer]:
    running = RunningServer(Limits(), {**COMMON, "wait": Gate().wait}, local=True)
    yield running
    running.stop()


def family(lane: Lane) -> socket.AddressFamily:
    return lane.sock.family


def test_a_client_of_this_machine_and_user_takes_one(running: RunningServer) -> None:
    with Lane.dial(*running.address) as lane:
        assert family(lane) == socket.AF_UNIX
        assert lane.address == running.address
        assert lane.call("echo", "é" * 100_000, timeout=PATIENCE) == ("é" * 100_000,)
    [service] = running.services
    assert [peer.host for peer in service.opened] == ["127.0.0.1"]
    poll_for(lambda: service.closed == 1)


def test_an_event_loop_takes_one_too(running: RunningServer) -> None:
    async def ask() -> object:
        connection = await dial(*running.address, service=Service())
        try:
            return await connection.call("echo", "x", timeout_s=PATIENCE)
        finally:
            connection.close()
            await connection.wait_ended()

    assert asyncio.run(ask()) == ("x",)
    [service] = running.services
    assert [peer.port for peer in service.opened] == [0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_another_way_to_say_this_machine_leads_to_the_port(host: str) -> None:
    assert connect_locally(host, 23000) is None


def test_a_server_without_one_is_reached_by_its_port() -> None:
    running = RunningServer(Limits(), COMMON)
    with Lane.dial(*running.address) as lane:
        assert family(lane) == socket.AF_INET
        assert lane.call("echo", 1, timeout=PATIENCE) == (1,)
    running.stop()


def test_who_listens_everywhere_is_found_on_this_machine() -> None:
    async def names() -> bool:
        server = Server(lambda: RecordingService(COMMON), host="0.0.0.0")
        server.start()
        found = connect_locally("127.0.0.1", server.address[1])
        await server.stop()
        if found is None:
            return False
        found.close()
        return True

    assert asyncio.run(names())


def test_a_name_that_is_taken_is_an_address_in_use(running: RunningServer) -> None:
    """Else clients would find whoever has it."""
    with pytest.raises(OSError, match="in use"):
        listen_locally(*running.address)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
        taken = listen_locally(*address)
        assert taken is not None
    with taken, pytest.raises(OSError, match="in use"):
        Server(lambda: RecordingService(COMMON), host=address[0], port=address[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_server_of_another_user_is_reached_by_its_port_alone() -> None:
    with ExitStack() as stack:
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        os.seteuid(NOBODY)
        try:
            foreign = listen_locally(*port.getsockname())
        finally:
            os.seteuid(0)
        assert foreign is not None
        stack.enter_context(foreign)
        assert connect_locally(*port.getsockname()) is None
        with Lane.dial(*port.getsockname()) as lane:
            assert family(lane) == socket.AF_INET


def test_it_goes_with_the_port(running: RunningServer) -> None:
    with Lane.dial(*running.address) as lane:
        assert lane.call("echo", 1, timeout=PATIENCE) == (1,)
        running.loop.call(running.server.leave_port)
        assert connect_locally(*running.address) is None
        with pytest.raises(DialFailed):
            Lane.dial(*running.address)
        assert lane.call("echo", 2, timeout=PATIENCE) == (2,), "who was there is served on"
        running.loop.run(running.server.stop())
        with pytest.raises(LinkLost):
            lane.call("echo", 3, timeout=PATIENCE)


def test_a_wait_ends_by_its_deadline(running: RunningServer) -> None:
    began = time.monotonic()
    with Lane.dial(*running.address) as lane, pytest.raises(CallTimeout):
        lane.call("wait", timeout=0.1)
    assert time.monotonic() - began < PATIENCE


def test_a_send_ends_by_its_deadline_however_slowly_it_is_taken() -> None:
    """The kernel begins the time of a send anew with each piece that is taken."""
    ours, theirs = socket.socketpair()
    done = threading.Event()

    def sip() -> None:
        while not done.wait(0.02) and theirs.recv(20_000):
            pass

    thread = threading.Thread(target=sip)
    thread.start()
    began = time.monotonic()
    stream = Stream(ours)
    with pytest.raises(TimeoutError):
        stream.send(b"x" * 40_000_000, began + 0.3)
    took_s = time.monotonic() - began
    done.set()
    thread.join(PATIENCE)
    ours.close()
    theirs.close()
    assert 0.3 <= took_s < PATIENCE


def test_as_many_may_be_silent_as_there_is_room_for() -> None:
    limits = Limits(first_byte=0.1)
    running = RunningServer(limits, COMMON, local=True)
    silent = connect_locally(*running.address)
    assert silent is not None
    silent.settimeout(PATIENCE)
    assert silent.recv(1) == b"", "who says nothing is let go"
    silent.close()
    running.stop()
