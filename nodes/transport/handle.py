"""A handle on an asyncio transport, of use before it is there and from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

from nodes.transport.peer import Certificate
from nodes.transport.tls import certificate


class TransportHandle:
    """A handle on an asyncio transport, of use before it is there and from any thread.

    All but `abort` is for the thread of the event loop, on which the handle is made.

    Args:
        sock: the transport's socket, if it is known before the transport is there.

    Attributes:
        aborted: whether it was ended by `abort`.
        secure: whether it is encrypted.
        certificate: what the peer has proved to be; None without TLS, or if it showed none.
    """

    __slots__ = ("_loop", "_sock", "_thread", "_transport", "aborted", "certificate", "secure")

    def __init__(self, sock: socket.socket | None) -> None:
        self.aborted = False
        self.secure = False
        self.certificate: Certificate | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._sock = sock
        self._transport: asyncio.Transport | None = None

    def open(self, transport: asyncio.Transport) -> None:
        """The transport is there. One that was aborted before is for the caller to abort again."""
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.secure = True
            self.certificate = certificate(tls.getpeercert())

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the peer has not taken; to be asked only until the connection has ended."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def steer_reading(self, *, on: bool) -> None:
        """Has what the peer sends read from now on, or left where it is."""
        if self._transport is None:
            return
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def finish_writing(self) -> None:
        """Tells the peer that no more will come, and takes what it sends yet; TLS has no such word,
        and sees to that when it is closed.
        """
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends the connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once, from any thread; harmless when done before."""
        self.aborted = True  # first: who opens it looks at this afterwards
        transport = self._transport
        if transport is None:
            # It is ended as soon as it is there; the end of its socket ends a TLS handshake.
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)
        elif threading.get_ident() == self._thread:
            transport.abort()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and all with it
                self._loop.call_soon_threadsafe(transport.abort)
