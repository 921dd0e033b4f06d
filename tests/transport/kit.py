"""Peers for the transport's tests: a recording service, a raw peer, a server with a script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import trustme
from hypothesis import strategies as st
from rpyc.core import brine, consts
from rpyc.core.vinegar import GenericException

from nodes.transport import (
    Lane,
    Limits,
    LinkLost,
    LoopThread,
    Peer,
    Server,
    Service,
    messages,
    shortcuts,
)
from nodes.transport.frames import HEADER, FrameReader, frame
from nodes.transport.responder import ROOT
from nodes.transport.stream import CHUNK_BYTES
from tests.kit import PATIENCE

Verb = Callable[..., object]


class RecordingService(Service):
    """Answers with the verbs it is given, and keeps account of its connection."""

    def __init__(self, verbs: dict[str, Verb]) -> None:
        self.callables = verbs
        self.opened: list[Peer] = []
        self.closed = 0

    def verb(self, name: str) -> Verb | None:
        return self.callables.get(name)

    def verbs(self) -> Iterable[str]:
        return self.callables

    def on_open(self, peer: Peer) -> None:
        self.opened.append(peer)

    def on_close(self) -> None:
        self.closed += 1


class RunningServer:
    """A server, and the services it made, in the order of their connections."""

    def __init__(
        self,
        limits: Limits,
        verbs: dict[str, Verb],
        kind: type[RecordingService] = RecordingService,
        tls: ssl.SSLContext | None = None,
        *,
        start: bool = True,
        local: bool = False,
    ) -> None:
        self.services: list[RecordingService] = []
        self._kind = kind
        self._verbs = verbs
        self.loop = LoopThread("tested")
        self.server = Server(self._open, limits=limits, tls=tls, local=local)
        self.loop.start()
        if start:
            self.loop.call(self.server.start)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.address

    def stop(self) -> None:
        """Ends the server and its loop."""
        if not self.loop.loop.is_closed():
            self.loop.run(self.server.stop())
            assert self.loop.stop()

    def _open(self) -> RecordingService:
        service = self._kind(self._verbs)
        self.services.append(service)
        return service


class Gate:
    """A verb that waits until it is opened."""

    def __init__(self) -> None:
        self.entered = 0
        self._opened = asyncio.Event()

    async def wait(self) -> int:
        self.entered += 1
        await self._opened.wait()
        return self.entered

    def open(self, running: RunningServer) -> None:
        running.loop.post(self._opened.set)


def echo(*args: object) -> object:
    """What a verb was given, as it was given."""
    return args


def named(first: object, *, second: object = None) -> object:
    return (first, second)


def shapes(*args: object) -> str:
    """The types of a verb's arguments: what it sees, without looking into it."""
    return " ".join(type(arg).__name__ for arg in args)


COMMON: dict[str, Verb] = {"echo": echo, "named": named, "shapes": shapes}


FIRST_VERB = messages.VERB
"""What a connection of ours calls the first verb that is asked for."""


class RawPeer:
    """A peer that writes what it likes."""

    def __init__(self, address: tuple[str, int], receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it may have been thrown out already
            self.sock.sendall(data)

    def ask(self, payload: bytes) -> None:
        self.send(frame(payload))

    def call(self, verb: str, *args: object) -> None:
        """Ask for the root, for a verb, and call that, without waiting for any answer."""
        self.send(messages.root_request(1))
        self.send(messages.verb_request(2, ROOT, verb))
        self.send(
            messages.call_request(3, messages.call_head(FIRST_VERB), messages.arguments(args))
        )

    def finish(self) -> None:
        """Say that no more will come."""
        with contextlib.suppress(OSError):  # it may have been thrown out already
            self.sock.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """All that comes until the other end closes; TimeoutError if it does not."""
        chunks = []
        with contextlib.suppress(ConnectionError):
            while data := self.sock.recv(CHUNK_BYTES):
                chunks.append(data)
        return b"".join(chunks)

    def answers(self) -> list[messages.Message]:
        """All answers that come until the other end closes."""
        return parse(self.rest())


def hello() -> bytes:
    """What a browser says first when it expects TLS."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(into, out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def listens_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """What a server listens with that has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def still_open(peers: list[RawPeer]) -> list[RawPeer]:
    """Those that the other end has not closed."""

    def is_open(peer: RawPeer) -> bool:
        try:
            return peer.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    for peer in peers:
        peer.sock.settimeout(None)
    return [peer for peer in peers if is_open(peer)]


def parse(stream: bytes) -> list[messages.Message]:
    """The messages in a stream of frames."""
    reader = FrameReader(1 << 26)
    reader.feed(stream)
    found = []
    while (payload := reader.next()) is not None:
        found.append(messages.load(payload, messages.MAX_REPLY_READS))
    assert not reader.buffered, "a piece of a frame is left"
    return found


def serves(running: RunningServer) -> bool:
    """Whether a well-behaved peer is still answered."""
    with Lane.dial(*running.address) as lane:
        return lane.call("echo", 1, timeout=PATIENCE) == (1,)


def squeezed(payload: bytes) -> bytes:
    body = zlib.compress(payload, 9)
    return HEADER.pack(len(body), 1) + body + b"\n"


Script = Sequence[Callable[[int], bytes]]
ROOT_REF = ("scripted.Root", 1, 1)
VERB_REF = ("scripted.verb", 2, 2)


def after_resolving(*answers: Callable[[int], bytes]) -> Script:
    """A script that answers a lane's two look-ups first, then goes on as told."""
    return (
        lambda seq: messages.reference_reply(seq, ROOT_REF),
        lambda seq: messages.reference_reply(seq, VERB_REF),
        *answers,
    )


def load_call(payload: bytes, heads: dict[bytes, int]) -> tuple[int, int, object] | None:
    """The short way to decode a call; None if `messages.load` has to look at it."""
    found = shortcuts.find_call(payload, heads)
    if found is None:
        return None
    seq, called, start = found
    args = shortcuts.call_arguments(payload, start, messages.MAX_REQUEST_READS)
    return None if args is None else (brine.load(seq), called, args)


def value(what: object) -> Callable[[int], bytes]:
    return lambda seq: messages.value_reply(seq, what)


class ScriptedServer:
    """A server that answers each request of its one connection with the next line of a script.

    At the script's end it hangs up, or, if it should `linger`, waits for the peer to.
    """

    def __init__(self, script: Script, *, linger: bool = True) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.requests: list[messages.Message] = []
        self._script = script
        self._linger = linger
        self._thread = threading.Thread(target=self._run, name="scripted")
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(TimeoutError, OSError):
            sock, _ = self._listener.accept()
            with sock, contextlib.suppress(ConnectionError):
                sock.settimeout(PATIENCE)
                self._perform(sock)

    def _perform(self, sock: socket.socket) -> None:
        reader = FrameReader(1 << 26)
        for line in self._script:
            while (payload := reader.next()) is None:
                if not (data := sock.recv(CHUNK_BYTES)):
                    return
                reader.feed(data)
            request = messages.load(payload, messages.MAX_REPLY_READS)
            self.requests.append(request)
            sock.sendall(line(request.seq))
        while self._linger and sock.recv(CHUNK_BYTES):
            pass

    def handlers(self) -> list[int]:
        """Which of RPyC's requests it was asked so far."""
        found = []
        for request in self.requests:
            match request.body:
                case (int() as handler, _):
                    found.append(handler)
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()


LOOKED_UP = [consts.HANDLE_GETROOT, consts.HANDLE_GETATTR, consts.HANDLE_CALL]


@contextlib.contextmanager
def lane_to(script: Script, *, linger: bool = True, limits: Limits | None = None) -> Iterator[Lane]:
    """A lane whose peer follows a script."""
    scripted = ScriptedServer(script, linger=linger)
    try:
        with Lane.dial(*scripted.address, limits=limits or Limits()) as lane:
            yield lane
    finally:
        scripted.close()


def ask(lane: Lane, verb: str, *args: Any, **named: Any) -> object:
    """A call with all the time there is."""
    return lane.call(verb, *args, timeout=PATIENCE, named=named)


@contextlib.contextmanager
def calling(lane: Lane, verb: str, *args: Any) -> Iterator[Future[object]]:
    """A call under way in a thread of its own, and what becomes of it."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(ask, lane, verb, *args)


def descriptor(lane: Lane) -> int:
    """That of a lane's socket, -1 if it is closed."""
    return lane.sock.fileno()


def lost(lane: Lane) -> str:
    """What a lane says when its next call ends with the connection; it must be closed then."""
    try:
        got = lane.call("anything", timeout=PATIENCE)
    except LinkLost as exc:
        assert lane.closed
        assert descriptor(lane) == -1
        return str(exc)
    raise AssertionError(f"the call was answered: {got!r}")


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
)
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=6).map(tuple), max_leaves=20)
"""All that crosses by value, as far as verbs of ours use it."""


def defect(call: Callable[[], object]) -> str:
    """What a client is told of a defect: a class of its own, and which exception it was."""
    with pytest.raises(GenericException) as raised:
        call()
    assert type(raised.value).__name__ == "rollcall.InternalError"
    (text,) = raised.value.args
    assert "<traceback denied>" in str(raised.value)
    return str(text)
