"""The asking end: one connection, one by-value call in flight, one deadline over it.

A lane is a socket, so a caller may wait for either of two lanes with one `select`
on their `fileno`, and give up on one by closing it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Self, TypeVar, cast

from rpyc.core import consts

from nodes.transport import messages
from nodes.transport.errors import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    RemoteFailure,
)
from nodes.transport.frames import Broken, FrameReader
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.stream import Stream
from nodes.transport.tls import Secure, TlsFailed, dial_tls
from nodes.transport.values import IdPack, Value

T = TypeVar("T")

HEADING = 2048
"""Bytes that a call's frame may take besides its arguments; far more than it does."""

NEXT_STEP = 0.1
"""Seconds that the next step of looking a verb up may take to be sent: a few bytes, on a
connection on which nothing is under way."""

MOST_TEXT = 300
"""Characters kept of a peer's words; they end up in logs and on screens."""


class Lane:
    """A connection to one server, of ours or a stock RPyC one.

    For one thread at a time; only `abort` may come from another. Every error but
    `RemoteFailure` closes the lane: what else might still arrive on it would be taken
    for the next call's answer.

    Args:
        sock: connected, and the lane's own from now on.
        limits: the peer's, as far as is known; `frame_in` and `frame_reply` matter here.
        stream: over that socket, if it is another than a plain one.
    """

    def __init__(
        self, sock: socket.socket, limits: Limits = DEFAULTS, stream: Stream | None = None
    ) -> None:
        self.address: tuple[str, int] = sock.getpeername()[:2]
        self._sock = sock
        self._stream = stream or Stream(sock)
        self._limits = limits
        self._reader = FrameReader(limits.frame_reply)
        self._root: IdPack | None = None
        self._heads: dict[str, bytes] = {}
        # Where a lane begins is its own: what answers another lane's question is no answer here.
        self._seq = random.randrange(messages.SMALL)  # noqa: S311 - no secret
        self._verb = ""  # of the call in flight
        self._args = b""
        self._ending = threading.Lock()
        self._closed = False

    @classmethod
    def dial(
        cls,
        host: str,
        port: int,
        *,
        timeout: float = 1.0,
        limits: Limits = DEFAULTS,
        tls: Secure | None = None,
    ) -> Self:
        """Connect; nothing is sent yet, so a frozen peer is seen only by the first call.

        With TLS the handshake is part of it; what the peer thinks of our certificate is
        seen by the first call as well.

        Args:
            host: address or name; the look-up of a name is the system's, and not timed.
            port: 1 to 65535.
            timeout: seconds, for each address of the name, the handshake included.
            limits: see `Lane`.
            tls: how the peer, which must prove to be `host`, is checked; None for no TLS.

        Raises:
            HandshakeFailed: TLS says no; the message says why.
            DialFailed: no connection.
        """
        deadline = time.monotonic() + timeout
        try:
            sock = socket.create_connection((host, port), timeout)
        # The latter two: no name at all, and no port.
        except (OSError, ValueError, OverflowError) as exc:
            raise DialFailed(f"{host}:{port}: {exc}") from exc
        try:
            # Linux may join a socket that dials a free local port to itself.
            if sock.getsockname() == sock.getpeername():
                raise DialFailed(f"{host}:{port}: nobody listens there")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is None:
                return cls(sock, limits)
            return cls(sock, limits, dial_tls(sock, tls, host, deadline))
        except (TlsFailed, ValueError) as exc:  # the latter: a name that cannot be checked
            sock.close()
            raise HandshakeFailed(f"{host}:{port}: {exc}") from exc
        except OSError as exc:
            sock.close()
            raise DialFailed(f"{host}:{port}: {exc}") from exc
        except BaseException:
            sock.close()
            raise

    def call(
        self, verb: str, *args: Value, timeout: float, named: Mapping[str, Value] | None = None
    ) -> Value:
        """Call a verb and wait for its value: `send` and `receive` under one deadline.

        Args:
            verb: its name; looked up once a lane (two more round trips), then kept.
            args: by value, exact types.
            timeout: seconds, for everything.
            named: arguments by name.

        Raises:
            CallTimeout, LinkLost: and the lane is closed.
            RemoteFailure: the peer answered with an exception; the lane is idle again.
            TypeError, ValueError: an argument cannot cross; nothing was sent, and the
                lane is idle.
        """
        self._accept(verb, args, named)
        return self._guard(self._ask_and_await, timeout)

    def send(
        self, verb: str, *args: Value, timeout: float, named: Mapping[str, Value] | None = None
    ) -> None:
        """Send a call without waiting for its answer; `receive` must follow.

        The lane becomes readable when something arrives. The first call of a verb looks
        the verb up; that is sent here, and the rest is up to `receive` or `arrived`.
        Arguments and errors are those of `call`.
        """
        self._accept(verb, args, named)
        self._guard(self._ask, timeout)

    def arrived(self, *, timeout: float) -> tuple[Value] | None:
        """The value of the call sent, if it arrives within `timeout` seconds.

        None says that it did not: the lane waits on, and may be asked again. Other errors
        are those of `call`.
        """
        if not (self._verb or self._closed):
            raise RuntimeError("nothing was sent on this lane")
        return self._guard(self._await_some, timeout)

    def receive(self, *, timeout: float) -> Value:
        """Wait up to `timeout` seconds for the value of the call sent; errors as `call`."""
        if not (self._verb or self._closed):
            raise RuntimeError("nothing was sent on this lane")
        return self._guard(self._await, timeout)

    def wait_closed(self, timeout: float) -> bool:
        """Whether the peer of an idle lane closed it within `timeout` seconds.

        A peer that sends anything now is answering a question that was not asked:
        the lane is closed for that as well.
        """
        if self._closed:
            return True
        if self._verb:
            raise RuntimeError("a call is in flight on this lane")
        try:
            if not self._guard(self._listen, timeout):
                return False
        except LinkLost:
            return True
        self.close()
        return True

    @property
    def stale(self) -> bool:
        """Whether an idle lane is of no more use: its peer has closed it, or spoken unasked."""
        try:
            return self._closed or self._stream.stirs(0.0)
        except (OSError, ValueError):  # the latter: the descriptor is closed already
            return True

    @property
    def closed(self) -> bool:
        """Whether it was closed at this end, by a caller or by an error."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether a call may be sent."""
        return not (self._verb or self._closed)

    def fileno(self) -> int:
        """The socket's descriptor, to select on; -1 once closed."""
        return self._sock.fileno()

    def abort(self) -> None:
        """End the connection but keep the descriptor: for a thread that is not the owner.

        A call in flight, or a `select`, wakes at once, and the owner gets `LinkLost`;
        the owner still has to `close`. Never raises.
        """
        with self._ending:  # or the descriptor could be another connection's by now
            self._closed = True
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection, any number of times. Never raises."""
        self.abort()
        with self._ending:
            self._sock.close()

    def disown(self) -> None:
        """Let go of the descriptor alone, in a forked child: the connection is the parent's."""
        self._ending = threading.Lock()  # a thread that was not forked may hold the other
        self._closed = True
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _accept(
        self, verb: str, args: tuple[Value, ...], named: Mapping[str, Value] | None
    ) -> None:
        if self._closed:
            raise LinkLost(f"{self._where}: the lane is closed")
        if self._verb:
            raise RuntimeError("a call is in flight on this lane")
        verb.encode()  # raises here, not when half of the look-up is done
        encoded = messages.arguments(args, named)
        if len(encoded) > self._limits.frame_in - HEADING:
            # The peer would hang up on it, and look like one that died of it.
            raise ValueError(f"{len(encoded)} bytes of arguments are too many")
        self._verb, self._args = verb, encoded

    def _guard(self, work: Callable[[float], T], timeout: float) -> T:
        """Do `work` by its deadline; whatever goes wrong is named, and closes the lane."""
        if self._closed:
            raise LinkLost(f"{self._where}: the lane is closed")
        deadline = time.monotonic() + timeout
        try:
            return work(deadline)
        except RemoteFailure:
            raise
        except TimeoutError as exc:
            self.close()
            raise CallTimeout(self._where, timeout) from exc
        except Broken as exc:
            self.close()
            raise ProtocolError(f"{self._where}: {exc}") from exc
        except (EOFError, OSError) as exc:
            self.close()
            raise LinkLost(f"{self._where}: {exc}") from exc
        except BaseException:
            self.close()
            raise

    @property
    def _where(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def _ask_and_await(self, deadline: float) -> Value:
        self._ask(deadline)
        return self._await(deadline)

    def _ask(self, deadline: float) -> None:
        """Send the call or, as long as the lane does not know the verb, what leads there."""
        head = self._heads.get(self._verb)
        # One call at a time: any number but that of the call before tells its answer.
        self._seq = self._seq % (messages.SMALL - 1) + 1
        if head is not None:
            frame = messages.call_request(self._seq, head, self._args)
        elif self._root is not None:
            frame = messages.verb_request(self._seq, self._root, self._verb)
        else:
            frame = messages.root_request(self._seq)
        self._stream.send(frame, deadline)

    def _await_some(self, deadline: float) -> tuple[Value] | None:
        try:
            return (self._await(deadline),)
        except TimeoutError:
            return None

    def _await(self, deadline: float) -> Value:
        while self._verb not in self._heads:
            found = _reference(self._boxed(self._payload(deadline)))
            if self._root is None:
                self._root = found
            else:
                self._heads[self._verb] = messages.call_head(found)
            # Sent even if the time of this wait is up just now: whoever waits on would wait for
            # the answer to a question that was never asked.
            self._ask(max(deadline, time.monotonic() + NEXT_STEP))
        payload = self._payload(deadline)
        reply = messages.load_value(payload, self._seq, messages.REPLY_READS)
        if reply is None:
            label, value = self._boxed(payload)
            if label != consts.LABEL_VALUE:
                raise Broken("the answer is not by value")
            reply = (cast("Value", value),)  # nothing else can be decoded
        self._verb = ""
        return reply[0]

    def _payload(self, deadline: float) -> bytes:
        payload = self._stream.receive(self._reader, deadline)
        if self._reader.held or self._stream.held():
            raise Broken("more than one answer")
        return payload

    def _boxed(self, payload: bytes) -> tuple[object, object]:
        match messages.load(payload, messages.REPLY_READS):
            case (consts.MSG_REPLY, self._seq, (label, value)):
                return label, value
            case (consts.MSG_EXCEPTION, self._seq, body):
                self._verb = ""
                raise _failure(body)
        raise Broken("not the answer to what was asked")

    def _listen(self, deadline: float) -> bool:
        # No time left still means one look: that is how a pool tells a stale lane.
        return self._stream.stirs(deadline)


def _reference(boxed: tuple[object, object]) -> IdPack:
    match boxed:
        case (consts.LABEL_REMOTE_REF, (str() as name, int() as kind, int() as number)):
            return name[:MOST_TEXT], kind, number
    raise Broken("there is a value where a verb should be")


def _failure(body: object) -> RemoteFailure:
    """What an exception reply says; one that says nothing intelligible is still one."""
    match body:
        case ((str(), str() as kind), tuple() as args, *_):
            text = " ".join(arg for arg in args if isinstance(arg, str))
            return RemoteFailure(kind[:MOST_TEXT], text[:MOST_TEXT])
    return RemoteFailure("Exception", "the peer did not say more")
