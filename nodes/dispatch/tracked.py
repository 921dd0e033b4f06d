"""Calls that did not end with their first attempt: each with its state, and when to look at it."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

from nodes.dispatch.call import Answer, Attempt, Call, Proof
from nodes.dispatch.failures import failure_reason, for_the_log
from nodes.dispatch.replies import is_refusal
from nodes.errors import BadRequest, LookupFailed, StoreDown
from nodes.routing import Ask, CallState, Router, Worker
from nodes.routing.budget import Budget
from nodes.support.request_ids import find_request_id
from nodes.support.text import excerpt
from nodes.transport import (
    LinkLost,
    Pending,
    ProtocolError,
    TransportError,
    Value,
    encode_arguments,
)
from nodes.wire import MAX_REFUSAL_CHARS, WorkerRefusal

logger = logging.getLogger("rollcall.dispatch")

SOONEST_S = 0.001
"""Seconds before which a call is not looked at again."""

LOGGED_AT_ONCE = 100.0
LOGGED_PER_S = 10.0
"""Failed calls that are written down, at once and a second for long; of more, how many."""

NO_ARGUMENTS = encode_arguments(())


def explain(
    worker: Worker, failure: TransportError | WorkerRefusal, call: Call | None = None
) -> str:
    """Why a call to that worker failed, in our own words; the log has the others'."""
    said = for_the_log(failure)
    if call is None:
        logger.debug("%s: %s", worker.id, said)
    else:
        # A worker that has written it down has given it an id.
        theirs = "" if isinstance(failure, TransportError) else find_request_id(failure[1])
        call.known_as(theirs)
        logger.debug("%s: %s: %s", call.named, worker.id, said, extra=call.log_extra)
    return failure_reason(failure)


class TrackedCalls:
    """Carries out what each call's `CallState` decides: hedges, reroutes, patience, the end.

    Args:
        router: see `CallState`.
        clock: seconds, monotonic.
        call_worker: calls a verb of a worker.
        over: told when a call has ended.
        expecting, on_failure: see `nodes.dispatch.dispatcher.Dispatcher`.
    """

    def __init__(
        self,
        router: Router,
        *,
        clock: Callable[[], float],
        call_worker: Callable[[Worker, str, bytes, Pending], None],
        over: Callable[[float], None],
        expecting: Callable[[], bool],
        on_failure: Callable[[], None],
    ) -> None:
        self.router = router
        self._clock = clock
        self._call_worker = call_worker
        self._over = over
        self._expecting = expecting
        self._on_failure = on_failure
        self._due: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()
        # Those with nothing under way: they wait for a worker to come, or another call to end.
        self._parked: dict[Call, None] = {}
        self._advancing: Call | None = None
        self._logged = Budget(share=0.0, burst=LOGGED_AT_ONCE, per_s=LOGGED_PER_S)

    def adopt(self, call: Call) -> None:
        """A call whose first attempt is late, or about to be told of as failed."""
        call.state = self._new_state(call)
        call.state.adopt(call.worker, call.sent_at)
        if call.counted:
            self.router.hedging.earn(1)
            self.router.retrying.earn(1)

    def replied(self, call: Call, worker: Worker, value: Value) -> None:
        """A worker has replied to a call that has a state."""
        state, now = call.state, self._clock()
        if state is None or worker.generation not in state.pending:
            worker.came_late(call.began)
            if state is not None:
                state.settled(worker, now)
            return
        if type(value) is bytes and call.accepts(value):
            state.answered(worker, now)
            self._finish(call, now)
            call.answered(Answer(value, worker, state.attempts, now - call.began))
        elif is_refusal(value) and value[0] == BadRequest.code:
            state.refused(worker, excerpt(value[1], MAX_REFUSAL_CHARS), now)
            self.advance(call, now)
        elif is_refusal(value) and value[0] == StoreDown.code and worker.in_store:
            state.store_failed(worker, excerpt(value[1], MAX_REFUSAL_CHARS), now)
            self.advance(call, now)
        elif is_refusal(value):
            # Any other refusal is the worker's own failure, and not for a client to hear.
            state.failed(worker, explain(worker, value, call), now)
            self.advance(call, now)
        else:
            self.failed(call, worker, ProtocolError("its answer has not the form of one"))

    def failed(self, call: Call, worker: Worker, error: TransportError) -> None:
        """A worker has failed a call that has a state."""
        state, now = call.state, self._clock()
        if state is None:
            return
        if worker.generation not in state.pending:
            state.settled(worker, now)
            return
        # What was said is no sign of death, however bad it is.
        broke = isinstance(error, LinkLost) and not isinstance(error, ProtocolError)
        state.failed(worker, explain(worker, error, call), now, broke=broke)
        self._on_failure()
        self.advance(call, now)

    def release_unsent(self) -> list[Call]:
        """The parked calls that no worker was sent, and any may be; they are tracked no more."""
        unsent = [
            call
            for call in self._parked
            if call.state is not None and not call.state.attempts and not call.version
        ]
        for call in unsent:
            del self._parked[call]
            call.state = None
        return unsent

    def advance_parked(self, now: float) -> None:
        """Who may be sent lookups has changed."""
        for call in list(self._parked):
            if not call.over:
                self.advance(call, now)

    def tick(self, now: float) -> None:
        """Advances the calls whose time it is."""
        due = self._due
        while due and due[0][0] <= now:
            call = heapq.heappop(due)[2]
            if call.state is not None and not call.over:
                self.advance(call, now)

    def _new_state(self, call: Call) -> CallState:
        return CallState(
            self.router,
            call.began + call.timeout_s,
            counted=call.counted,
            version=call.version,
            tasks=call.tasks,
        )

    def advance(self, call: Call, now: float) -> None:
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
            self.give_up(call, error, now)
            return
        finally:
            self._advancing = before
        at = max(action.at, now + SOONEST_S)
        heapq.heappush(self._due, (at, next(self._numbers), call))
        if state.pending:
            self._parked.pop(call, None)
        else:
            self._parked[call] = None

    def give_up(self, call: Call, error: LookupFailed, now: float) -> None:
        """A call has failed: that is written down, of many at once only how many there were."""
        if not isinstance(error, BadRequest) and logger.isEnabledFor(logging.INFO):
            self._log(call, error, now)
        call.gave_up(error)

    def _log(self, call: Call, error: LookupFailed, now: float) -> None:
        if self._logged.spend(now):
            unlogged = self._logged.newly_refused()
            more = f" ({unlogged} more failed since the last line)" if unlogged else ""
            said = (call.named, error.code, error, more)
            logger.info("%s: %s: %s%s", *said, extra=call.log_extra)

    def _send(self, call: Call, worker: Worker, now: float) -> None:
        call.sent_at = call.sent_at or now
        attempt = Attempt(call, worker)
        if call.state is not None and call.state.must_prove(worker):
            proof = Proof(attempt, now, self._send_attempt)
            self._call_worker(worker, "probe", NO_ARGUMENTS, proof)
        else:
            self._send_attempt(attempt)

    def _send_attempt(self, attempt: Attempt) -> None:
        call = attempt.call
        # Meanwhile, another may have answered, or this attempt been given up.
        state = call.state
        if not call.over and state is not None and attempt.worker.generation in state.pending:
            self._call_worker(attempt.worker, call.verb, call.arguments, attempt)

    def _finish(self, call: Call, now: float) -> None:
        """A call with a state is over: what is still under way for it is given up."""
        state = call.state
        call.over = True
        self._parked.pop(call, None)
        if state is not None and (state.pending or state.suspected):
            state.abandon(now)
            for other in list(self._parked):  # other suspects wait for this one to be over
                self.advance(other, now)
        self._over(now)
