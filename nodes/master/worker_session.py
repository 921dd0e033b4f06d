"""A worker's session with its master: from its registration to the end of its connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from nodes.errors import BadRequest, Conflict, LookupFailed
from nodes.master.catalog_offers import CatalogPart
from nodes.master.core import MasterCore
from nodes.support import validation
from nodes.support.event_kinds import EventKind
from nodes.support.listening import check_worker_network, registered_host
from nodes.transport import Peer, PeerConnection
from nodes.wire import (
    MAX_REGISTRATION_CHARS,
    PROTOCOL,
    CatalogOffer,
    Registered,
    Registration,
    Speaks,
)


class WorkerSession:
    """What a worker may ask on the connection that it registers on. The end of that is its own.

    Args:
        master: where it registers.

    Attributes:
        verbs: what it may ask besides `register`.
    """

    def __init__(self, master: MasterCore) -> None:
        self._master = master
        self._generation: int | None = None
        self._registers = False
        self._sends_part = False
        self._ended = False
        self.verbs: Mapping[str, Callable[..., object]] = {
            "renew": self._renew,
            "leave": self._leave,
            "catalog_offer": self._catalog_offer,
            "catalog_part": self._catalog_part,
        }

    def open(self, peer: Peer, connection: PeerConnection) -> None:
        """A connection begins: perhaps it is a worker's."""
        self._peer = peer
        self._connection = connection

    def close(self) -> None:
        """It has ended."""
        self._ended = True
        if self._generation is not None:
            self._master.expiries.pop(self._generation, None)
            self._master.membership.gone(self._generation, "its connection ended")

    async def register(self, text: str) -> Registered:
        """Takes a worker in.

        Args:
            text: its `Registration`, in JSON.

        Raises:
            BadRequest: that is none, or not for this connection.
            Conflict: it speaks another protocol.
            LookupFailed: it is refused; see `Membership.register` and `registered_host`.
        """
        registration = self._read(text)
        if self._generation is not None or self._registers:
            raise BadRequest("a worker registered on this connection already")
        self._registers = True
        try:
            host = await self._checked_host(registration)
        except LookupFailed as error:
            if not self._ended:  # else it has left by itself
                said = f"a worker at {self._peer.host} was not registered: {error.message}"
                self._master.note_refusal(EventKind.NOT_REGISTERED, said)
            raise
        finally:
            self._registers = False
        registered = self._master.membership.register(
            msgspec.structs.replace(registration, host=host), self._connection
        )
        self._generation = registered.generation
        self._connection.expect_replies()
        if self._peer.certificate is not None:
            self._master.expiries[registered.generation] = self._peer.certificate.expires_at
        return msgspec.structs.replace(
            registered,
            require_token=self._master.authenticator.require_token,
            cursor_key=self._master.cursor_key,
        )

    def _read(self, text: str) -> Registration:
        if len(text) > MAX_REGISTRATION_CHARS:
            raise BadRequest(f"a registration has at most {MAX_REGISTRATION_CHARS} characters")
        try:
            spoken = msgspec.json.decode(text, type=Speaks)
            if spoken.protocol != PROTOCOL:
                raise Conflict(self._master.refuse_protocol(self._peer.host, spoken))
            return msgspec.json.decode(text, type=Registration)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadRequest(f"this is no registration: {error}") from error

    async def _checked_host(self, registration: Registration) -> str:
        """The address at which a worker that wants to register is found to answer."""
        master, here, peer = self._master, self._master.address.host, self._peer.host
        check_worker_network(peer, here, master.workers_from)
        host = registered_host(registration.host, peer, here, advertised=registration.advertised)
        check_worker_network(host, here, master.workers_from)
        await master.dial_back.check(host, registration.port, registration.instance)
        if self._ended:
            raise BadRequest("its connection has ended meanwhile")
        return host

    def _renew(self) -> bool:
        return self._generation is not None and self._master.membership.has(self._generation)

    def _leave(self) -> int:
        if self._generation is None:
            raise BadRequest("no worker registered on this connection")
        return self._master.membership.leave(self._generation)

    async def _catalog_offer(self, version: object = "") -> CatalogOffer:
        return await self._master.catalogs.offer(validation.text("version", version))

    async def _catalog_part(self, version: object, offset: object) -> CatalogPart:
        if self._sends_part:
            # Or one connection could have any number of them read that it does not take.
            raise BadRequest("ask for one part of a catalog at a time")
        self._sends_part = True
        try:
            return await self._master.catalogs.part(
                validation.text("version", version), validation.count("offset", offset)
            )
        finally:
            self._sends_part = False
