"""TLS between a `Stream` and its socket: RPyC's wire format inside, the same deadlines.

OpenSSL works on memory here, and `Stream` moves the bytes: what bounds a plain send or
receive bounds the handshake and every record as well. (A blocking `ssl.SSLSocket` begins
its wait anew whenever the kernel's time is up.) The socket stays a plain one: `shutdown`
from another thread ends it without touching OpenSSL's state, and `poll` tells of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from nodes.support import forks
from nodes.transport.errors import LinkLost, TlsFailed
from nodes.transport.peer import Certificate
from nodes.transport.stream import CHUNK_BYTES, Stream

T = TypeVar("T")

logger = logging.getLogger("rollcall.transport")

ROLE_URI_PREFIX = "rollcall:"
"""A certificate's role is the name of the type URI that begins so: "rollcall:worker"."""


ALERT = bytes((21, 3, 3, 0, 2, 2, 70))
"""TLS's "we have no version in common"."""


shaking_hands: ContextVar[socket.socket] = ContextVar("shaking_hands")
"""The socket on which a server's TLS handshake goes on, in the context of that."""


class AlertingObject(ssl.SSLObject):
    """An `SSLObject` whose peer is told why a handshake failed; for `SSLContext.sslobject_class`.

    An event loop closes the connection of a handshake that raises, and TLS's alert is not sent.
    So the failure is first said to want more from the peer, which sends the alert; then nothing
    more is read from the peer, which ends the handshake.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """As `SSLObject.do_handshake`."""
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            self._failure = error
            loop, sock = asyncio.get_running_loop(), shaking_hands.get()
            loop.call_soon(_end_reading, sock, explain_ssl_error(error))
            raise ssl.SSLWantReadError from error


def _end_reading(sock: socket.socket, why: str) -> None:
    with contextlib.suppress(OSError):
        host, port = sock.getpeername()[:2]
        logger.debug("%s:%d dropped: %s", host, port, why)
        sock.shutdown(socket.SHUT_RD)


class Secure:
    """How a connection that is dialled is made safe.

    Args:
        context: whom it trusts, and what it shows of itself.
        role: that the peer's certificate must name, "" for any.
        renew: makes such a context anew, for a forked child: a thread of the parent may have held
            a lock of OpenSSL's in the one that the child has inherited.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        role: str = "",
        *,
        renew: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.role = role
        self._context = context
        self._renew = renew
        self._process = os.getpid()

    @property
    def context(self) -> ssl.SSLContext:
        """Whom it trusts, and what it shows of itself."""
        if self._renew is not None and self._process != os.getpid():
            self._context, self._process = self._renew(), os.getpid()
        return self._context


class TlsStream(Stream):
    """A `Stream` that is encrypted, at the dialling end; of use once `shake_hands` has returned.

    Args:
        sock: as `Stream`.
        context: whom it trusts, and what it shows of itself.
        host: whom the peer's certificate must name.

    Raises:
        ValueError: the host cannot be in a certificate.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._early = b""
        self._ended = False

    def shake_hands(self, deadline: float) -> None:
        """Agree on keys, and check the peer's certificate.

        Raises:
            TlsFailed: the peer is not trusted, does not trust us, or speaks no TLS.
            TimeoutError: it was not done in time.
        """
        try:
            while True:
                try:
                    with forks.held_off():
                        self._explained(self._tls.do_handshake)
                    break
                except ssl.SSLWantReadError:
                    self._flush(deadline)
                    self._fill(deadline)
                except TlsFailed:
                    self._tell(deadline)
                    raise
            self._flush(deadline)
        except (EOFError, ConnectionError):
            raise TlsFailed("the peer hung up on the TLS handshake; does it use TLS?") from None
        self.certificate = certificate(self._tls.getpeercert())

    def send(self, data: bytes, deadline: float) -> None:
        """As `Stream.send`; a peer that hangs up meanwhile may have said why (`TlsFailed`)."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._explained(self._tls.write, rest) :]
            if not rest or self._outgoing.pending >= CHUNK_BYTES:
                self._flush(deadline)

    def read(self, deadline: float) -> bytes:
        """As `Stream.read`; what is here already is given first, whatever the time.

        Raises:
            TlsFailed: what came is not what the peer sent, or is its refusal.
        """
        while not self.buffered():
            if self._ended:
                raise EOFError("closed by the peer")
            self._fill(deadline)
        data, self._early = self._early, b""
        return data

    def buffered(self) -> bool:
        """As `Stream.buffered`: decrypted now, if need be, and kept."""
        # An empty try costs more than the look that spares it.
        if not self._early and (self._incoming.pending or self._tls.pending()):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._early = self._explained(self._tls.read, CHUNK_BYTES)
                self._ended = not self._early
        return bool(self._early)

    def readable(self) -> bool:
        """As `Stream.readable`; TLS's own messages, a session ticket say, do not count."""
        while not (self.buffered() or self._ended):
            if not super().readable():
                return False
            with contextlib.suppress(BlockingIOError):
                data = self._sock.recv(CHUNK_BYTES, socket.MSG_DONTWAIT)
                self._incoming.write(data)
                self._ended = not data
        return True

    def _tell(self, deadline: float) -> None:
        """Let the peer know that it failed; OpenSSL has no words for one without TLS."""
        if not self._outgoing.pending:
            self._outgoing.write(ALERT)
        with contextlib.suppress(OSError):
            self._flush(deadline)

    def _fill(self, deadline: float) -> None:
        if self._outgoing.pending:  # an answer that TLS owes, within the conversation
            self._flush(deadline)
        self._incoming.write(super().read(deadline))

    def _flush(self, deadline: float) -> None:
        try:
            super().send(self._outgoing.read(), deadline)
        except ConnectionError:
            # With TLS 1.3 a refusal of our certificate comes after the handshake.
            with contextlib.suppress(ConnectionError, BlockingIOError):
                self._incoming.write(self._sock.recv(CHUNK_BYTES, socket.MSG_DONTWAIT))
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._explained(self._tls.read, 1)
            raise

    def _explained(self, work: Callable[..., T], *args: object) -> T:
        try:
            return work(*args)
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as exc:
            raise TlsFailed(explain_ssl_error(exc)) from exc


def certificate(shown: Mapping[str, Any] | None) -> Certificate | None:
    """What matters of a certificate as `ssl` gives it; None if none was shown."""
    if not shown:
        return None
    names = [name for kind, name in shown.get("subjectAltName", ()) if kind == "URI"]
    named = [name for name in names if name.startswith(ROLE_URI_PREFIX)]
    # One that names several has none: nobody makes those by mistake.
    role = named[0].removeprefix(ROLE_URI_PREFIX) if len(named) == 1 else ""
    subject = [pair for part in shown.get("subject", ()) for pair in part]
    name = next((text for kind, text in subject if kind == "commonName"), "")
    return Certificate(role, float(ssl.cert_time_to_seconds(shown["notAfter"])), name)


def dial_tls(sock: socket.socket, secure: Secure, host: str, deadline: float) -> TlsStream:
    """The dialling end's stream, once the peer has proved to be whom it should.

    Raises:
        TlsFailed: it has not.
        ValueError: the host cannot be in a certificate.
    """
    stream = TlsStream(sock, secure.context, host)
    try:
        stream.shake_hands(deadline)
    except TimeoutError:
        raise TlsFailed("no TLS handshake in time: it hangs, or does not use TLS") from None
    mismatch = role_mismatch(stream.certificate, secure.role)
    if mismatch:
        raise TlsFailed(mismatch)
    return stream


def role_mismatch(shown: Certificate | None, role: str) -> str:
    """Why a peer's certificate is not of that role, "" if it is, or if the role is ""."""
    if not role or (shown is not None and shown.role == role):
        return ""
    found = f"a {shown.role}'s" if shown is not None and shown.role else "of no role"
    return f"the peer's certificate is {found}, not a {role}'s"


_VERIFY_ERRORS = {
    9: "the peer's certificate is not valid yet: one of the two clocks is wrong",
    10: "the peer's certificate has expired",
    18: "the peer's certificate is self-signed: it is not from the cluster's CA",
    62: "the peer's certificate is for another name",
    64: "the peer's certificate is for another address",
} | dict.fromkeys((7, 19, 20, 21), "the peer's certificate is not from the cluster's CA")
"""By OpenSSL's X509_V_ERR numbers."""

_NO_VERSION = "the two ends have no version of TLS in common; 1.2 is the oldest allowed"
_NO_TLS = "the peer does not use TLS"
_REASONS = {
    "CERTIFICATE_REQUIRED": "the peer wants a certificate, and none was shown",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has shown no certificate",
    "UNKNOWN_CA": "the peer refuses our certificate: it is not from its CA",
    "CERTIFICATE_EXPIRED": "the peer refuses our certificate: it has expired",
    "BAD_CERTIFICATE": "the peer refuses our certificate",
    "UNSUPPORTED_CERTIFICATE": "the peer refuses our certificate: it is for other uses",
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _NO_VERSION,
    "WRONG_SSL_VERSION": _NO_VERSION,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "HTTPS_PROXY_REQUEST": _NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": "the peer hung up in the middle of TLS",
}
"""By the ends of OpenSSL's reasons; what comes before says by which protocol."""


def explain_ssl_error(exc: ssl.SSLError) -> str:
    """OpenSSL's error in words that say what is wrong."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        words = _VERIFY_ERRORS.get(exc.verify_code, "the peer's certificate is refused")
        return f"{words} ({exc.verify_message.rstrip('.')})"
    reason = exc.reason or str(exc)
    for end, words in _REASONS.items():
        if reason.endswith(end):
            return words
    return f"TLS failed: {reason.lower().replace('_', ' ')}"


def lost_link(where: str, error: Exception | None) -> LinkLost:
    """A connection to `where` has ended, by that error if there is one; TLS's is explained: with
    TLS 1.3, the peer's refusal of our certificate comes after the handshake.
    """
    if not isinstance(error, ssl.SSLError):
        return LinkLost(f"{where}: connection ended")
    lost = LinkLost(f"{where}: {explain_ssl_error(error)}")
    lost.__cause__ = TlsFailed(explain_ssl_error(error))
    return lost
