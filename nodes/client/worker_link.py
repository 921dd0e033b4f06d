"""The way from a client to one worker."""

from __future__ import annotations

import asyncio

from nodes.routing import Worker
from nodes.transport import (
    Connection,
    LinkLost,
    Pending,
    Secure,
    Service,
    TransportError,
    dial,
)

DIAL_TIMEOUT_S = 0.25
"""Seconds that a connection to a worker may take."""


class WorkerLink:
    """The way to one worker's own port, dialled when it is first needed; a `Link` of a dispatcher.

    Args:
        worker: that one.
        key: what it wants to be shown, "" for nothing.
        tls: how the worker is checked; None for no TLS.
    """

    def __init__(self, worker: Worker, key: str, tls: Secure | None) -> None:
        self._address = worker.address
        self._key = key
        self._tls = tls
        self._connection: Connection | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting: list[tuple[str, bytes, Pending]] = []

    def call(self, verb: str, arguments: bytes, pending: Pending) -> None:
        """See `nodes.dispatch.dispatcher.Link`."""
        connection = self._connection
        if self._dialling is None and connection is not None and not connection.ended:
            connection.requester.call(verb, arguments, pending)
            return
        self._waiting.append((verb, arguments, pending))
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            connection = await dial(
                *self._address,
                service=Service(),
                timeout_s=DIAL_TIMEOUT_S,
                tls=self._tls,
            )
            self._connection = connection
            if self._key:
                await connection.call("login", self._key, timeout_s=DIAL_TIMEOUT_S)
        except TransportError as error:
            if self._connection is not None:
                self._connection.abort()
            self._give_up(error)
            return
        finally:
            self._dialling = None
        waiting, self._waiting = self._waiting, []
        for verb, arguments, pending in waiting:
            connection.requester.call(verb, arguments, pending)

    def _give_up(self, error: TransportError) -> None:
        waiting, self._waiting = self._waiting, []
        for _verb, _arguments, pending in waiting:
            pending.failed(error)

    def close(self) -> None:
        """Ends the connection; calls under way fail."""
        if self._dialling is not None:
            self._dialling.cancel()
        self._give_up(LinkLost("its registration is over"))
        if self._connection is not None:
            self._connection.requester.lose(LinkLost("its registration is over"))
            self._connection.abort()
