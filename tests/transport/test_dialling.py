"""Connections made from an event loop: both ends ask, many calls at a time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest
import trustme

from nodes.security.tls import CertificateRole, Tls
from nodes.transport import (
    CallTimeout,
    Connection,
    DialFailed,
    HandshakeFailed,
    Limits,
    LinkLost,
    LoopThread,
    Peer,
    ProtocolError,
    RemoteFailure,
    Secure,
    Value,
    dial,
    messages,
)
from nodes.transport.frames import HEADER
from tests.kit import PATIENCE, poll_for
from tests.transport.conftest import StartServer
from tests.transport.kit import (
    COMMON,
    LOOKED_UP,
    RecordingService,
    ScriptedServer,
    after_resolving,
    listens_with,
    value,
)

T = TypeVar("T")


class Dialler:
    """A loop that dials, and what answers on its connections."""

    def __init__(self, stack: ExitStack) -> None:
        self.loop = LoopThread("dials")
        self.loop.start()
        self.service = RecordingService({**COMMON, "home": lambda: "home"})
        stack.callback(self._stop)
        self._connections: list[Connection] = []

    def dial(
        self,
        address: tuple[str, int],
        *,
        limits: Limits | None = None,
        tls: Secure | None = None,
        timeout_s: float = PATIENCE,
    ) -> Connection:
        made = self.run(
            lambda: dial(
                *address,
                service=self.service,
                limits=limits or Limits(),
                tls=tls,
                timeout_s=timeout_s,
            )
        )
        self._connections.append(made)
        return made

    def call(
        self, connection: Connection, verb: str, *args: Value, timeout_s: float = PATIENCE
    ) -> Value:
        return self.run(lambda: connection.call(verb, *args, timeout_s=timeout_s))

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def do() -> T:
            return await work()

        return self.loop.run(do())

    def _stop(self) -> None:
        for connection in self._connections:
            connection.abort()
            self.run(connection.wait_ended)
        assert self.loop.stop()


@pytest.fixture
def dialler(ended: ExitStack) -> Dialler:
    return Dialler(ended)


@pytest.fixture
def nobody() -> Iterator[tuple[str, int]]:
    """An address where nobody listens, and nobody else will."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


def test_many_calls_at_a_time(start_server: StartServer, dialler: Dialler) -> None:
    go = asyncio.Event()

    async def wait(number: int) -> int:
        await go.wait()
        return number

    running = start_server({"wait": wait})
    connection = dialler.dial(running.address)

    async def all_of_them() -> list[Value]:
        waiting = [
            asyncio.ensure_future(connection.call("wait", number, timeout_s=PATIENCE))
            for number in range(100)
        ]
        assert await connection.call("echo", "meanwhile", timeout_s=PATIENCE) == ("meanwhile",)
        running.loop.post(go.set)
        return await asyncio.gather(*waiting)

    assert dialler.run(all_of_them) == list(range(100))
    assert dialler.service.opened == [Peer(*running.address)]


def test_the_server_asks_as_well(start_server: StartServer, dialler: Dialler) -> None:
    running = start_server()
    connection = dialler.dial(running.address)
    assert dialler.call(connection, "echo", 1) == (1,)
    back = running.services[0].connection
    assert running.loop.run(back.call("home", timeout_s=PATIENCE)) == "home"
    with pytest.raises(RemoteFailure, match="no such verb"):
        running.loop.run(back.call("__class__", timeout_s=PATIENCE))
    assert dialler.call(connection, "echo", 2) == (2,)


def test_a_large_answer_is_taken_from_who_was_asked(
    start_server: StartServer, dialler: Dialler
) -> None:
    limits = Limits(frame_in=10_000)
    running = start_server({"big": lambda: bytes(20_000)}, limits=limits)
    dialler.service.callables["big"] = lambda: bytes(20_000)
    connection = dialler.dial(running.address, limits=limits)
    assert dialler.call(connection, "big") == bytes(20_000)
    back = running.services[0].connection
    running.loop.call(back.expect_replies)
    assert running.loop.run(back.call("big", timeout_s=PATIENCE)) == bytes(20_000)


def test_a_call_that_is_not_answered_in_time(start_server: StartServer, dialler: Dialler) -> None:
    """Its answer may still come, and is nobody's."""
    go = asyncio.Event()
    running = start_server({"wait": go.wait})
    connection = dialler.dial(running.address)
    dialler.call(connection, "echo")
    with pytest.raises(CallTimeout, match="no answer within"):
        dialler.call(connection, "wait", timeout_s=0.01)
    running.loop.post(go.set)
    assert dialler.call(connection, "echo", 1) == (1,)
    assert not connection.ended


def test_who_waits_is_told_of_the_end(start_server: StartServer, dialler: Dialler) -> None:
    running = start_server({"wait": asyncio.Event().wait})
    connection = dialler.dial(running.address)
    dialler.call(connection, "echo")

    async def wait() -> None:
        waiting = asyncio.ensure_future(connection.call("wait", timeout_s=PATIENCE))
        await connection.call("echo", timeout_s=PATIENCE)
        running.loop.post(running.services[0].connection.abort)
        with pytest.raises(LinkLost):
            await waiting
        await connection.wait_ended()

    dialler.run(wait)
    assert connection.ended
    assert dialler.service.closed == 1
    with pytest.raises(LinkLost):
        dialler.call(connection, "echo")


def test_nobody_listens(dialler: Dialler, nobody: tuple[str, int]) -> None:
    with pytest.raises(DialFailed, match=f"{nobody[0]}:{nobody[1]}: "):
        dialler.dial(nobody)
    assert dialler.service.opened == []


@pytest.mark.parametrize("address", [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("\ud800", 1)])
def test_what_is_no_address(dialler: Dialler, address: tuple[str, int]) -> None:
    with pytest.raises(DialFailed):
        dialler.dial(address)


def test_nobody_accepts(dialler: Dialler, ended: ExitStack) -> None:
    listener = ended.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    # What fills the queue: connects beyond it are not answered.
    for _ in range(3):
        filler = ended.enter_context(socket.socket())
        filler.settimeout(0.0)
        filler.connect_ex(listener.getsockname())
    with pytest.raises(DialFailed, match=r"no connection within 0\.1 s"):
        dialler.dial(listener.getsockname(), timeout_s=0.1)


NONSENSE = {
    "HTTP": lambda _seq: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a frame of 4 GB": lambda _seq: HEADER.pack(2**32 - 1, 0),
    "an answer to nothing": lambda seq: messages.value_reply(seq + 1, 1),
    "a reference": lambda seq: messages.reference_reply(seq, ("a", 1, 2)),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_peer_that_answers_nonsense_is_hung_up_on(
    dialler: Dialler, ended: ExitStack, what: str
) -> None:
    scripted = ScriptedServer(after_resolving(value("fine"), NONSENSE[what]))
    ended.callback(scripted.close)
    connection = dialler.dial(scripted.address)
    assert dialler.call(connection, "verb") == "fine"
    with pytest.raises(ProtocolError):
        dialler.call(connection, "verb")
    poll_for(lambda: connection.ended)
    assert scripted.handlers() == [*LOOKED_UP, LOOKED_UP[-1]]


def test_arguments_that_cannot_cross_cost_nothing(
    start_server: StartServer, dialler: Dialler
) -> None:
    connection = dialler.dial(start_server().address)
    for argument in ([1], "\ud800", bytes(Limits().frame_in)):
        with pytest.raises((TypeError, ValueError)):
            dialler.call(connection, "echo", argument)  # type: ignore[arg-type]
    assert dialler.call(connection, "echo", 1) == (1,)


# -- TLS -----------------------------------------------------------------------------------


def test_both_ends_are_proved(
    start_server: StartServer, dialler: Dialler, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server(tls=master)
    connection = dialler.dial(running.address, tls=to_master)
    assert dialler.call(connection, "echo", "x" * 100_000) == ("x" * 100_000,)
    (asking,) = running.services[0].opened
    assert connection.peer.certificate is not None
    assert asking.certificate is not None
    assert (connection.peer.certificate.role, asking.certificate.role) == ("master", "worker")


def test_a_server_of_another_role(
    start_server: StartServer, dialler: Dialler, master: ssl.SSLContext, to_master: Secure
) -> None:
    running = start_server(tls=master)
    with pytest.raises(HandshakeFailed, match="the peer's certificate is a master's"):
        dialler.dial(running.address, tls=Secure(to_master.context, "worker"))
    poll_for(lambda: running.server.connections == 0)


def test_a_server_that_is_not_trusted(
    start_server: StartServer, dialler: Dialler, foreign: trustme.CA, to_master: Secure
) -> None:
    running = start_server(tls=listens_with(foreign.issue_cert("127.0.0.1")))
    with pytest.raises(HandshakeFailed, match="not from the cluster's CA"):
        dialler.dial(running.address, tls=to_master)


def test_a_server_without_tls(
    start_server: StartServer, dialler: Dialler, to_master: Secure
) -> None:
    with pytest.raises(DialFailed):
        dialler.dial(start_server().address, tls=to_master)


def test_a_server_that_wants_a_certificate(
    start_server: StartServer, dialler: Dialler, master: ssl.SSLContext, folder: Path
) -> None:
    """With TLS 1.3 it says so once the dialling end is done: there, or at the first call."""
    context = Tls(folder, CertificateRole.MASTER).listening()
    context.verify_mode = ssl.CERT_REQUIRED
    running = start_server(tls=context)
    with pytest.raises(LinkLost, match="wants a certificate, and none was shown"):
        dialler.call(dialler.dial(running.address, tls=nameless(folder)), "echo")
    assert running.services == []
    anyone = start_server(tls=master)
    connection = dialler.dial(anyone.address, tls=nameless(folder))
    assert dialler.call(connection, "echo", 1) == (1,)


def nameless(folder: Path) -> Secure:
    """A client that shows nothing."""
    return Tls(folder, None).to_master()
