"""The master's verbs: what each connection may call, by the role that it has."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import msgspec

from nodes.errors import BadRequest, DataError, Forbidden, LookupFailed, NotPossible
from nodes.master import cores
from nodes.master.core import MasterCore
from nodes.security.authenticator import Session
from nodes.security.tls import MAY_OPERATE, MAY_REGISTER, lacking
from nodes.security.tokens import TokenRole
from nodes.support import validation
from nodes.support.addresses import registered_host
from nodes.transport import Certificate, Peer, Service, Utf8
from nodes.wire import (
    DEADLINE,
    MOST_REGISTRATION,
    PAGE,
    Registration,
    error_envelope,
    result_envelope,
)

CLASSIC = ("getbyname", "getbylocation", "getbyyear")
"""Verbs that are there before any worker has said what it serves: their answer is then that
there is no worker, which tells a stock client more than "no such verb"."""

CERTIFIED = {TokenRole.WORKER: MAY_REGISTER, TokenRole.OPERATOR: MAY_OPERATE}
"""With TLS, the certificates that go with a token's role; a client needs none."""


class MasterService(Service):
    """The verbs, for one connection. Every verb answers with an envelope, whatever happens."""

    def __init__(self, master: MasterCore) -> None:
        self._master = master
        self._peer = ""
        self._certificate: Certificate | None = None
        self._session = Session(master.authenticator, "")
        self._generation: int | None = None
        self._gathered = False
        # Each with the role that it needs, None for what a stranger may ask.
        self._asking = TokenRole.CLIENT if master.authenticator.require_token else None
        self._verbs: Mapping[str, tuple[TokenRole | None, Callable[..., object]]] = {
            "login": (None, self._login),
            "lookup": (self._asking, self._lookup),
            "lookup_many": (self._asking, self._lookup_many),
            "describe": (self._asking, master.describe),
            "members": (self._asking, master.members),
            "suggest": (self._asking, self._suggest),
            "register": (TokenRole.WORKER, self._register),
            "renew": (TokenRole.WORKER, self._renew),
            "leave": (TokenRole.WORKER, self._leave),
            **{name: (TokenRole.OPERATOR, do) for name, do in master.operator_verbs.items()},
        }

    def verb(self, name: str) -> Callable[..., object] | None:
        """The verb of that name: one of those above, or a lookup that the dataset declares."""
        if name in self._verbs:
            role, do = self._verbs[name]
        elif name in CLASSIC or name in self._master.lookups.declared():
            role, do = self._asking, functools.partial(self._lookup, name)
        else:
            return None
        if role is None:
            return functools.partial(self._answer, do)
        return functools.partial(self._guarded_answer, role, do)

    def on_open(self, peer: Peer) -> None:
        """A connection begins: whoever it is has no role yet."""
        self._peer = peer.host
        self._session = Session(self._master.authenticator, peer.host)
        self._certificate = peer.certificate

    def on_close(self) -> None:
        """The end of the connection that a worker registered on is the end of the worker."""
        if self._generation is not None:
            self._master.expiries.pop(self._generation, None)
            self._master.membership.gone(self._generation, "its connection ended")

    def _answer(self, do: Callable[..., object], *args: object, **named: object) -> Utf8:
        try:
            result = validation.call(do, args, named)
        except LookupFailed as error:
            return Utf8(error_envelope(error))
        except DataError as error:
            return Utf8(error_envelope(NotPossible(f"nothing was changed: {error}")))
        return Utf8(result if type(result) is bytes else result_envelope(result))

    def _guarded_answer(
        self, role: TokenRole, do: Callable[..., object], *args: object, **named: object
    ) -> Utf8:
        def checked(*args: object, **named: object) -> object:
            if self._master.tls is not None and role in CERTIFIED:
                lacks = lacking(self._certificate, CERTIFIED[role])
                if lacks:
                    raise Forbidden(lacks)
            self._session.check(role)
            if role is TokenRole.OPERATOR and self._gathered:
                # It may start workers, or build a catalog.
                cores.spread()
                self._gathered = False
            return validation.call(do, args, named)

        return self._answer(checked, *args, **named)

    # -- for clients ----------------------------------------------------------------

    def _lookup(
        self,
        name: object,
        *args: object,
        limit: object = PAGE,
        after: object = None,
        timeout_s: object = DEADLINE,
    ) -> bytes:
        if not self._gathered and self._master.lookups.in_flight:
            # Others ask as well: from now on this thread and theirs take turns.
            cores.gather()
            self._gathered = True
        return self._master.lookups.lookup(
            validation.text("the lookup's name", name),
            args,
            limit=validation.count("limit", limit),
            after=None if after is None else validation.text("after", after),
            timeout=validation.seconds("timeout_s", timeout_s),
        )

    def _lookup_many(
        self, lookups: object, *, limit: object = PAGE, timeout_s: object = DEADLINE
    ) -> bytes:
        return self._master.lookups.lookup_many(
            validation.text("lookups", lookups),
            limit=validation.count("limit", limit),
            timeout=validation.seconds("timeout_s", timeout_s),
        )

    def _suggest(self, field: object, prefix: object = "", limit: object = 10) -> bytes:
        return self._master.lookups.suggest(
            validation.text("field", field),
            validation.text("prefix", prefix),
            limit=validation.count("limit", limit),
            timeout=DEADLINE,
        )

    def _login(self, token: object) -> str:
        role = self._session.login(token)
        self.keeps_seat = True
        return role

    # -- for workers ----------------------------------------------------------------

    def _register(self, text: object) -> object:
        encoded = validation.text("registration", text)
        if len(encoded) > MOST_REGISTRATION:
            raise BadRequest(f"a registration has at most {MOST_REGISTRATION} characters")
        try:
            registration = msgspec.json.decode(encoded, type=Registration)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadRequest(f"this is no registration: {error}") from error
        if self._generation is not None:
            raise BadRequest("a worker registered on this connection already")
        host = registered_host(registration.host, self._peer, self._master.address.host)
        registered = self._master.membership.register(
            msgspec.structs.replace(registration, host=host), self.hang_up
        )
        self._generation = registered.generation
        if self._certificate is not None:
            self._master.expiries[registered.generation] = self._certificate.expires_at
        self._session.settle(TokenRole.WORKER)
        return msgspec.structs.replace(
            registered,
            require_token=self._master.authenticator.require_token,
            cursor_key=self._master.cursor_key,
        )

    def _renew(self) -> bool:
        return self._generation is not None and self._master.membership.has(self._generation)

    def _leave(self) -> int:
        if self._generation is None:
            raise BadRequest("no worker registered on this connection")
        return self._master.membership.leave(self._generation)
