"""The asking end of a connection: one by-value call at a time, and one deadline over it."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from nodes.support.addresses import Address
from nodes.support.os_errors import explain_os_error
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
from nodes.transport.keepalive import keep_alive
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.local_sockets import connect_locally
from nodes.transport.stream import CHUNK_BYTES, Stream
from nodes.transport.values import Value

if TYPE_CHECKING:
    from nodes.transport.tls import Secure

FAST_ARGUMENTS_BYTES = 2048
"""More than the arguments of a `fast_call` take."""


OVERLOADED = "Overloaded"
"""The exception of a server that has too much to do."""


class Lane:
    """A connection to one server, of ours or a stock RPyC one.

    For one thread at a time; only `abort` may come from another. Every error but
    `RemoteFailure` closes the lane: what else might still arrive on it would be taken
    for the next call's answer.

    Args:
        sock: connected, and the lane's own from now on.
        limits: the peer's, as far as is known; `frame_in` and `frame_reply` matter here.
        stream: over that socket, if it is another than a plain one.
        address: of the server, where the socket does not say.

    Attributes:
        idle: whether a call may be sent.
        closed: whether it was closed at this end, by a caller or by an error.
        used_at: when it was last given back to its pool, monotonic; for the pool alone.
        max_reply_bytes: of an answer.
        sock, stream, caller: its parts, for `nodes.transport.fast_call` alone.
        heads: how calls begin that are cases for that.
        buffer: of its replies, as far as they are no longer than one is.
    """

    __slots__ = (
        "__weakref__",
        "_ending",
        "_reader",
        "address",
        "buffer",
        "caller",
        "closed",
        "heads",
        "idle",
        "max_reply_bytes",
        "sock",
        "stream",
        "used_at",
    )

    def __init__(
        self,
        sock: socket.socket,
        limits: Limits = DEFAULTS,
        stream: Stream | None = None,
        *,
        address: tuple[str, int] | None = None,
    ) -> None:
        self.address = address or sock.getpeername()[:2]
        self.sock = sock
        self.stream = stream or Stream(sock)
        self._reader = FrameReader(limits.frame_reply)
        self.max_reply_bytes = limits.frame_reply
        self.caller = Caller(limits.frame_in)
        self._ending = threading.Lock()
        self.closed = False
        plain = stream is None and self.caller.max_arguments_bytes >= FAST_ARGUMENTS_BYTES
        self.heads: Mapping[str, bytes] = self.caller.heads if plain else {}
        self.buffer = bytearray(min(CHUNK_BYTES, limits.frame_reply))
        self.idle = True
        self.used_at = -math.inf

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
            timeout: seconds for all addresses of the name, the handshake included.
            limits: see `Lane`.
            tls: how the peer, which must prove to be `host`, is checked; None for no TLS.

        Raises:
            HandshakeFailed: TLS says no; the message says why.
            DialFailed: no connection.
        """
        deadline = time.monotonic() + timeout
        where = Address(host, port)
        local = connect_locally(host, port) if tls is None else None
        if local is not None:
            return cls(local, limits, address=(host, port))
        try:
            sock = _connect(host, port, deadline)
        # The latter two: no name at all, and no port.
        except (OSError, ValueError, OverflowError) as exc:
            raise DialFailed(f"{where}: {explain_os_error(exc)}") from exc
        try:
            # Linux may join a socket that dials a free local port to itself.
            if sock.getsockname() == sock.getpeername():
                raise DialFailed(f"{where}: nobody listens there")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock, limits.keepalive)
            if tls is None:
                return cls(sock, limits)
            from nodes.transport.tls import dial_tls  # noqa: PLC0415 - 30 ms, without TLS for nothing

            return cls(sock, limits, dial_tls(sock, tls, host, deadline))
        except (TlsFailed, ValueError) as exc:  # the latter: a name that cannot be checked
            sock.close()
            raise HandshakeFailed(f"{where}: {exc}") from exc
        except OSError as exc:
            sock.close()
            raise DialFailed(f"{where}: {explain_os_error(exc)}") from exc
        except BaseException:
            sock.close()
            raise

    def call(
        self, verb: str, *args: Value, timeout: float, named: Mapping[str, Value] | None = None
    ) -> Value:
        """Call a verb and wait for its value.

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
            RuntimeError: another thread's call is in flight.
        """
        if self.closed:
            raise LinkLost(f"{self._where}: the lane is closed")
        stream, caller = self.stream, self.caller
        self.idle = False  # first: what interrupts a call leaves no half of one on an idle lane
        try:
            request = caller.begin(verb, args, named)
        except (TypeError, ValueError):
            self.idle = not self.closed
            raise
        deadline = time.monotonic() + timeout
        try:
            stream.send(request, deadline)
            value = self.receive(stream.read(deadline), deadline)
        except RemoteFailure as error:
            # A server without a connection for us says so, and hangs up.
            self.idle = error.kind != OVERLOADED and not self.closed
            raise
        except (TimeoutError, MalformedError, EOFError, OSError) as error:
            raise self.ended(error, timeout) from error
        except BaseException:
            self.close()
            raise
        self.idle = not self.closed
        return value

    def knows(self, verb: str) -> bool:
        """Whether that verb has been resolved here."""
        return self.caller.knows(verb)

    @property
    def stale(self) -> bool:
        """Whether an idle lane is of no more use: its peer has closed it, or spoken unasked."""
        try:
            return self.closed or self.stream.readable()
        except (OSError, ValueError):  # the latter: the descriptor is closed already
            return True

    def abort(self) -> None:
        """End the connection but keep the descriptor: for a thread that is not the owner.

        A call in flight ends at once, and the owner gets `LinkLost`; the owner still has to
        `close`. Never raises.
        """
        with self._ending:  # or the descriptor could be another connection's by now
            self.closed = True
            self.idle = False
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection, any number of times. Never raises."""
        self.abort()
        with self._ending:
            self.sock.close()

    def disown(self) -> None:
        """Let go of the descriptor alone, in a forked child: the connection is the parent's."""
        self._ending = threading.Lock()  # a thread that was not forked may hold the other
        self.closed = True
        self.idle = False
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def receive(self, data: bytes, deadline: float) -> Value:
        """The value of a call, whatever its replies look like; `data` is the first read of them.
        Raises what reading does, `RemoteFailure` and `MalformedError`.
        """
        stream, caller, reader = self.stream, self.caller, self._reader
        while True:
            while (payload := reader.take(data)) is None:
                data = stream.read(deadline)
            if reader.buffered or stream.buffered():
                raise MalformedError("more than one answer")
            reply = caller.receive(payload)
            if reply is not None:
                return reply[0]
            stream.send(caller.request(), deadline)
            data = stream.read(deadline)

    def ended(self, error: Exception, timeout: float) -> TransportError:
        """What the caller is told after that; the lane is closed."""
        self.close()
        if isinstance(error, TimeoutError):
            return CallTimeout(self._where, timeout)
        if isinstance(error, MalformedError):
            return ProtocolError(f"{self._where}: {error}")
        return LinkLost(f"{self._where}: {explain_os_error(error)}")

    @property
    def _where(self) -> str:
        return str(Address(*self.address))


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """A socket that is connected to one of the addresses of a host, tried in turn: `localhost` may
    be two. Raises `OSError`, or what `getaddrinfo` raises.
    """
    error: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left)
            sock.connect(address)
        except OSError as failed:
            sock.close()
            error = failed
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error
