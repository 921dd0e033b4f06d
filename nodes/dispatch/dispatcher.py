"""One lookup's life, carried out: lanes taken, calls sent, answers awaited, losers closed.

What to do next is decided in `nodes.routing.call`; here are the lock and the sockets.
"""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from nodes.dispatch.failures import failure_reason, for_the_log
from nodes.dispatch.limiter import Limiter
from nodes.dispatch.replies import is_answer, is_refusal
from nodes.errors import BadRequest, DeadlineExceeded
from nodes.routing import Ask, CallState, Router, Worker
from nodes.support.deadline import seconds_left
from nodes.support.text import excerpt
from nodes.transport import (
    DialFailed,
    Lane,
    LanePool,
    LinkLost,
    ProtocolError,
    RemoteFailure,
    Secure,
    TransportError,
    Value,
)
from nodes.wire import MAX_REFUSAL_CHARS, WorkerAnswer, WorkerRefusal, secret_verb

logger = logging.getLogger("rollcall.dispatch")

Args = tuple[Value, ...]
MakeArgs = Callable[[float], Args]
"""The arguments of a call that has so many seconds left."""

DIAL = 0.25
"""Seconds a connection to a worker may take: while it is dialled, nobody else is asked."""

AT_ONCE = 8
"""Calls under way for each worker there is; more wait here for their turn. At a worker they would
only take turns as well (a Python process does one thing at a time), and for each turn one of many
threads be woken: with 64 clients, 8 at once are half as many lookups again as all at once."""

LOOK_AGAIN = 0.25
"""Seconds after which a worker that is expected is asked after again: it may not come."""

INSTANT = 0.005
"""Seconds that the rest of an answer may take once its first bytes are here, before the
other lanes are looked at again."""

PROOF_S = 0.1
"""Seconds that a worker may take to prove that it is alive; nobody else is asked meanwhile."""


def explain(worker: Worker, failure: TransportError | WorkerRefusal) -> str:
    """Why a call to that worker failed, in our own words; the log has the others'."""
    logger.debug("%s: %s", worker.id, for_the_log(failure))
    return failure_reason(failure)


class Answer(msgspec.Struct, frozen=True):
    """What came of a call, and how it was got."""

    part: WorkerAnswer
    worker: str
    attempts: int


class Route(msgspec.Struct, frozen=True):
    """The way to one worker, and what it wants to be shown."""

    pool: LanePool
    key: str


class Dispatcher:
    """Sends calls to workers, and tells the router what became of them.

    Args:
        router: decides; every access, as to its registry, is under `lock`.
        expecting: asked when nobody is left, "is a worker about to come back?"; while it
            says yes, a call waits for it within its deadline.
        key: what a worker wants to be shown by whoever asks it, "" for nothing.
        tls: how workers are checked when they are dialled; None for no TLS.
        on_failure: called when a worker has failed a lookup: its registration may be over.
    """

    def __init__(
        self,
        *,
        router: Router,
        expecting: Callable[[], bool] = lambda: False,
        key: Callable[[Worker], str] = lambda worker: worker.instance,
        clock: Callable[[], float] = time.monotonic,
        tls: Secure | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.router = router
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._expecting = expecting
        self._key = key
        self._clock = clock
        self._tls = tls
        self._on_failure = on_failure
        self._routes: dict[int, Route] = {}
        self._limiter = Limiter()

    # -- membership -----------------------------------------------------------

    def joined(self, worker: Worker) -> None:
        """A worker registered: lanes to it may be dialled."""
        pool = LanePool(worker.address.host, worker.address.port, dial_timeout=DIAL, tls=self._tls)
        self._routes[worker.generation] = Route(pool, self._key(worker))
        self._make_room()

    def left(self, generation: int) -> None:
        """That registration is over: its lanes are closed, and who waits on one is rerouted."""
        with self.lock:
            route = self._routes.pop(generation, None)
            self._make_room()
        if route is not None:
            route.pool.close()

    def _make_room(self) -> None:
        # Where nobody is there, to wait for somebody is all there is to do, and anyone may.
        self._limiter.set_total(AT_ONCE * len(self._routes) or sys.maxsize)

    def close(self) -> None:
        """Closes every lane."""
        for generation in list(self._routes):
            self.left(generation)

    def await_worker(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for a worker, as long as one is expected."""
        deadline = self._clock() + timeout
        with self.lock:
            while not self.router.registry.available and self._expecting():
                left = deadline - self._clock()
                if left <= 0:
                    return
                self.changed.wait(min(left, LOOK_AGAIN))

    # -- one call ---------------------------------------------------------------

    def call(
        self,
        verb: str,
        make_args: MakeArgs,
        *,
        timeout: float,
        counted: bool = True,
        version: str = "",
        tasks: int = 1,
        accept: Callable[[object], bool] = is_answer,
    ) -> Answer:
        """Calls `verb` on the worker with the least load, and on others if it fails or is late.

        Args:
            verb: the worker's verb; it must only read, as it may run more than once.
            make_args: the by-value arguments, given what is left of the time in seconds.
            timeout: seconds for all of it.
            counted: whether an answer is a task performed, and says how quick a worker is.
            version: of the catalog that should answer, if a worker still has it; "" for any.
            tasks: lookups that the call carries.
            accept: whether a reply has the form of an answer to it.

        Raises:
            NoWorkers, DeadlineExceeded, PoisonLookup: see `nodes.errors`.
            BadRequest: workers found the request wrong.
        """
        deadline = self._clock() + timeout
        call = CallState(self.router, deadline, counted=counted, version=version, tasks=tasks)
        if not self._limiter.acquire(timeout):
            raise DeadlineExceeded(
                f"its turn did not come in time, with {self._limiter.taken} under way; "
                "ask fewer at once, or start more workers"
            )
        lanes: dict[int, Lane] = {}
        try:
            while True:
                worker = self._advance(call, lanes)
                if worker is not None:
                    self._send(call, lanes, worker, verb, make_args)
                for worker, lane in self._readable(call, lanes):
                    reply = self._hear(call, lanes, worker, lane, accept)
                    if reply is not None:
                        return Answer(reply, worker.id, call.attempts)
        finally:
            if call.pending or call.suspected:
                with self.lock:
                    call.abandon(self._clock())
                    self.changed.notify_all()  # other suspects wait for this one to be over
            for generation, lane in lanes.items():
                self._give(generation, lane)
            self._limiter.release()

    def call_worker(self, worker: Worker, verb: str, args: Args, *, timeout: float) -> Value:
        """Calls `verb` on that very worker (a probe, `retire`). Raises `TransportError`."""
        deadline = self._clock() + timeout
        lane = self._route(worker).pool.take(timeout=timeout, sure=True)
        try:
            return lane.call(verb, *args, timeout=seconds_left(deadline, self._clock()))
        finally:
            self._give(worker.generation, lane)

    def _advance(self, call: CallState, lanes: dict[int, Lane]) -> Worker | None:
        """The worker to send to now, or None if what is under way is to be waited for."""
        with self.lock:
            while True:
                now = self._clock()
                if call.pending:
                    for attempt in call.expired(now):
                        generation = attempt.worker.generation
                        self._give(generation, lanes.pop(generation))
                action = call.next_action(now, expecting=self._expecting)
                if isinstance(action, Ask):
                    return action.worker
                if call.pending:
                    return None
                self.changed.wait(min(action.at - now, LOOK_AGAIN))

    def _send(
        self,
        call: CallState,
        lanes: dict[int, Lane],
        worker: Worker,
        verb: str,
        make_args: MakeArgs,
    ) -> None:
        try:
            left = seconds_left(call.deadline, self._clock())
            route = self._route(worker)
            lane = lanes[worker.generation] = route.pool.take(timeout=min(left, DIAL))
            if call.must_prove(worker):
                self._prove(worker, lane, left)
            # The key shows who asks; a lane keeps the verb, so it is sent once a lane.
            lane.send(
                secret_verb(verb, route.key),
                *make_args(left),
                timeout=min(left, self.router.limits.attempt_timeout_s),
            )
        except TransportError as error:
            self._lost(call, lanes, worker, error)

    def _prove(self, worker: Worker, lane: Lane, left: float) -> None:
        """Has a worker answer something, whatever it is: it is alive. Raises `TransportError`."""
        asked_at = self._clock()
        with contextlib.suppress(RemoteFailure):
            lane.call("probe", timeout=min(left, PROOF_S))
        with self.lock:
            worker.alive_at = asked_at

    def _readable(self, call: CallState, lanes: dict[int, Lane]) -> list[tuple[Worker, Lane]]:
        """The attempts on whose lanes something arrives, before the next decision is due."""
        waiting = [(one.worker, lanes[one.worker.generation]) for one in call.pending.values()]
        if len(waiting) < 2:
            return waiting  # what nearly every lookup comes to: `arrived` waits by itself
        ended = [(worker, lane) for worker, lane in waiting if lane.closed]
        if ended:
            return ended
        poll = select.poll()
        for _, lane in waiting:
            poll.register(lane, select.POLLIN)
        arrived = {fd for fd, _ in poll.poll(self._patience(call) * 1000)}
        return [(worker, lane) for worker, lane in waiting if lane.fileno() in arrived]

    def _patience(self, call: CallState) -> float:
        """Seconds until there is something to decide."""
        now = self._clock()
        return max(0.0, call.due(now) - now)

    def _hear(
        self,
        call: CallState,
        lanes: dict[int, Lane],
        worker: Worker,
        lane: Lane,
        accept: Callable[[object], bool],
    ) -> WorkerAnswer | None:
        """What that worker answered; None if it has not, or has failed, or found it wrong."""
        try:
            several = len(call.pending) > 1
            arrived = lane.arrived(timeout=INSTANT if several else self._patience(call))
            if arrived is None:
                return None
            reply = arrived[0]
            if not ((type(reply) is bytes and accept(reply)) or is_refusal(reply)):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            # What was said is no sign of death, however bad it is.
            broke = isinstance(error, LinkLost) and not isinstance(error, ProtocolError)
            self._lost(call, lanes, worker, error, broke=broke)
            return None
        with self.lock:
            if isinstance(reply, bytes):
                call.answered(worker, self._clock())
                return reply
            # Any other refusal is the worker's own failure, and not for a client to hear.
            if reply[0] == BadRequest.code:
                call.refused(worker, excerpt(reply[1], MAX_REFUSAL_CHARS), self._clock())
            else:
                call.failed(worker, explain(worker, reply), self._clock())
        self._give(worker.generation, lanes.pop(worker.generation))
        return None

    def _lost(
        self,
        call: CallState,
        lanes: dict[int, Lane],
        worker: Worker,
        error: TransportError,
        *,
        broke: bool = False,
    ) -> None:
        lane = lanes.pop(worker.generation, None)
        if lane is not None:
            self._give(worker.generation, lane)
        with self.lock:
            call.failed(worker, explain(worker, error), self._clock(), broke=broke)
        self._on_failure()

    def _route(self, worker: Worker) -> Route:
        route = self._routes.get(worker.generation)
        if route is None:
            raise DialFailed("its registration is over")
        return route

    def _give(self, generation: int, lane: Lane) -> None:
        """Back to its pool. A lane with an unanswered call is closed there, never reused."""
        route = self._routes.get(generation)
        if route is None:
            lane.close()
        else:
            route.pool.give(lane)
