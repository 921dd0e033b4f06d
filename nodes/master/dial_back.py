"""Dial-back: whether the address that a worker names leads to it, found out before it registers."""

from __future__ import annotations

import asyncio
import secrets

from nodes.errors import Conflict
from nodes.security.tls import Tls
from nodes.support.addresses import Address
from nodes.transport import RemoteFailure, Service, TransportError, dial
from nodes.wire import instance_proof

DIAL_BACK_S = 3.0
"""Seconds that a worker may take to be dialled, and again to answer."""

NAME_ANOTHER = (
    "name an address that leads to it, with --host and PORT, or with --advertise HOST:PORT"
)

DIALS_AT_ONCE = 32
"""Dials under way at one time; more wait."""


class DialBack:
    """Asks at the address that a worker names whether it is that worker's.

    Args:
        tls: the master's certificates; None for no TLS.
    """

    def __init__(self, tls: Tls | None) -> None:
        self._tls = None if tls is None else tls.to_workers()
        self._room = asyncio.Semaphore(DIALS_AT_ONCE)

    async def check(self, host: str, port: int, instance: str) -> None:
        """Returns if whoever listens there knows the worker's secret, which is not sent.

        Raises:
            Conflict: nobody listens there, or somebody else does.
        """
        where = str(Address(host, port))
        async with self._room:
            try:
                answer = await self._ask(host, port, challenge := secrets.token_hex(16))
            except RemoteFailure as error:
                raise Conflict(
                    f"{where} does not answer as a worker of this version; {NAME_ANOTHER}"
                ) from error
            except TransportError as error:
                raise Conflict(
                    f"the master cannot reach this worker ({error}): let it through, or "
                    f"{NAME_ANOTHER}"
                ) from error
        if answer != instance_proof(instance, challenge):
            raise Conflict(
                f"{where} is another's: who answers there is not this worker; {NAME_ANOTHER}"
            )

    async def _ask(self, host: str, port: int, challenge: str) -> object:
        connection = await dial(host, port, service=Service(), timeout_s=DIAL_BACK_S, tls=self._tls)
        try:
            return await connection.call("identify", challenge, timeout_s=DIAL_BACK_S)
        finally:
            connection.abort()
