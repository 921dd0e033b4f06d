"""Direct lookups: sent from this process straight to the workers, by a master's own rules.

The master only says which workers there are. It takes no part in a lookup, and may even be away
for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from random import Random

from nodes.client.async_connection import MAX_ARGUMENTS_BYTES
from nodes.client.membership_view import MembershipView
from nodes.client.membership_watch import MasterCalls, MembershipWatch
from nodes.client.quick import FIRST_WAIT_S, QuickAnswer, QuickFailure, QuickLookups
from nodes.client.worker_link import WorkerLink
from nodes.dispatch.batches import Answers, Batches
from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import TICK_S, Dispatcher
from nodes.errors import BadRequest, LookupFailed, MasterLost, StartError
from nodes.routing import POLICIES, Registry, Router, RoutingLimits, Worker
from nodes.security.cursors import cursor_version
from nodes.support import forks
from nodes.support.deadline import seconds_left
from nodes.support.supervision import AT_ONCE, Supervision, shielded
from nodes.transport import (
    LoopThread,
    Secure,
    encode_arguments,
    is_cooperative,
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

REFRESH_ROUTER_S = 1.0
"""Seconds after which it is worked out anew when a lookup is late."""

DIRECT_LIMITS = RoutingLimits(death_notice_s=0.3)
"""A master's, except that the news of a death takes longer: it comes by way of the master."""


_inherited: list[object] = []
"""In a forked child: the event loops and connections of its parent. They are never freed here, as
that would take the parent's sockets out of the parent's selector, which both have."""


class DirectClient:
    """Sends lookups to workers. Thread-safe, and usable on both sides of a fork. To be closed; see
    `nodes.client.shared_direct`.

    Args:
        connect: makes a connection to the master that knows them, on an event loop.
        tls: how workers are checked; None for no TLS.
        limits: when lookups are sent again, and how often.

    Raises:
        StartError: threads and sockets of this process are another library's.
    """

    def __init__(
        self,
        connect: Callable[[], MasterCalls],
        *,
        tls: Secure | None = None,
        limits: RoutingLimits = DIRECT_LIMITS,
    ) -> None:
        if is_cooperative(socket.socket):
            raise StartError(
                "a direct client runs an event loop in a thread of the system, and gevent (or a "
                "library like it) has replaced threads and sockets in this process: leave "
                "direct=True out, and ask through the master"
            )
        self._connect = connect
        self._tls = tls
        self._limits = limits
        self._closed = False
        self._loop: LoopThread | None = None
        self.renew()
        forks.enlist(self)

    def renew(self) -> None:
        """Starts over without any worker. A forked child does so too, as it has none of the
        parent's threads. A closed client stays closed.
        """
        if self._loop is not None:
            _inherited.append((self._loop, self._watch, self._close_links))
        self._expecting = False
        registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random())  # noqa: S311 - jitter, no secret
        self._router = Router(registry=registry, policy=POLICIES["load"], limits=self._limits)
        self._dispatcher = Dispatcher(
            router=self._router,
            clock=time.monotonic,
            wake=self._wake,
            expecting=lambda: self._expecting,
            on_failure=self._hurry,
        )
        self._quick = QuickLookups(self._tls)
        self._members = MembershipView(self._dispatcher, registry, self._make_link, self._quick)
        self._close_links: Callable[[], None] = self._members.close
        self._batches = Batches(self._dispatcher)
        self._beginning = threading.Lock()
        self._ticking = False
        self._look = shielded(
            self._look_at_calls, Supervision("the look at a client's calls", backoff=AT_ONCE)
        )
        self._refresh_at = 0.0
        self._loop = None
        self._watch: MembershipWatch | None = None
        self._following = False

    def _wake(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._look(time.monotonic())
        if self._dispatcher.under_way:
            self._wake()

    def _look_at_calls(self, now: float) -> None:
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_ROUTER_S
            self._router.refresh(now)
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
        under_way: set[Future[Answer]] | None = None,
    ) -> Envelope:
        """One page of a lookup; arguments and errors as `nodes.client.blocking.Client.page`.

        Args:
            under_way: holds what is waited for, as long as that may take a while; whoever makes it
                fail ends the call.
        """
        loop = self._loop
        if loop is None or not self._following:
            loop = self._begin(timeout)
        try:
            failed = QuickFailure()
            if after is None and limit == PAGE_RECORDS and timeout > FIRST_WAIT_S:
                tried = self._quick.ask(name, args)
                if isinstance(tried, QuickAnswer):
                    return _envelope(tried.part, tried.worker_id, 1, tried.took_s)
                failed = tried
                timeout -= FIRST_WAIT_S
            arguments = _encoded(name, LookupRequest(name, args, limit, after, timeout))
        except (TypeError, ValueError) as error:
            raise BadRequest(f"an argument of {name} cannot be sent: {error}") from error
        call = _DirectCall(arguments, timeout, self._hurry)
        call.version = cursor_version(after) if after else ""
        if failed.error is None:
            loop.post(self._dispatcher.submit, call)
        else:
            loop.post(self._dispatcher.take_over, call, failed.worker, failed.error)
        waited_for = set() if under_way is None else under_way
        waited_for.add(call.outcome)
        try:
            answer = call.outcome.result()
        finally:
            waited_for.discard(call.outcome)
        return _envelope(answer.part, answer.worker.id, answer.attempts, answer.took_s)

    def many(self, text: str, *, limit: int, timeout: float) -> bytes:
        """The answers to a batch, a JSON array of envelopes; see `nodes.dispatch.batches`."""
        if len(text) > MAX_ARGUMENTS_BYTES:
            raise BadRequest(
                f"a batch cannot be sent: {len(text)} bytes of lookups are too many; ask for less "
                "at once"
            )
        loop = self._begin(timeout)
        answers: Future[Answers] = Future()

        def ask() -> None:
            self._batches.ask(
                text,
                limit=limit,
                timeout_s=timeout,
                done=answers.set_result,
                failed=answers.set_exception,
            )

        loop.call(ask)
        return answers.result().body

    def close(self) -> None:
        """Lets go of every worker."""
        self._closed = True
        watch, loop = self._watch, self._loop
        if watch is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # closed by another thread just now
                loop.post(watch.close)  # first, so that nobody waits for a master that is away
        with self._beginning:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call(self._close_links)
            loop.stop()

    def let_go(self) -> None:
        """As `close`, and does not wait for it: from wherever garbage is collected."""
        self._closed = True
        watch, loop, close_links = self._watch, self._loop, self._close_links
        if watch is None or loop is None:
            return

        def end() -> None:
            watch.close()
            close_links()
            loop.stop()

        with contextlib.suppress(RuntimeError):  # it has ended
            loop.post(end)

    def _begin(self, timeout: float) -> LoopThread:
        """Asks for the list of workers, which the first lookup has to wait for; others that come
        meanwhile wait with it, each for as long as it has.
        """
        deadline = time.monotonic() + timeout
        if not self._beginning.acquire(timeout=timeout):
            raise MasterLost(f"no list of workers came from the master within {timeout:g} s")
        try:
            if self._closed:
                raise MasterLost("this client is closed")
            if self._loop is None or self._watch is None:
                loop = self._loop = LoopThread("direct")
                self._watch = MembershipWatch(self._connect(), self)
                loop.start()
            if not self._following:
                left = seconds_left(deadline, time.monotonic())
                self._loop.run(self._watch.start(left))
                self._following = True
            return self._loop
        finally:
            self._beginning.release()

    @property
    def in_doubt(self) -> bool:
        """See `Follower`."""
        return self._quick.in_doubt or any(one.late for one in self._router.registry.available)

    def follow(self, members: Members) -> None:
        """See `Follower`."""
        now = time.monotonic()
        self._router.policy = POLICIES.get(members.balance, POLICIES["load"])
        # Who waits for a worker that is gone must not hear, halfway, that nobody is left.
        self._expecting = True
        self._members.apply(members, now)
        self._expecting = members.expecting
        self._router.refresh(now)
        self._router.registry.purge(now)
        self._dispatcher.changed()

    def master_away(self) -> None:
        """See `Follower`."""
        self._expecting = True

    def _hurry(self) -> None:
        if self._watch is not None:
            self._watch.hurry()


def _encoded(name: str, request: LookupRequest) -> bytes:
    """A request as it is sent. Raises `BadRequest`."""
    for value in request.args:
        if type(value) not in (str, int, float):
            kind = type(value).__name__[:40]
            raise BadRequest(f"an argument of {name} must be text or a number, not {kind}")
    try:
        arguments = encode_arguments((encode_request(request),))
    except OverflowError as error:
        raise BadRequest(f"an argument of {name} is too large a number") from error
    if len(arguments) > MAX_ARGUMENTS_BYTES:
        raise BadRequest(
            f"an argument of {name} cannot be sent: {len(arguments)} bytes of arguments are too "
            "many; ask for less at once"
        )
    return arguments


def _envelope(part: WorkerAnswer, worker: str, attempts: int, took_s: float) -> Envelope:
    return decode_envelope(
        answer_envelope(part, worker=worker, attempts=attempts, elapsed_ms=took_s * 1000)
    )


class _DirectCall(Call):
    """A lookup that a thread waits for."""

    verb = "lookup"

    __slots__ = ("_was_late", "outcome", "timeout_s", "version")

    def __init__(self, arguments: bytes, timeout_s: float, was_late: Callable[[], None]) -> None:
        super().__init__(arguments)
        self._was_late = was_late
        self.timeout_s = timeout_s
        self.version = ""
        self.outcome: Future[Answer] = Future()

    def answered(self, answer: Answer) -> None:
        if answer.attempts > 1:
            self._was_late()
        with contextlib.suppress(InvalidStateError):  # whoever asked has closed its client
            self.outcome.set_result(answer)

    def gave_up(self, error: LookupFailed) -> None:
        with contextlib.suppress(InvalidStateError):
            known = isinstance(error, BadRequest)
            self.outcome.set_exception(error if known else error.identified(self.request_id))
