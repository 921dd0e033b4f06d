"""The asking end: one connection, one by-value call in flight, one deadline over it.

A lane is a socket, so a caller may wait for either of two lanes with one `select`
on their `fileno`, and give up on one by closing it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TypeVar

from nodes.transport.caller import Caller
from nodes.transport.errors import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    RemoteFailure,
    TlsFailed,
    TransportError,
)
from nodes.transport.frames import FrameReader, MalformedError
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.stream import Stream
from nodes.transport.values import Value

if TYPE_CHECKING:
    from nodes.transport.tls import Secure

T = TypeVar("T")

RESOLVE_STEP_S = 0.1
"""Seconds that the next request may take to be sent while a verb is resolved: a few bytes, on a
connection on which nothing is under way."""


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
        self._reader = FrameReader(limits.frame_reply)
        self._caller = Caller(limits.frame_in)
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
            from nodes.transport.tls import dial_tls  # noqa: PLC0415 - 30 ms, without TLS for nothing

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
            verb: its name; resolved once a lane (two more round trips), then kept.
            args: by value, exact types.
            timeout: seconds, for everything.
            named: arguments by name.

        Raises:
            CallTimeout, LinkLost: and the lane is closed.
            RemoteFailure: the peer answered with an exception; the lane is idle again.
            TypeError, ValueError: an argument cannot cross; nothing was sent, and the
                lane is idle.
        """
        stream = self._stream
        request = self._begin(verb, args, named)
        deadline = time.monotonic() + timeout
        try:
            stream.send(request, deadline)
            data = stream.read(deadline)
            value = self._caller.receive_whole(data, self._reader.max_bytes)
            if value is None:
                return self._finish(data, deadline)
            if stream.buffered():
                raise MalformedError("more than one answer")
            return value
        except RemoteFailure:
            raise
        except (TimeoutError, MalformedError, EOFError, OSError) as error:
            raise self._ended(error, timeout) from error
        except BaseException:
            self.close()
            raise

    def send(
        self, verb: str, *args: Value, timeout: float, named: Mapping[str, Value] | None = None
    ) -> None:
        """Send a call without waiting for its answer; `receive` must follow.

        The lane becomes readable when something arrives. The first call of a verb resolves
        it; that is sent here, and the rest is up to `receive` or `arrived`.
        Arguments and errors are those of `call`.
        """
        request = self._begin(verb, args, named)
        self._guard(lambda deadline: self._stream.send(request, deadline), timeout)

    def arrived(self, *, timeout: float) -> tuple[Value] | None:
        """The value of the call sent, if it arrives within `timeout` seconds.

        None says that it did not: the lane waits on, and may be asked again. Other errors
        are those of `call`.
        """
        if not (self._caller.in_flight or self._closed):
            raise RuntimeError("nothing was sent on this lane")
        return self._guard(self._await_some, timeout)

    def receive(self, *, timeout: float) -> Value:
        """Wait up to `timeout` seconds for the value of the call sent; errors as `call`."""
        if not (self._caller.in_flight or self._closed):
            raise RuntimeError("nothing was sent on this lane")
        return self._guard(self._await, timeout)

    def wait_closed(self, timeout: float) -> bool:
        """Whether the peer of an idle lane closed it within `timeout` seconds.

        A peer that sends anything now is answering a question that was not asked:
        the lane is closed for that as well.
        """
        if self._closed:
            return True
        if self._caller.in_flight:
            raise RuntimeError("a call is in flight on this lane")
        try:
            if not self._guard(self._listen, timeout):
                return False
        except LinkLost:
            return True
        self.close()
        return True

    def knows(self, verb: str) -> bool:
        """Whether that verb has been resolved here."""
        return self._caller.knows(verb)

    @property
    def stale(self) -> bool:
        """Whether an idle lane is of no more use: its peer has closed it, or spoken unasked."""
        try:
            return self._closed or self._stream.readable(0.0)
        except (OSError, ValueError):  # the latter: the descriptor is closed already
            return True

    @property
    def closed(self) -> bool:
        """Whether it was closed at this end, by a caller or by an error."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether a call may be sent."""
        return not (self._caller.in_flight or self._closed)

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

    def _begin(
        self, verb: str, args: tuple[Value, ...], named: Mapping[str, Value] | None
    ) -> bytes:
        if self._closed:
            raise LinkLost(f"{self._where}: the lane is closed")
        return self._caller.begin(verb, args, named)

    def _guard(self, work: Callable[[float], T], timeout: float) -> T:
        """Do `work` by its deadline; whatever goes wrong is named, and closes the lane."""
        if self._closed:
            raise LinkLost(f"{self._where}: the lane is closed")
        try:
            return work(time.monotonic() + timeout)
        except RemoteFailure:
            raise
        except (TimeoutError, MalformedError, EOFError, OSError) as error:
            raise self._ended(error, timeout) from error
        except BaseException:
            self.close()
            raise

    def _ended(self, error: Exception, timeout: float) -> TransportError:
        """What the caller is told after that; the lane is closed."""
        self.close()
        if isinstance(error, TimeoutError):
            return CallTimeout(self._where, timeout)
        if isinstance(error, MalformedError):
            return ProtocolError(f"{self._where}: {error}")
        return LinkLost(f"{self._where}: {error}")

    @property
    def _where(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def _finish(self, data: bytes, deadline: float) -> Value:
        """The value of a call of whose reply, or of what leads to it, that has been read."""
        payload = self._whole(self._reader.take(data), deadline)
        reply = self._caller.receive(payload)
        if reply is not None:
            return reply[0]
        self._ask(max(deadline, time.monotonic() + RESOLVE_STEP_S))
        return self._await(deadline)

    def _whole(self, payload: bytes | None, deadline: float) -> bytes:
        if payload is None:
            payload = self._stream.receive(self._reader, deadline)
        if self._reader.buffered or self._stream.buffered():
            raise MalformedError("more than one answer")
        return payload

    def _ask(self, deadline: float) -> None:
        self._stream.send(self._caller.request(), deadline)

    def _await_some(self, deadline: float) -> tuple[Value] | None:
        try:
            return (self._await(deadline),)
        except TimeoutError:
            return None

    def _await(self, deadline: float) -> Value:
        while (reply := self._caller.receive(self._payload(deadline))) is None:
            # Sent even if the time of this wait is up just now: whoever waits on would wait for
            # the answer to a question that was never asked.
            self._ask(max(deadline, time.monotonic() + RESOLVE_STEP_S))
        return reply[0]

    def _payload(self, deadline: float) -> bytes:
        return self._whole(None, deadline)

    def _listen(self, deadline: float) -> bool:
        # No time left still means one look: that is how a pool tells a stale lane.
        return self._stream.readable(deadline)
