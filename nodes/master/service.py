"""The master's verbs: what each connection may call, by the role that it has."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping

from nodes.errors import (
    BadRequest,
    Conflict,
    DataError,
    Forbidden,
    LookupFailed,
    NotPossible,
    Stopping,
    UnknownWorker,
)
from nodes.master.acts import arguments_of
from nodes.master.catalog_offers import CatalogPart
from nodes.master.core import MasterCore
from nodes.master.operations import INSTANT, Operations
from nodes.master.worker_session import WorkerSession
from nodes.security.authenticator import Session, WrongToken
from nodes.security.tls import MAY_LOOK, MAY_OPERATE, MAY_REGISTER, lacking
from nodes.security.tokens import TokenRole
from nodes.support import validation
from nodes.support.actor import acting_as
from nodes.support.text import excerpt
from nodes.support.traceparent import parse_traceparent
from nodes.support.verbs import LOOKING, STEERING
from nodes.transport import Asker, Certificate, Peer, RawVerb, Service, Utf8
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PAGE_RECORDS,
    Members,
    Registered,
    error_envelope,
    result_envelope,
)

CLASSIC = ("getbyname", "getbylocation", "getbyyear")
"""Verbs that are there before any worker has said what it serves: their answer is then that
there is no worker, which tells a stock client more than "no such verb"."""

CERTIFIED = {
    TokenRole.WORKER: MAY_REGISTER,
    TokenRole.VIEWER: MAY_LOOK,
    TokenRole.OPERATOR: MAY_OPERATE,
}
"""With TLS, the certificates that go with a token's role; a client needs none."""


TURNED_DOWN = frozenset(
    one.code for one in (BadRequest, Conflict, Forbidden, NotPossible, Stopping, UnknownWorker)
)
"""Codes of what was asked wrongly, or by whoever may not, or too late: no failures of lookups.
Wrong tokens are counted by themselves."""

MAX_NAME_CHARS = 60
"""Characters of a certificate's name that an event tells."""


class MasterService(Service):
    """The verbs, for one connection. Every verb answers with an envelope, whatever happens, but for
    the parts of a catalog, which are bytes.
    """

    def __init__(self, master: MasterCore) -> None:
        self._master = master
        self._peer = ""
        self._certificate: Certificate | None = None
        self._session = Session(master.authenticator, "")
        self._worker = WorkerSession(master)
        self._looks = asyncio.Lock()
        self._strange = 0
        self._logged_in = False
        self._forbidden: tuple[object, ...] = ()
        # Each with the role that it needs, None for what a stranger may ask.
        self._asking = TokenRole.CLIENT if master.authenticator.require_token else None
        self._verbs: Mapping[str, tuple[TokenRole | None, Callable[..., object]]] = {
            "login": (None, self._login),
            "lookup_many": (self._asking, self._lookup_many),
            "describe": (self._asking, master.describe),
            "members": (self._asking, self._members),
            "suggest": (self._asking, self._suggest),
            "register": (TokenRole.WORKER, self._register),
            **{name: (TokenRole.WORKER, do) for name, do in self._worker.verbs.items()},
            **{name: (TokenRole.VIEWER, self._operation(name)) for name in LOOKING},
            # Each sees for itself to who asks, and tells of those who may not.
            **{name: (None, self._steering(name)) for name in STEERING},
        }

    def verb(self, name: str) -> Callable[..., object] | RawVerb | None:
        """The verb of that name: one of those above, or a lookup that the dataset declares."""
        lookups, served = self._master.lookups, self._master.membership.served
        if name == "lookup":
            return self._asked(lookups.take, self._lookup)
        if name in self._verbs:
            role, do = self._verbs[name]
            if role is None:
                return functools.partial(self._answer, do)
            return functools.partial(self._guarded_answer, role, do)
        if name in CLASSIC or name in served.lookups:
            return self._asked(lookups.take_named(name), functools.partial(self._lookup, name))
        return None

    def verbs(self) -> Iterable[str]:
        """All of them: that there is a verb is no secret."""
        return {"lookup", *self._verbs, *CLASSIC, *self._master.membership.served.lookups}

    def _asked(
        self, take: Callable[[Asker, bytes, bytes], bool], general: Callable[..., object]
    ) -> RawVerb:
        """A lookup: passed on as it came, where it has the common form and nothing has to be
        checked of who asks.
        """
        if self._asking is None:
            return RawVerb(take, functools.partial(self._answer, general))
        guarded = functools.partial(self._guarded_answer, self._asking, general)

        def take_checked(asker: Asker, seq: bytes, arguments: bytes) -> bool:
            try:
                self._session.check(TokenRole.CLIENT)
            except LookupFailed:
                return False  # said by the general way
            return take(asker, seq, arguments)

        return RawVerb(take_checked, guarded)

    def is_kept(self, verb: str) -> bool:
        """Connections are kept for workers, and for those who log in."""
        role, _do = self._verbs.get(verb, (None, None))
        return verb == "login" or role is TokenRole.WORKER

    def on_open(self, peer: Peer) -> None:
        """A connection begins: whoever it is has no role yet."""
        self._peer = peer.host
        self._session = Session(self._master.authenticator, peer.host)
        self._certificate = peer.certificate
        self._worker.open(peer, self.connection)

    def on_close(self) -> None:
        """A connection has ended."""
        if self._strange:
            self._master.lookups.stats.turned_down(Forbidden.code, self._strange)
        self._worker.close()

    async def _answer(self, do: Callable[..., object], *args: object, **named: object) -> bytes:
        try:
            result = validation.call(do, args, named)
            if inspect.isawaitable(result):
                result = await result
        except LookupFailed as error:
            return self._refuse(error)
        except DataError as error:
            return self._refuse(NotPossible(f"nothing was changed: {error}"))
        if isinstance(result, CatalogPart):
            return result.data
        return Utf8(result if isinstance(result, bytes) else result_envelope(result))

    def _refuse(self, error: LookupFailed) -> bytes:
        if isinstance(error, Forbidden) and self._session.role is None:
            # Who has a token shows it when it is asked for: that is known when they leave.
            self._strange += not isinstance(error, WrongToken)
        elif error.code in TURNED_DOWN:
            self._master.lookups.stats.turned_down(error.code)
        return Utf8(error_envelope(error))

    async def _guarded_answer(
        self, role: TokenRole, do: Callable[..., object], *args: object, **named: object
    ) -> bytes:
        def checked(*args: object, **named: object) -> object:
            self._check(role)
            return validation.call(do, args, named)

        return await self._answer(checked, *args, **named)

    def _check(self, role: TokenRole) -> None:
        """Raises `Forbidden` unless whoever is at the other end has that role."""
        if self._master.tls is not None and role in CERTIFIED:
            lacks = lacking(self._certificate, CERTIFIED[role])
            if lacks:
                raise Forbidden(lacks)
        self._session.check(role)

    def _steering(self, name: str) -> Callable[..., object]:
        """A verb that changes the cluster."""
        do = self._operation(name)

        def checked(*args: object, **named: object) -> object:
            try:
                self._check(TokenRole.OPERATOR)
            except Forbidden as error:
                self._tell_forbidden(name, args, named, error)
                raise
            return validation.call(do, args, named)

        return checked

    def _tell_forbidden(
        self, name: str, args: tuple[object, ...], named: dict[str, object], error: Forbidden
    ) -> None:
        if self._session.role is None:
            return  # whoever has not logged in is asked to, and comes again
        # As does who was told that another token might help: that is one act.
        again, self._logged_in = self._logged_in, False
        act = (name, args, named)
        if again and act == self._forbidden:
            return
        self._forbidden = act
        acts = self._master.acts
        if acts.may_tell_forbidden():
            arguments = arguments_of(getattr(Operations, name), args, named)
            tell = functools.partial(acts.forbidden, name, arguments, error, who=self._who())
            self._master.executor.submit(tell)

    def _operation(self, name: str) -> Callable[..., object]:
        """An operator's verb: in another thread, if it may have to wait for something."""
        do = self._master.operator_verbs[name]
        if name in INSTANT:
            return do

        async def elsewhere(*args: object, **named: object) -> object:
            def work() -> object:
                with acting_as(who):
                    return do(*args, **named)

            who = self._who()
            return await asyncio.get_running_loop().run_in_executor(self._master.executor, work)

        async def one_by_one(*args: object, **named: object) -> object:
            look = functools.partial(do, *args, **named)
            async with self._looks:  # so that each connection gets its turn
                return await asyncio.get_running_loop().run_in_executor(self._master.looking, look)

        return one_by_one if name in LOOKING else elsewhere

    def _who(self) -> str:
        """Whoever is at the other end, for events: by token, by certificate, by address."""
        role = self._session.role
        shown = [self._session.token_shown]
        if self._certificate is not None:
            shown.append(f"certificate {excerpt(self._certificate.name, MAX_NAME_CHARS)!r}")
        article = "an" if role is TokenRole.OPERATOR else "a"
        return f"{article} {role} at {self._peer} ({', '.join(filter(None, shown))})"

    # -- for clients ----------------------------------------------------------------

    async def _lookup(
        self,
        name: object,
        *args: object,
        limit: object = PAGE_RECORDS,
        after: object = None,
        timeout_s: object = LOOKUP_TIMEOUT_S,
        traceparent: object = "",
    ) -> bytes:
        return await self._master.lookups.lookup(
            validation.text("the lookup's name", name),
            args,
            limit=validation.count("limit", limit),
            after=None if after is None else validation.text("after", after),
            timeout_s=validation.seconds("timeout_s", timeout_s),
            trace=parse_traceparent(validation.text("traceparent", traceparent)),
        )

    async def _lookup_many(
        self,
        lookups: object,
        *,
        limit: object = PAGE_RECORDS,
        timeout_s: object = LOOKUP_TIMEOUT_S,
        traceparent: object = "",
    ) -> bytes:
        return await self._master.lookups.lookup_many(
            validation.text("lookups", lookups),
            limit=validation.count("limit", limit),
            timeout_s=validation.seconds("timeout_s", timeout_s),
            trace=parse_traceparent(validation.text("traceparent", traceparent)),
        )

    async def _suggest(self, field: object, prefix: object = "", limit: object = 10) -> bytes:
        return await self._master.lookups.suggest(
            validation.text("field", field),
            validation.text("prefix", prefix),
            limit=validation.count("limit", limit),
            timeout_s=LOOKUP_TIMEOUT_S,
        )

    async def _members(self, known: object = "", wait_s: object = 0) -> Members:
        self.waiting += 1
        try:
            return await self._master.member_list.after(
                validation.text("known", known), validation.seconds("wait_s", wait_s)
            )
        finally:
            self.waiting -= 1

    async def _login(self, token: object, role: object = None) -> str:
        try:
            given = self._session.login(token, role)
        except WrongToken as wrong:
            await asyncio.sleep(wrong.wait_s)
            raise
        self._strange = 0
        self._logged_in = True
        self.trusted = self._session.role is not TokenRole.CLIENT
        return given

    async def _register(self, text: object) -> Registered:
        registered = await self._worker.register(validation.text("registration", text))
        self._session.settle(TokenRole.WORKER)
        return registered
