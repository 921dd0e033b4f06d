"""Calls carried out: sent to workers, awaited, hedged, sent elsewhere.

What to do next is decided in `nodes.routing`; here are the links, and what waits. No sockets, and
the clock is passed in: an event loop drives it, and so does a simulation.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from nodes.dispatch.call import Answer, Attempt, Call, Proof
from nodes.dispatch.failures import failure_reason, for_the_log
from nodes.dispatch.replies import is_refusal
from nodes.errors import BadRequest, DeadlineExceeded, LookupFailed
from nodes.routing import Ask, CallState, Router, Worker
from nodes.support.text import excerpt
from nodes.transport import (
    DialFailed,
    LinkLost,
    Pending,
    ProtocolError,
    TransportError,
    Value,
    encode_arguments,
)
from nodes.wire import MAX_REFUSAL_CHARS, WorkerRefusal

logger = logging.getLogger("rollcall.dispatch")

TICK_S = 0.01
"""Seconds between two ticks, while anything is under way."""

SOONEST_S = 0.001
"""Seconds before which a call is not looked at again."""

NO_ARGUMENTS = encode_arguments(())


class Link(Protocol):
    """The way to one worker."""

    def call(self, verb: str, arguments: bytes, pending: Pending) -> None:
        """Sends a call; `pending` is told what becomes of it, perhaps at once.

        Raises:
            ValueError: the arguments are too many bytes; nothing was sent.
        """


def explain(worker: Worker, failure: TransportError | WorkerRefusal) -> str:
    """Why a call to that worker failed, in our own words; the log has the others'."""
    logger.debug("%s: %s", worker.id, for_the_log(failure))
    return failure_reason(failure)


class Dispatcher:
    """Sends calls to workers, and tells the router what became of them.

    A first attempt costs one pick and one send; those that wait for their turn do so in the order
    they came. All else about a call is in its `CallState`, which it gets when it is late or fails.

    Args:
        router: decides.
        clock: seconds, monotonic.
        wake: asked for a `tick` some `TICK_S` later, whenever something is under way.
        expecting: asked when nobody is left, "is a worker about to come back?"; while it
            says yes, a call waits for it within its deadline.
        on_failure: called when a worker has failed a lookup: its registration may be over.

    Attributes:
        under_way: calls that have not ended, waiting ones included.
    """

    def __init__(
        self,
        *,
        router: Router,
        clock: Callable[[], float],
        wake: Callable[[], None],
        expecting: Callable[[], bool] = lambda: False,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.router = router
        self.under_way = 0
        self._clock = clock
        self._wake = wake
        self._expecting = expecting
        self._on_failure = on_failure
        self._links: dict[int, Link] = {}
        # First attempts in the order they were sent, and calls that wait for their turn.
        self._first: dict[Call, None] = {}
        self._waiting: deque[Call] = deque()
        # Calls with a state: those that are to be looked at at a time, and those that wait for a
        # worker to come, or for another to be over.
        self._due: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()
        self._parked: dict[Call, None] = {}
        self._advancing: Call | None = None
        self._folded_at = 0.0

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    # -- membership -----------------------------------------------------------------

    def joined(self, worker: Worker, link: Link) -> None:
        """A worker registered; `changed` is to be called once all is told that has changed."""
        self._links[worker.generation] = link

    def left(self, generation: int) -> None:
        """That registration is over; as `joined`. (Calls on its link are told by the link.)"""
        self._links.pop(generation, None)

    def changed(self) -> None:
        """Who may be sent lookups has changed: calls that wait may go on."""
        now = self._clock()
        self.router.fold(now)
        for call in list(self._parked):
            state = call.state
            if state is None or call.over:
                continue  # over meanwhile
            if self.router.registry.available and not call.version and not state.attempts:
                # It has waited for the first worker, and now waits for its turn.
                del self._parked[call]
                call.state = None
                self._waiting.append(call)
            else:
                self._advance(call, now)
        self._let_in(now)

    def call_worker(self, worker: Worker, verb: str, arguments: bytes, pending: Pending) -> None:
        """Calls `verb` on that very worker (a probe, `retire`)."""
        link = self._links.get(worker.generation)
        if link is None:
            pending.failed(DialFailed("its registration is over"))
        else:
            link.call(verb, arguments, pending)

    # -- calls --------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Begins a call: to the worker with the least load, and to others if it fails or is late.

        Whoever made it is told of its end: perhaps at once, and once.
        """
        now = self._clock()
        call.carrier = self
        call.began = now
        if not self.under_way:
            self._wake()
            if now - self._folded_at > TICK_S:
                self.router.fold(now)
                self._folded_at = now
        self.under_way += 1
        if call.version:
            self._advance(call, now)
            return
        worker = None if self._waiting else self.router.pick_first()
        if worker is not None:
            self._send_first(call, worker, now)
        elif self.router.registry.available:
            self._waiting.append(call)
        else:
            self._advance(call, now)

    def take_over(self, call: Call, worker: Worker, error: TransportError) -> None:
        """Goes on with a call whose first attempt was made by somebody else, and has failed."""
        now = self._clock()
        call.carrier = self
        call.began = call.sent_at = now
        call.worker = worker
        if not self.under_way:
            self._wake()
        self.under_way += 1
        worker.began(now, call.tasks)
        self._first[call] = None
        self.first_failed(call, error)

    def _send_first(self, call: Call, worker: Worker, now: float) -> None:
        worker.began(now, call.tasks)
        call.worker = worker
        call.sent_at = now
        self._first[call] = None
        self.call_worker(worker, call.verb, call.arguments, call)

    def first_replied(self, call: Call, value: Value) -> None:
        """The first worker that a call was sent to has replied."""
        if call.state is not None:
            self.replied(call, call.worker, value)
            return
        now = self._clock()
        if type(value) is not bytes or not call.accepts(value):
            self._take_up(call)
            self.replied(call, call.worker, value)
            return
        worker = call.worker
        del self._first[call]
        if call.counted:
            worker.replied(call.sent_at, call.tasks)
            self.router.took(worker, now - call.sent_at, call.tasks)
        else:
            worker.released(call.tasks)
        self._end()
        call.answered(Answer(value, worker, 1, now - call.began))
        if self._waiting:
            self._let_in(now)

    def first_failed(self, call: Call, error: TransportError) -> None:
        """The first worker that a call was sent to has failed it."""
        if call.state is None:
            self._take_up(call)
        self.failed(call, call.worker, error)

    def replied(self, call: Call, worker: Worker, value: Value) -> None:
        """A worker has replied to a call that has a state."""
        state, now = call.state, self._clock()
        if state is None or worker.generation not in state.pending:
            worker.alive_at = max(worker.alive_at, call.began)  # given up: too late for this call
            worker.late = False
            return
        if type(value) is bytes and call.accepts(value):
            state.answered(worker, now)
            self._finish(call, now)
            call.answered(Answer(value, worker, state.attempts, now - call.began))
        elif is_refusal(value) and value[0] == BadRequest.code:
            state.refused(worker, excerpt(value[1], MAX_REFUSAL_CHARS), now)
            self._advance(call, now)
        elif is_refusal(value):
            # Any other refusal is the worker's own failure, and not for a client to hear.
            state.failed(worker, explain(worker, value), now)
            self._advance(call, now)
        else:
            self.failed(call, worker, ProtocolError("its answer has not the form of one"))

    def failed(self, call: Call, worker: Worker, error: TransportError) -> None:
        """A worker has failed a call that has a state."""
        state, now = call.state, self._clock()
        if state is None or worker.generation not in state.pending:
            return
        # What was said is no sign of death, however bad it is.
        broke = isinstance(error, LinkLost) and not isinstance(error, ProtocolError)
        state.failed(worker, explain(worker, error), now, broke=broke)
        self._on_failure()
        self._advance(call, now)

    def _take_up(self, call: Call) -> None:
        """A first attempt has failed, or is late: from now on, the call has a state."""
        del self._first[call]
        call.state = self._new_state(call)
        call.state.adopt(call.worker, call.sent_at)
        if call.counted:
            self.router.hedging.earn(1)
            self.router.retrying.earn(1)

    def _new_state(self, call: Call) -> CallState:
        return CallState(
            self.router,
            call.began + call.timeout_s,
            counted=call.counted,
            version=call.version,
            tasks=call.tasks,
        )

    def _advance(self, call: Call, now: float) -> None:
        """Does what is to be done for a call with a state, and notes when to look at it again."""
        if self._advancing is call:
            return  # what is being done for it has failed at once; it is gone on with there
        if call.state is None:
            call.state = self._new_state(call)
        state = call.state
        before, self._advancing = self._advancing, call
        try:
            while True:
                state.expired(now)
                action = state.next_action(now, expecting=self._expecting)
                if not isinstance(action, Ask):
                    break
                self._send(call, action.worker, now)
        except LookupFailed as error:
            self._advancing = before
            self._finish(call, now)
            call.gave_up(error)
            return
        finally:
            self._advancing = before
        at = max(action.at, now + SOONEST_S)
        heapq.heappush(self._due, (at, next(self._numbers), call))
        if state.pending:
            self._parked.pop(call, None)
        else:
            self._parked[call] = None

    def _send(self, call: Call, worker: Worker, now: float) -> None:
        attempt = Attempt(call, worker)
        if call.state is not None and call.state.must_prove(worker):
            proof = Proof(attempt, now, self._send_attempt)
            self.call_worker(worker, "probe", NO_ARGUMENTS, proof)
        else:
            self._send_attempt(attempt)

    def _send_attempt(self, attempt: Attempt) -> None:
        call = attempt.call
        if not call.over:
            self.call_worker(attempt.worker, call.verb, call.arguments, attempt)

    def _finish(self, call: Call, now: float) -> None:
        """A call with a state is over: what is still under way for it is given up."""
        state = call.state
        call.over = True
        self._parked.pop(call, None)
        if state is not None and (state.pending or state.suspected):
            state.abandon(now)
            for other in list(self._parked):  # other suspects wait for this one to be over
                self._advance(other, now)
        self._end()
        self._let_in(now)

    def _end(self) -> None:
        self.under_way -= 1

    def _let_in(self, now: float) -> None:
        """Sends what waits for its turn, as far as there is room."""
        waiting = self._waiting
        while waiting:
            worker = self.router.pick_first()
            if worker is None:
                break
            self._send_first(waiting.popleft(), worker, now)
        if waiting and not self.router.registry.available:
            calls, self._waiting = list(waiting), deque()
            for call in calls:
                self._advance(call, now)

    # -- time ---------------------------------------------------------------------

    def tick(self) -> None:
        """Looks after what is late. To be called `TICK_S` after the dispatcher has asked for it."""
        now = self._clock()
        self.router.fold(now)
        self._folded_at = now
        late = now - self.router.hedge_after_s
        while self._first:
            call = next(iter(self._first))
            if call.sent_at > late:
                break
            self._take_up(call)
            self._advance(call, now)
        due = self._due
        while due and due[0][0] <= now:
            call = heapq.heappop(due)[2]
            if call.state is not None and not call.over:
                self._advance(call, now)
        while self._waiting and now >= self._waiting[0].began + self._waiting[0].timeout_s:
            call = self._waiting.popleft()
            self._end()
            call.gave_up(
                DeadlineExceeded(
                    "its turn did not come in time; ask fewer at once, or start more workers"
                )
            )
        self._let_in(now)
        if self.under_way:
            self._wake()
