"""Direct lookups: sent from this process straight to the workers, by a master's own rules.

The master only says which workers there are. It takes no part in a lookup, and may even be away
for a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from random import Random

import msgspec

from nodes.client.connection import MasterConnection
from nodes.client.membership_view import MembershipView
from nodes.client.quick import FIRST_WAIT_S, QuickAnswer, QuickFailure, QuickLookups
from nodes.client.worker_link import WorkerLink
from nodes.dispatch.batches import Answers, Batches
from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import TICK_S, Dispatcher
from nodes.errors import BadRequest, LookupFailed, MasterLost, RollcallError
from nodes.routing import POLICIES, Registry, Router, RoutingLimits, Worker
from nodes.security.cursors import cursor_version
from nodes.support import forks
from nodes.transport import (
    LoopThread,
    Secure,
    encode_arguments,
)
from nodes.wire import (
    PAGE_RECORDS,
    Envelope,
    LookupRequest,
    Members,
    WorkerAnswer,
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
            clock=time.monotonic,
            wake=self._wake,
            expecting=lambda: self._expecting,
            on_failure=lambda: self._hurry.set(),  # noqa: PLW0108 - a forked child has another event
        )
        self._quick = QuickLookups(self._tls)
        self._members = MembershipView(self._dispatcher, registry, self._make_link, self._quick)
        self._batches = Batches(self._dispatcher)
        self._beginning = threading.Lock()
        self._hurry = threading.Event()
        closed, self._closed = self._closed, threading.Event()
        if closed.is_set():
            self._closed.set()
        self._ticking = False
        self._loop: LoopThread | None = None
        self._watcher: threading.Thread | None = None

    def _wake(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._dispatcher.tick()

    def _make_link(self, worker: Worker, key: str) -> WorkerLink:
        return WorkerLink(worker, key, self._tls)

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
        loop = self._begin(timeout)
        try:
            failed = QuickFailure()
            if after is None and limit == PAGE_RECORDS and timeout > FIRST_WAIT_S:
                tried = self._quick.ask(name, args)
                if isinstance(tried, QuickAnswer):
                    return _envelope(tried.part, tried.worker_id, 1, tried.took_s)
                failed = tried
                timeout -= FIRST_WAIT_S
            request = encode_request(LookupRequest(name, args, limit, after, timeout))
            call = _DirectCall(encode_arguments((request,)), timeout)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadRequest(f"an argument of {name} cannot be sent: {error}") from error
        call.version = cursor_version(after) if after else ""
        if failed.error is None:
            loop.post(self._dispatcher.submit, call)
        else:
            loop.post(self._dispatcher.take_over, call, failed.worker, failed.error)
        answer = call.outcome.result()
        if answer.attempts > 1:
            self._hurry.set()
        return _envelope(answer.part, answer.worker.id, answer.attempts, answer.took_s)

    def many(self, text: str, *, limit: int, timeout: float) -> bytes:
        """The answers to a batch, a JSON array of envelopes; see `nodes.dispatch.batches`."""
        loop = self._begin(timeout)
        answers: Future[Answers] = Future()

        def ask() -> None:
            self._batches.ask(text, limit=limit, timeout_s=timeout, done=answers.set_result)

        loop.call(ask)
        return answers.result().body

    def close(self) -> None:
        """Lets go of every worker."""
        self._closed.set()
        self._hurry.set()
        if self._watcher is not None:
            self._watcher.join(REFRESH_TIMEOUT_S + 1.0)
        with self._beginning:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call(self._members.close)
            loop.stop()

    def _begin(self, timeout: float) -> LoopThread:
        """Asks for the list of workers, which the first lookup has to wait for."""
        loop = self._loop
        if loop is not None and self._watcher is not None:
            return loop
        with self._beginning:
            if self._closed.is_set():
                raise MasterLost("this client is closed")
            if self._loop is None:
                self._loop = LoopThread("direct")
                self._loop.start()
            if self._watcher is None:
                self._refresh(self._loop, timeout)
                watcher = threading.Thread(
                    target=self._keep_refreshing, args=(self._loop,), name="direct", daemon=True
                )
                watcher.start()
                self._watcher = watcher
            return self._loop

    def _refresh(self, loop: LoopThread, timeout: float) -> None:
        reply = self._master.call("members", timeout=timeout)
        loop.call(self._follow, msgspec.convert(reply.result, Members))

    def _follow(self, members: Members) -> None:
        now = time.monotonic()
        self._router.policy = POLICIES.get(members.balance, POLICIES["load"])
        # Who waits for a worker that is gone must not hear, halfway, that nobody is left.
        self._expecting = True
        self._members.apply(members, now)
        self._expecting = members.expecting
        self._router.refresh(now)
        self._router.registry.purge(now)
        self._dispatcher.changed()

    def _keep_refreshing(self, loop: LoopThread) -> None:
        while not self._closed.is_set():
            self._hurry.wait(REFRESH_SOON_S if self._expecting else REFRESH_EVERY_S)
            self._hurry.clear()
            if self._closed.wait(0.05):  # however often it is hurried
                return
            try:
                self._refresh(loop, REFRESH_TIMEOUT_S)
            except (RollcallError, msgspec.MsgspecError):
                # The master is away: its workers are taken to be still there, and those of
                # the next master to be on their way.
                self._expecting = True


def _envelope(part: WorkerAnswer, worker: str, attempts: int, took_s: float) -> Envelope:
    return decode_envelope(
        answer_envelope(part, worker=worker, attempts=attempts, elapsed_ms=took_s * 1000)
    )


class _DirectCall(Call):
    """A lookup that a thread waits for."""

    verb = "lookup"

    __slots__ = ("outcome", "timeout_s", "version")

    def __init__(self, arguments: bytes, timeout_s: float) -> None:
        super().__init__(arguments)
        self.timeout_s = timeout_s
        self.version = ""
        self.outcome: Future[Answer] = Future()

    def answered(self, answer: Answer) -> None:
        self.outcome.set_result(answer)

    def gave_up(self, error: LookupFailed) -> None:
        self.outcome.set_exception(error)
