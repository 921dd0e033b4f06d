"""Connections made from an event loop."""

from __future__ import annotations

import asyncio
import ssl

from nodes.support.addresses import Address
from nodes.support.os_errors import explain_os_error
from nodes.transport.connection import Connection
from nodes.transport.errors import DialFailed, HandshakeFailed
from nodes.transport.keepalive import keep_alive
from nodes.transport.limits import DEFAULTS, Limits
from nodes.transport.local_sockets import connect_locally
from nodes.transport.peer import Peer
from nodes.transport.service import Service
from nodes.transport.tls import Secure, explain_ssl_error, role_mismatch


async def dial(
    host: str,
    port: int,
    *,
    service: Service,
    timeout_s: float = 1.0,
    limits: Limits = DEFAULTS,
    tls: Secure | None = None,
) -> Connection:
    """Connects to a server.

    Args:
        host: address or name.
        port: 1 to 65535.
        service: answers what the other end asks.
        timeout_s: seconds for all of it, the TLS handshake included.
        limits: of the connection.
        tls: how the peer, which must prove to be `host`, is checked; None for no TLS.

    Raises:
        HandshakeFailed: TLS says no; the message says why.
        DialFailed: no connection.
    """
    where = str(Address(host, port))
    connection = Connection(lambda: service, Peer(host, port), limits)
    transport = await _connect(connection, host, port, timeout_s, tls)
    # Linux may join a socket that dials a free local port to itself.
    ours, theirs = (transport.get_extra_info(end) for end in ("sockname", "peername"))
    if ours == theirs:
        connection.abort()
        raise DialFailed(f"{where}: nobody listens there")
    keep_alive(transport.get_extra_info("socket"), limits.keepalive)
    mismatch = "" if tls is None else role_mismatch(connection.peer.certificate, tls.role)
    if mismatch:
        connection.abort()
        raise HandshakeFailed(f"{where}: {mismatch}")
    return connection


async def _connect(
    connection: Connection, host: str, port: int, timeout_s: float, tls: Secure | None
) -> asyncio.BaseTransport:
    where = str(Address(host, port))
    loop = asyncio.get_running_loop()
    local = connect_locally(host, port) if tls is None else None
    if local is not None:
        transport, _ = await loop.create_unix_connection(lambda: connection, sock=local)
        return transport
    try:
        async with asyncio.timeout(timeout_s):
            transport, _ = await loop.create_connection(
                lambda: connection,
                host,
                port,
                ssl=None if tls is None else tls.context,
                server_hostname=None if tls is None else host,
            )
    except TimeoutError as error:
        raise DialFailed(f"{where}: no connection within {timeout_s:g} s") from error
    except ssl.SSLError as error:
        raise HandshakeFailed(f"{where}: {explain_ssl_error(error)}") from error
    # The latter two: no name at all, and no port.
    except (OSError, ValueError, OverflowError) as error:
        raise DialFailed(f"{where}: {explain_os_error(error)}") from error
    return transport
