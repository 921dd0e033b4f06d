"""Direct lookups: sent from this process straight to the workers, by a master's own rules.

The master only says which workers there are. It takes no part in a lookup, and may even be away
for a while.
"""

from __future__ import annotations

import threading
import time
from random import Random

import msgspec

from nodes.client.connection import MasterConnection
from nodes.dispatch.batches import Batches
from nodes.dispatch.dispatcher import Args, Dispatcher
from nodes.errors import BadRequest, RollcallError
from nodes.routing import POLICIES, Address, Registry, Router, RoutingLimits, State, Worker
from nodes.security.cursors import cursor_version
from nodes.support import forks
from nodes.transport import Secure
from nodes.wire import (
    Envelope,
    LookupRequest,
    Member,
    Members,
    answer_envelope,
    decode_envelope,
    encode_request,
)

REFRESH_EVERY_S = 0.5
"""Seconds between two requests to the master for its list of workers."""

REFRESH_SOON_S = 0.1
"""The same while a worker is expected to register."""

REFRESH_TIMEOUT_S = 1.0
"""Seconds that the master's answer to such a request may take."""

DIRECT_LIMITS = RoutingLimits(death_notice_s=0.3)
"""A master's, except that the news of a death takes longer: it comes by way of the master."""


class MembershipView:
    """Keeps the registry of this process like the master's. Not thread-safe; no I/O.

    Args:
        dispatcher: told who joins and who leaves.
        registry: the dispatcher's.
    """

    def __init__(self, dispatcher: Dispatcher, registry: Registry) -> None:
        self._dispatcher = dispatcher
        self._registry = registry
        self._master = ""
        self._known: dict[tuple[str, int], Worker] = {}
        self._probes_answered: dict[int, int] = {}
        self.keys: dict[int, str] = {}
        """The key that each worker wants to be shown, by its generation in this registry."""

    def apply(self, members: Members, now: float) -> None:
        """Takes over the master's list of workers, received at `now` (seconds).

        The empty list of a restarted master is ignored: its workers have yet to register.
        """
        if members.master != self._master and not members.members and self._known:
            return
        self._master = members.master
        there = {(members.master, one.generation): one for one in members.members}
        for name in self._known.keys() - there.keys():
            master, generation = name
            self._lose(name, now, died=master == members.master and generation in members.died)
        for name, member in there.items():
            worker = self._known.get(name) or self._join(name, member, now)
            self._follow(worker, member, now)

    def _lose(self, name: tuple[str, int], now: float, *, died: bool) -> None:
        worker = self._known.pop(name)
        self._registry.lost(worker.generation, "the master no longer has it", now, died=died)
        self._dispatcher.left(worker.generation)
        self._probes_answered.pop(worker.generation, None)
        self.keys.pop(worker.generation, None)

    def _join(self, name: tuple[str, int], member: Member, now: float) -> Worker:
        master, generation = name
        worker = self._registry.register(
            wanted_id=member.id,
            instance=f"{master} {generation}",
            pid=0,
            version=member.version,
            address=Address(member.host, member.port),
            now=now,
        )
        self._known[name] = worker
        self.keys[worker.generation] = member.key
        self._dispatcher.joined(worker)
        return worker

    def _follow(self, worker: Worker, member: Member, now: float) -> None:
        probed = self._probes_answered.get(worker.generation)
        if member.state == State.DRAINING:
            self._registry.drain(worker.generation, "the master says so", now)
        elif member.state == State.SUSPECT and worker.state is not State.SUSPECT:
            self._registry.probe_missed(worker.generation, "the master says so", now)
        elif member.state == State.UP and probed != member.probes_answered:
            # It has answered the master since, so its missed calls here are forgiven.
            self._registry.probe_answered(
                worker.generation, version=member.version, cpu=0.0, memory=0, now=now
            )
        self._probes_answered[worker.generation] = member.probes_answered


class DirectClient:
    """Sends lookups to workers. Thread-safe, and usable on both sides of a fork.

    Args:
        master: the one that knows them.
        tls: how workers are checked; None for no TLS.
        limits: when lookups are sent again, and how often.
    """

    def __init__(
        self,
        master: MasterConnection,
        *,
        tls: Secure | None = None,
        limits: RoutingLimits = DIRECT_LIMITS,
    ) -> None:
        self._master = master
        self._tls = tls
        self._limits = limits
        self._closed = threading.Event()
        self.renew()
        forks.enlist(self)

    def renew(self) -> None:
        """Starts over without any worker. A forked child does so too, as it has none of the
        parent's threads. A closed client stays closed.
        """
        self._expecting = False
        registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random())  # noqa: S311 - jitter, no secret
        self._router = Router(registry=registry, policy=POLICIES["load"], limits=self._limits)
        self._dispatcher = Dispatcher(
            router=self._router,
            expecting=lambda: self._expecting,
            key=lambda worker: self._members.keys.get(worker.generation, ""),
            tls=self._tls,
            on_failure=lambda: self._hurry.set(),  # noqa: PLW0108 - a forked child has another event
        )
        self._members = MembershipView(self._dispatcher, registry)
        self._batches = Batches(self._dispatcher)
        self._beginning = threading.Lock()
        self._hurry = threading.Event()
        closed, self._closed = self._closed, threading.Event()
        if closed.is_set():
            self._closed.set()
        self._watcher: threading.Thread | None = None

    def page(
        self,
        name: str,
        args: tuple[str | float, ...],
        *,
        limit: int,
        after: str | None,
        timeout: float,
    ) -> Envelope:
        """One page of a lookup; arguments and errors as `nodes.client.blocking.Client.page`."""
        self._begin(timeout)
        began = time.monotonic()

        def make_args(left: float) -> Args:
            try:
                return (encode_request(LookupRequest(name, args, limit, after, left)),)
            except (TypeError, ValueError, OverflowError) as error:
                raise BadRequest(f"an argument of {name} cannot be sent: {error}") from error

        version = cursor_version(after) if after else ""
        answer = self._dispatcher.call("lookup", make_args, timeout=timeout, version=version)
        if answer.attempts > 1:
            self._hurry.set()
        took = (time.monotonic() - began) * 1000
        return decode_envelope(
            answer_envelope(
                answer.part, worker=answer.worker, attempts=answer.attempts, elapsed_ms=took
            )
        )

    def many(self, text: str, *, limit: int, timeout: float) -> bytes:
        """The answers to a batch, a JSON array of envelopes; see `nodes.dispatch.batches`."""
        self._begin(timeout)
        return self._batches.ask(text, limit=limit, timeout=timeout).body

    def close(self) -> None:
        """Lets go of every worker."""
        self._closed.set()
        self._hurry.set()
        if self._watcher is not None:
            self._watcher.join(REFRESH_TIMEOUT_S + 1.0)
        self._batches.close()
        self._dispatcher.close()

    def _begin(self, timeout: float) -> None:
        """Asks for the list of workers, which the first lookup has to wait for."""
        if self._watcher is not None:
            return
        with self._beginning:
            if self._watcher is None:
                self._refresh(timeout)
                watcher = threading.Thread(target=self._keep_refreshing, name="direct", daemon=True)
                watcher.start()
                self._watcher = watcher

    def _refresh(self, timeout: float) -> None:
        reply = self._master.call("members", timeout=timeout, again=True)
        members = msgspec.convert(reply.result, Members)
        with self._dispatcher.lock:
            now = time.monotonic()
            self._expecting = members.expecting
            self._router.policy = POLICIES.get(members.balance, POLICIES["load"])
            self._members.apply(members, now)
            self._router.refresh(now)
            self._router.registry.purge(now)
            self._dispatcher.changed.notify_all()

    def _keep_refreshing(self) -> None:
        while not self._closed.is_set():
            self._hurry.wait(REFRESH_SOON_S if self._expecting else REFRESH_EVERY_S)
            self._hurry.clear()
            if self._closed.wait(0.05):  # however often it is hurried
                return
            try:
                self._refresh(REFRESH_TIMEOUT_S)
            except (RollcallError, msgspec.MsgspecError):
                # The master is away: its workers are taken to be still there, and those of
                # the next master to be on their way.
                self._expecting = True
