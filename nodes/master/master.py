"""The master: what is behind its port, and the verbs by which it is reached."""

from __future__ import annotations

import functools
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import msgspec

from nodes.errors import (
    BadRequest,
    DataError,
    Forbidden,
    LookupFailed,
    NotPossible,
    NoWorkers,
)
from nodes.fleet.control import FleetControl
from nodes.master import cores
from nodes.master.events import EventLog, registered
from nodes.master.journal import Journal, Second, read_events
from nodes.master.lookups import LookupHandler
from nodes.master.membership import Membership
from nodes.master.snapshot import take_snapshot
from nodes.routing import NO_WORKERS, POLICIES, Address, State
from nodes.security.authenticator import Authenticator, Session
from nodes.security.expiry import ExpiryWatch
from nodes.security.tls import REGISTERS, STEERS, Tls, lacking
from nodes.security.tokens import Key, Role
from nodes.support import validation as given
from nodes.support.addresses import registered_host
from nodes.transport import Certificate, Peer, Server, Service, Utf8
from nodes.wire import (
    DEADLINE,
    MOST_REGISTRATION,
    PAGE,
    ClusterSnapshot,
    Description,
    Event,
    LogPart,
    Member,
    Members,
    Registration,
    direct_key,
    error_envelope,
    result_envelope,
)

REJOIN_TIME = 3.0
"""Seconds within which the workers of a master that was restarted register again."""

FINISH_TIME = 10.0
"""Seconds that a master which stops may take for the lookups that it has taken in."""

LAST_WORDS = 0.5
"""Seconds for the last answers to go out, before all connections are closed."""

CLASSIC = ("getbyname", "getbylocation", "getbyyear")
"""Verbs that are there before any worker has said what it serves: their answer is then that
there is no worker, which tells a stock client more than "no such verb"."""

CERTIFIED = {Role.WORKER: REGISTERS, Role.OPERATOR: STEERS}
"""With TLS, the certificates that go with a token's role; a client needs none."""


class Master:
    """Registered workers, and lookups sent to them. It holds no records.

    Arguments (keyword only):
        keys: asked at each login for every valid token and its role.
        host, port: where it listens; port 0 lets the system choose.
        balance: one of `nodes.routing.POLICIES`.
        description: what the workers to come will serve, if it is known before the first.
        require_token: whether lookups need a token as well.
        tls: a master's certificates; None for no TLS.

    Attributes:
        cursor_key: what its workers sign cursors with, in hex; see `nodes.security.tokens`.
        expiries: of the certificates in use, Unix time, by who uses them.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(
        self, *, keys: Callable[[], list[Key]], host: str = "127.0.0.1", port: int = 0,
        balance: str = "load", description: Description | None = None,
        require_token: bool = False, tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self.tls = tls
        self.cursor_key = secrets.token_hex(32)
        self.expiries: dict[object, float] = {} if tls is None else {"master": tls.expires_at}
        self._expiry = ExpiryWatch()
        self.launcher: FleetControl | None = None
        self.journal: Journal | None = None
        self.events = EventLog()
        self.authenticator = Authenticator(
            keys=keys, note=self.events.note, require_token=require_token
        )
        self.membership = Membership(
            policy=POLICIES[balance], events=self.events, description=description,
            random=Random(),  # noqa: S311 - jitter, no secret
            tls=None if tls is None else tls.to_workers(),
        )  # fmt: skip
        self.lookups = LookupHandler(
            self.membership.dispatcher, lambda: self.membership.description, note=self.events.note
        )
        self._balance = balance
        self._name = secrets.token_hex(8)
        self._started = time.monotonic()
        self.membership.each_second = self._warn_of_expiry
        self._server = Server(
            lambda: MasterService(self), host=host, port=port, name="master",
            tls=None if tls is None else tls.listening(),
        )  # fmt: skip

    @property
    def address(self) -> Address:
        """Where clients and workers find it."""
        return Address(*self._server.address)

    def keep_journal(self, path: Path, *, remember: bool) -> None:
        """Writes what happens to that file, from `start` on.

        Arguments:
            path: see `nodes.master.journal.journal_file`.
            remember: whether to take up the events that an earlier master left there.
        """
        if remember and path.exists():
            try:
                earlier = read_events(path)
            except DataError as error:
                earlier = []
                self.events.note("journal", "", str(error))
            self.events.remember(earlier)
            if registered(earlier):
                # They are looking for us: until they are back, lookups wait for them.
                until = time.monotonic() + REJOIN_TIME
                self.membership.expecting = lambda: time.monotonic() < until
        self.journal = Journal(path, self._second)
        self.events.listener = self.journal.note

    def _second(self) -> Second:
        now = self.snapshot()
        return Second(
            at=now.taken_at, lookups_per_s=now.lookups_per_s, p50_ms=now.p50_ms,
            p99_ms=now.p99_ms, in_flight=now.in_flight, answered=now.answered,
            errors=now.errors, reroutes=now.reroutes, hedges=now.hedges,
            up=sum(worker.state == State.UP for worker in now.workers),
        )  # fmt: skip

    @property
    def tls_expires_at(self) -> float | None:
        """See `ClusterSnapshot`."""
        return min(tuple(self.expiries.values()), default=None)

    def _warn_of_expiry(self) -> None:
        warning = self._expiry.due(self.tls_expires_at, time.time())
        if warning:
            self.events.note("certificates", "", warning)

    def start(self) -> None:
        """Listens."""
        if self.journal is not None:
            self.journal.start()
            self.events.note("started", "", f"the master at {self.address}, pid {os.getpid()}")
        self._server.start()
        self.membership.start()

    def stop(self) -> None:
        """Answers what has been taken in, then lets everybody go: no worse than to be killed.

        The journal ends first, and with it what the next master reads: the workers of this one
        are not lost, and will register there. Then the port is free for it. Who asks from now
        on is refused as `Stopping`, and finds it there. Clients are served to the last, so local
        workers leave after them; all others look for the next master once we are gone.
        """
        if self.journal is not None:
            self.events.note("stopped", "", f"the master at {self.address}")
            self.journal.close()
        self._server.leave_port()
        self.membership.expecting = lambda: False  # nobody can register any more
        self.lookups.finish(FINISH_TIME)
        if self.launcher is not None:
            self.launcher.stop()
        self.authenticator.close()
        self._server.finish(LAST_WORDS)
        self._server.stop()
        self.membership.stop()
        self.lookups.close()

    def snapshot(self) -> ClusterSnapshot:
        """The whole cluster, now."""
        return take_snapshot(
            membership=self.membership,
            lookups=self.lookups,
            refused_logins=self.authenticator.refused,
            children=None if self.launcher is None else self.launcher.children(),
            activity="" if self.launcher is None else self.launcher.activity,
            address=str(self.address),
            balance=self._balance,
            started=self._started,
            tls_expires_at=self.tls_expires_at,
        )

    def describe(self) -> Description:
        """What is served, and in which versions.

        Raises:
            NoWorkers: nobody has said so yet.
            Stopping: the next master will say.
        """
        self.lookups.check_open()
        if self.membership.description is None:
            self.lookups.await_worker(DEADLINE)
        described = self.membership.description
        if described is None:
            raise NoWorkers(NO_WORKERS)
        return msgspec.structs.replace(described, versions=self.snapshot().catalogs)

    def members(self) -> Members:
        """Every live worker that is sent lookups, for clients that ask them themselves.

        Raises:
            Stopping: the next master will say.
        """
        self.lookups.check_open()
        key = direct_key if self.authenticator.require_token else lambda _instance: ""
        with self.membership.changed:
            members = tuple(
                Member(
                    id=one.id, generation=one.generation, host=one.address.host,
                    port=one.address.port, state=str(one.state), version=one.version,
                    probes_answered=one.probes_answered, key=key(one.instance),
                )
                for one in self.membership.registry.live()
                if one.state is not State.UNREADY
            )  # fmt: skip
            died = tuple(worker.generation for worker in self.membership.registry.deaths.latest)
        return Members(
            master=self._name, balance=self._balance, expecting=self.membership.expecting(),
            members=members, died=died,
        )  # fmt: skip

    def drain(self, worker_id: str) -> str:
        """Lets a worker finish and leave, whoever started it. Raises `UnknownWorker`."""
        if self.launcher is not None and self.launcher.owns(worker_id):
            return self.launcher.drain(worker_id)
        self.membership.retire(worker_id)
        return f"{worker_id} drains, then leaves"

    def steered(self) -> FleetControl:
        """The launcher. Raises `NotPossible` when there is none."""
        if self.launcher is None:
            raise NotPossible(
                "this master starts no workers: use 'rollcall-nodes up', or start and stop "
                "workers where they run"
            )
        return self.launcher


class MasterService(Service):
    """The verbs, for one connection. Every verb answers with an envelope, whatever happens."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._peer = ""
        self._certificate: Certificate | None = None
        self._session = Session(master.authenticator, "")
        self._generation: int | None = None
        self._gathered = False
        # Each with the role that it needs, None for what a stranger may ask.
        self._asking = Role.CLIENT if master.authenticator.require_token else None
        self._verbs: Mapping[str, tuple[Role | None, Callable[..., object]]] = {
            "login": (None, self._login),
            "lookup": (self._asking, self._lookup),
            "lookup_many": (self._asking, self._lookup_many),
            "describe": (self._asking, master.describe),
            "members": (self._asking, master.members),
            "suggest": (self._asking, self._suggest),
            "register": (Role.WORKER, self._register),
            "renew": (Role.WORKER, self._renew),
            "leave": (Role.WORKER, self._leave),
            "snapshot": (Role.OPERATOR, master.snapshot),
            "events": (Role.OPERATOR, self._events),
            "spawn": (Role.OPERATOR, self._spawn),
            "scale": (Role.OPERATOR, self._scale),
            "kill": (Role.OPERATOR, self._kill),
            "drain": (Role.OPERATOR, self._drain),
            "restart": (Role.OPERATOR, self._restart),
            "freeze": (Role.OPERATOR, self._freeze),
            "thaw": (Role.OPERATOR, self._thaw),
            "log": (Role.OPERATOR, self._log),
            "reload": (Role.OPERATOR, lambda: master.steered().reload()),
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
            result = given.call(do, args, named)
        except LookupFailed as error:
            return Utf8(error_envelope(error))
        except DataError as error:
            return Utf8(error_envelope(NotPossible(f"nothing was changed: {error}")))
        return Utf8(result if type(result) is bytes else result_envelope(result))

    def _guarded_answer(
        self, role: Role, do: Callable[..., object], *args: object, **named: object
    ) -> Utf8:
        def checked(*args: object, **named: object) -> object:
            if self._master.tls is not None and role in CERTIFIED:
                lacks = lacking(self._certificate, CERTIFIED[role])
                if lacks:
                    raise Forbidden(lacks)
            self._session.check(role)
            if role is Role.OPERATOR and self._gathered:
                # It may start workers, or build a catalog.
                cores.spread()
                self._gathered = False
            return given.call(do, args, named)

        return self._answer(checked, *args, **named)

    # -- for clients ----------------------------------------------------------------

    def _lookup(
        self, name: object, *args: object, limit: object = PAGE, after: object = None,
        timeout_s: object = DEADLINE,
    ) -> bytes:  # fmt: skip
        if not self._gathered and self._master.lookups.in_flight:
            # Others ask as well: from now on this thread and theirs take turns.
            cores.gather()
            self._gathered = True
        return self._master.lookups.lookup(
            given.text("the lookup's name", name), args, limit=given.count("limit", limit),
            after=None if after is None else given.text("after", after),
            timeout=given.seconds("timeout_s", timeout_s),
        )  # fmt: skip

    def _lookup_many(
        self, lookups: object, *, limit: object = PAGE, timeout_s: object = DEADLINE
    ) -> bytes:
        return self._master.lookups.lookup_many(
            given.text("lookups", lookups), limit=given.count("limit", limit),
            timeout=given.seconds("timeout_s", timeout_s),
        )  # fmt: skip

    def _suggest(self, field: object, prefix: object = "", limit: object = 10) -> bytes:
        return self._master.lookups.suggest(
            given.text("field", field), given.text("prefix", prefix),
            limit=given.count("limit", limit), timeout=DEADLINE,
        )  # fmt: skip

    def _login(self, token: object) -> str:
        role = self._session.login(token)
        self.keeps_seat = True
        return role

    # -- for workers ----------------------------------------------------------------

    def _register(self, text: object) -> object:
        encoded = given.text("registration", text)
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
        self._session.settle(Role.WORKER)
        return msgspec.structs.replace(
            registered, require_token=self._master.authenticator.require_token,
            cursor_key=self._master.cursor_key,
        )  # fmt: skip

    def _renew(self) -> bool:
        return self._generation is not None and self._master.membership.has(self._generation)

    def _leave(self) -> int:
        if self._generation is None:
            raise BadRequest("no worker registered on this connection")
        return self._master.membership.leave(self._generation)

    # -- for operators --------------------------------------------------------------

    def _events(self, after: object = 0) -> list[Event]:
        return self._master.events.after(given.count("after", after))

    def _spawn(self, count: object = 1) -> list[str]:
        return self._master.steered().spawn(given.count("count", count))

    def _scale(self, count: object) -> str:
        return self._master.steered().scale(given.count("count", count))

    def _kill(self, worker_id: object) -> str:
        return self._master.steered().kill(given.text("id", worker_id))

    def _drain(self, worker_id: object) -> str:
        return self._master.drain(given.text("id", worker_id))

    def _restart(self, worker_id: object) -> str:
        return self._master.steered().restart(given.text("id", worker_id))

    def _freeze(self, worker_id: object) -> str:
        return self._master.steered().freeze(given.text("id", worker_id))

    def _thaw(self, worker_id: object) -> str:
        return self._master.steered().thaw(given.text("id", worker_id))

    def _log(self, worker_id: object, after: object = -1) -> LogPart:
        if type(after) is not int:
            raise BadRequest("after must be a whole number")
        return LogPart(*self._master.steered().log(given.text("id", worker_id), after))
