"""What is behind a master's port: its parts, put together."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import msgspec

from nodes.errors import (
    DataError,
    NoWorkers,
)
from nodes.fleet.control import FleetControl
from nodes.master.acts import Acts
from nodes.master.audit import AuditFile
from nodes.master.catalog_offers import CatalogOffers
from nodes.master.dial_back import DialBack
from nodes.master.events import EventLog, registered
from nodes.master.journal import Journal
from nodes.master.journal_reading import read_events
from nodes.master.lookups import LookupHandler
from nodes.master.member_list import MemberList
from nodes.master.membership import Membership
from nodes.master.operations import Operations
from nodes.master.recorder import Recorder
from nodes.master.recording import SUFFIX
from nodes.master.snapshot import MasterFacts, take_snapshot
from nodes.master.ticker import Ticker
from nodes.master.worker_orders import WorkerOrders
from nodes.routing import NO_WORKERS, POLICIES
from nodes.security.authenticator import Authenticator
from nodes.security.expiry import ExpiryWatch
from nodes.security.tls import Tls
from nodes.security.tokens import ValidToken
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.listening import Network
from nodes.support.program import other_protocol
from nodes.support.validation import validated
from nodes.support.verbs import OPERATIONS
from nodes.transport import LoopThread
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PROTOCOL,
    ClusterSnapshot,
    Description,
    Speaks,
)

BLOCKING_THREADS = 4
"""Operations that may hold up at one time: certificates, catalog builds, what a fleet does."""

LOOKING_THREADS = 4
"""Reads of journals, recordings and logs at one time. They have threads of their own: whoever may
only look holds up nobody who steers."""

MAX_NOTED = 100
"""Kinds of workers of another protocol that events tell of."""

RECENT_S = 1.5
"""Seconds for which a snapshot is of use to who watches from outside."""

LOOP_ANSWERS_S = 2.0
"""Seconds that another waits for at most."""

REJOIN_WITHIN_S = 3.0
"""Seconds within which the workers of a master that was restarted register again."""


class MasterCore:
    """Registered workers, and lookups sent to them. It holds no records.

    Args:
        tokens: asked at each login for every valid token and its role.
        balance: one of `nodes.routing.POLICIES`.
        description: what the workers to come will serve, if it is known before the first.
        require_token: whether lookups need a token as well.
        tls: a master's certificates; None for no TLS.
        clock: Unix time in seconds: what is shown, and what certificates are judged by. It may be
            set at any time; nothing else is decided by it.
        workers_from: the networks that workers may register from; none for any.

    Attributes:
        address: where clients and workers find it.
        dial_back: finds out whether a worker's address is its own.
        cursor_key: what its workers sign cursors with, in hex; see `nodes.security.tokens`.
        member_list: what direct clients follow.
        orders: to single workers.
        catalogs: what workers may fetch.
        loop: the thread that all of it runs on.
        acts: tells of what operators do.
        recording_path: where its snapshots are recorded; None if they are not.
        operator_verbs: what an operator may call, by name; see `nodes.master.operations`.
        executor: for what would hold up the loop.
        looking: for what whoever may only look asks, if it would.
        expiries: of the certificates in use, Unix time, by who uses them.
        options: see `ClusterSnapshot`.
    """

    address: Address

    def __init__(
        self,
        *,
        tokens: Callable[[], list[ValidToken]],
        balance: str = "load",
        description: Description | None = None,
        require_token: bool = False,
        tls: Tls | None = None,
        clock: Callable[[], float] = time.time,
        workers_from: tuple[Network, ...] = (),
    ) -> None:
        self.tls = tls
        self._clock = clock
        self.workers_from = workers_from
        self.dial_back = DialBack(tls)
        self.loop = LoopThread("master")
        self.executor = ThreadPoolExecutor(BLOCKING_THREADS, thread_name_prefix="master-blocking")
        self.looking = ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="master-looking")
        self.cursor_key = secrets.token_hex(32)
        self.expiries: dict[object, float] = {} if tls is None else {"master": tls.expires_at}
        self._expiry = ExpiryWatch()
        self.journal: Journal | None = None
        self.recording_path: Path | None = None
        self.options: tuple[str, ...] | None = None
        self.events = EventLog(clock=clock)
        self.acts = Acts(self.events, clock=clock)
        self.authenticator = Authenticator(
            tokens=tokens, note=self.events.note, require_token=require_token
        )
        self.membership = Membership(
            policy=POLICIES[balance],
            events=self.events,
            description=description,
            random=Random(),  # noqa: S311 - jitter, no secret
            loop=self.loop.loop,
            executor=self.executor,
        )
        self._ticker = Ticker(
            self.membership.lag,
            each_tick=self._look,
            each_second=self._look_around,
            report=self.events.trouble,
        )
        self.lookups = LookupHandler(
            self.membership.dispatcher,
            self.membership.served,
            wait_for_worker=self.membership.wait_for_worker,
            note=self.events.note,
        )
        self.member_list = MemberList(
            self.membership,
            balance=balance,
            show_keys=require_token,
            check_open=self.lookups.check_open,
        )
        self.orders = WorkerOrders(self.membership)
        self.catalogs = CatalogOffers(lambda: self.fleet.offered)
        # Once, not for each connection: to look at a signature takes a while.
        self.operator_verbs = self._make_operator_verbs()
        self._balance = balance
        self._started = time.monotonic()
        self._refusals: set[str] = set()
        self._newest: tuple[float, ClusterSnapshot | None] = (0.0, None)

    def _make_operator_verbs(self) -> dict[str, Callable[..., object]]:
        operations = Operations(
            loop=self.loop,
            membership=self.membership,
            orders=self.orders,
            event_log=self.events,
            acts=self.acts,
            take_snapshot=self.snapshot,
            journal_path=lambda: None if self.journal is None else self.journal.path,
            recording_path=lambda: self.recording_path,
        )
        return {name: validated(getattr(operations, name)) for name in OPERATIONS}

    @property
    def fleet(self) -> FleetControl:
        """The launcher's fleet, or that of a master alone: see `led_by`."""
        return self.membership.fleet

    def led_by(self, fleet: FleetControl) -> None:
        """See `Membership.led_by`."""
        self.loop.call(self.membership.led_by, fleet)

    def keep_journal(self, path: Path, *, remember: bool, recorder: Recorder | None = None) -> None:
        """Writes what happens to that file, and what snapshots say to one beside it, from
        `start` on.

        Args:
            path: see `nodes.master.journal_file.journal_file`.
            remember: whether to take up the events that an earlier master left there.
            recorder: of the snapshots; None for one that writes beside the journal.
        """
        if remember and os.path.lexists(path):
            try:
                earlier = read_events(path)
            except DataError as error:
                earlier = []
                self.events.note(EventKind.JOURNAL, "", str(error))
            self.events.remember(earlier)
            if registered(earlier):
                # They are looking for us: until they are back, lookups wait for them.
                self.membership.expect_until(time.monotonic() + REJOIN_WITHIN_S)
        recorder = recorder or Recorder(path.with_suffix(SUFFIX), report=self._note_journal)
        self.recording_path = recorder.path
        self.journal = Journal(
            path, self.snapshot, recorder=recorder, report=self._note_journal, clock=self._clock
        )
        self.events.listener = self.journal.note

    def keep_audit(self, path: Path) -> None:
        """Writes what operators do to that file as well; see `nodes.master.audit`.

        Raises:
            StartError: nothing can be written there.
        """
        self.acts.audit = AuditFile(path, self.events.trouble)

    def _note_journal(self, text: str) -> None:
        self.events.note(EventKind.JOURNAL, "", text)

    @property
    def tls_expires_at(self) -> float | None:
        """See `ClusterSnapshot`."""
        return min(tuple(self.expiries.values()), default=None)

    def _look(self, now: float) -> None:
        self.membership.look(now)
        self.lookups.stats.fold(now)

    def _look_around(self, now: float) -> None:
        self.membership.look_around(now)
        self.authenticator.look()
        self.events.catch_up()
        warning = self._expiry.due(self.tls_expires_at, self._clock(), now)
        if warning:
            self.events.note(EventKind.CERTIFICATES, "", warning)

    def snapshot(self) -> ClusterSnapshot:
        """The whole cluster, now; from any thread."""
        return self.loop.call(self._take_snapshot)

    def recent_snapshot(self, max_age_s: float = RECENT_S) -> ClusterSnapshot:
        """The cluster as it was at most so many seconds ago; from any thread. Mostly, it has been
        taken already (the journal asks for one each second): lookups do not wait for who watches.

        Raises:
            TimeoutError: the loop does not run.
            RuntimeError: it has ended.
        """
        taken_at, snapshot = self._newest
        if snapshot is not None and time.monotonic() - taken_at <= max_age_s:
            return snapshot
        return self.loop.call(self._take_snapshot, timeout_s=LOOP_ANSWERS_S)

    def _take_snapshot(self) -> ClusterSnapshot:
        facts = MasterFacts(
            address=str(self.address),
            balance=self._balance,
            started=self._started,
            wall=self._clock(),
            refused_logins=self.authenticator.refused,
            tls_expires_at=self.tls_expires_at,
            journal_trouble="" if self.journal is None else self.journal.losses,
            journal_dropped=0 if self.journal is None else self.journal.dropped,
            recording_dropped=0 if self.journal is None else self.journal.recording_dropped,
            options=self.options,
        )
        snapshot = take_snapshot(facts, self.membership, self.lookups)
        self._newest = time.monotonic(), snapshot
        return snapshot

    def refuse_protocol(self, peer: str, spoken: Speaks) -> str:
        """What a worker is told that speaks another protocol."""
        said = other_protocol(f"a worker at {peer}", spoken.protocol, spoken.program, ours=PROTOCOL)
        self.note_refusal(EventKind.OTHER_VERSION, f"refused: {said}")
        return said

    def note_refusal(self, kind: EventKind, said: str) -> None:
        """A worker may not register: one event tells of each reason, however often they come."""
        if said not in self._refusals and len(self._refusals) < MAX_NOTED:
            self._refusals.add(said)
            self.events.note(kind, "", said)

    async def describe(self) -> Description:
        """What is served, and in which versions.

        Raises:
            NoWorkers: nobody has said so yet.
            Stopping: the next master will say.
        """
        self.lookups.check_open()
        if self.membership.description is None:
            await self.lookups.await_worker(LOOKUP_TIMEOUT_S)
        described = self.membership.description
        if described is None:
            raise NoWorkers(NO_WORKERS)
        return msgspec.structs.replace(described, versions=self.membership.registry.versions())
