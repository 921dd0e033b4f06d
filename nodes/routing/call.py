"""The state machine of one call: which worker to ask, when to hedge, when to give up.

It has no sockets, threads or clocks: `nodes.dispatch.dispatcher` carries out what it decides, and
so does a simulation. Not thread-safe: it is used under the lock of the router's registry.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from nodes.errors import BadRequest, NoWorkers, StoreDown
from nodes.routing.attempt import Attempt, Outcome, PastAttempt, too_late
from nodes.routing.candidates import Candidates
from nodes.routing.poison import Suspicion
from nodes.routing.router import Router
from nodes.routing.worker import Worker

NO_WORKERS = (
    "no worker is registered: see 'rollcall-nodes ps', start one with 'rollcall-nodes spawn 1' "
    "or 'rollcall-nodes worker --master HOST:PORT'"
)


class Ask(NamedTuple):
    """Send the lookup to that worker now. It is counted as in flight already."""

    worker: Worker


class WaitUntil(NamedTuple):
    """Do nothing until that time (seconds), unless something happens before."""

    at: float


MAX_PAST_ATTEMPTS = 32
"""Attempts that are remembered of a call, the latest."""

Action = Ask | WaitUntil
"""What to do next. The end of a call is an exception."""


class CallState:
    """The state of one call: it is told what happens, and says what to do next.

    Args:
        router: what all calls share.
        deadline: when the call ends, in seconds on the clock passed in.
        counted: whether an answer counts as a task performed, and its time as a latency.
        version: of the catalog that should answer, if a worker still has it; "" for any.
        tasks: lookups that the call carries.

    Attributes:
        attempts: how many workers have been asked, hedges included.
        asked: the worker that was asked last.
        detour: why more than one was asked, "hedged" or "rerouted", whichever came last.
        pending: attempts under way, by the generation of their worker.
        past: attempts that are over, in the order in which they ended.
    """

    MAX_PARALLEL_ATTEMPTS = 3

    REFUSALS_NEEDED = 2
    """Workers that must refuse a lookup before it counts as wrong, if there are that many. A single
    one may be about to switch catalogs, or be wrong itself."""

    __slots__ = (
        "_candidates",
        "_counted",
        "_failed_by",
        "_hedge_at",
        "_last_error",
        "_refusals",
        "_rest_until",
        "_router",
        "_store_failures",
        "_suspicion",
        "_tasks",
        "asked",
        "attempts",
        "deadline",
        "detour",
        "past",
        "pending",
    )

    def __init__(
        self, router: Router, deadline: float, *, counted: bool, version: str = "", tasks: int = 1
    ) -> None:
        self._router = router
        self._tasks = tasks
        self._counted = counted
        self._candidates = Candidates(router, version)
        self._suspicion: Suspicion | None = None
        self._last_error = ""
        self._failed_by: Worker | None = None
        self._refusals: list[str] = []
        self._store_failures: list[str] = []
        self._hedge_at = math.inf
        self._rest_until = 0.0
        self.deadline = deadline
        self.attempts = 0
        self.asked: Worker | None = None
        self.detour = ""
        self.pending: dict[int, Attempt] = {}
        self.past: deque[PastAttempt] = deque(maxlen=MAX_PAST_ATTEMPTS)

    def adopt(self, worker: Worker, began: float) -> None:
        """The call is under way at that worker already, since `began` (seconds)."""
        self._candidates.tried.add(worker.generation)
        self.attempts = 1
        self.asked = worker
        self.pending[worker.generation] = Attempt(worker, began, alone=False)
        self._hedge_at = began + self._router.hedge_after_s

    # -- what to do ---------------------------------------------------------------

    def next_action(self, now: float, *, expecting: Callable[[], bool] = lambda: False) -> Action:
        """What to do at `now`.

        Args:
            now: seconds.
            expecting: asked if there is no worker: is one about to register?

        Raises:
            NoWorkers, DeadlineExceeded, PoisonLookup, BadRequest, StoreDown: the call is over. What
                is still `pending` is to be given up with `abandon`.
        """
        if now >= self.deadline:
            raise too_late(self.attempts, list(self.pending.values()), self._last_error)
        if self.pending:
            return self._hedge_or_wait(now)
        return self._attempt(now, expecting)

    def expired(self, now: float) -> list[Attempt]:
        """Gives up the attempts that took too long, if another worker can be asked. Each counts as
        a failure of its worker.

        Returns:
            Those attempts; the caller closes what is open to their workers.
        """
        if not self.pending:
            return []
        router = self._router
        over = [one for one in self.pending.values() if one.is_overdue(router.limits, now)]
        # The only attempt is given up only if there is somebody else to ask.
        if not over or (len(over) == len(self.pending) and self._candidate(now) is None):
            return []
        if not router.retrying.spend(now):
            return []
        for one in over:
            late = f"no answer within {now - one.began:.3f} s"
            self._failed(one.worker, late, now, Outcome.TIMED_OUT)
            self._give_up(one)
            one.worker.late = True
        return over

    def _attempt(self, now: float, expecting: Callable[[], bool]) -> Action:
        """Decides while nothing is under way: a first attempt, or one after a failure."""
        router = self._router
        if self._refusals:
            return self._second_opinion(now)
        if self._store_failures:
            return self._other_way(now)
        if self._suspicion is not None:
            self._suspicion.check(router.registry.deaths, router.registry.live())
            decided_at = self._suspicion.decided_at()
            if now < decided_at:
                return self._wait_until(decided_at)
        if now < self._rest_until:
            return self._wait_until(self._rest_until)
        worker = self._candidate(now)
        if (
            worker is None
            and router.registry.available
            and not (self.suspected and self._candidates.any_has_suspect())
        ):
            # Every worker has failed it, yet none is down: perhaps only the connections broke.
            # After a pause they are all tried again, while the budget lasts.
            if self._rest_until and router.retrying.spend(now):
                self._rest_until = 0.0
                self._candidates.tried.clear()
                worker = self._candidate(now)
            else:
                self._rest_until = now + router.limits.round_pause_s
                return self._wait_until(self._rest_until)
        if worker is None and router.registry.available:
            # Every worker left has another lookup that may be deadly: wait for one of those to end.
            return self._wait_until(now + router.limits.round_pause_s)
        if worker is not None:
            if self._failed_by is not None:
                router.reroutes += 1
                self._failed_by.lost.rerouted()
                self.detour = "rerouted"
            return self._send(worker, now)
        if expecting():
            return self._wait_until(self.deadline)
        raise NoWorkers(NO_WORKERS)

    def _second_opinion(self, now: float) -> Ask:
        enough = len(self._refusals) >= self.REFUSALS_NEEDED
        worker = None if enough else self._candidate(now)
        if worker is None:
            raise BadRequest(self._refusals[-1])
        return self._send(worker, now)

    def _other_way(self, now: float) -> Ask:
        """A store did not answer that worker. Another may reach it, and is asked once, while the
        budget lasts; one that does not reach it either is not.
        """
        worker = self._candidate(now) if len(self._store_failures) == 1 else None
        if worker is None or worker.trouble or not self._router.retrying.spend(now):
            raise StoreDown(self._store_failures[-1])
        self._router.reroutes += 1
        self.detour = "rerouted"
        return self._send(worker, now)

    @property
    def suspected(self) -> bool:
        """Whether a connection ended with the lookup on it: its worker may have died of it."""
        return self._suspicion is not None

    def must_prove(self, worker: Worker) -> bool:
        """See `Suspicion.must_prove`."""
        return self._suspicion is not None and self._suspicion.must_prove(worker)

    def _hedge_or_wait(self, now: float) -> Action:
        """Decides while an attempt is under way: to hedge, or to wait."""
        router = self._router
        if now >= self._hedge_at and len(self.pending) < self.MAX_PARALLEL_ATTEMPTS:
            self._hedge_at = math.inf
            if self._suspicion is not None:
                # It may be deadly, so it is sent to one worker at a time.
                return WaitUntil(self.due(now))
            worker = self._candidate(now)
            # The same question costs the same store as much again: not while that is in trouble.
            if worker is not None and not worker.trouble and router.hedging.spend(now):
                router.hedges += 1
                latest = next(reversed(self.pending.values()))
                latest.worker.lost.hedged(now)
                self.detour = "hedged"
                return self._send(worker, now)
        return WaitUntil(self.due(now))

    def _wait_until(self, at: float) -> WaitUntil:
        return WaitUntil(min(at, self.deadline))

    def due(self, now: float) -> float:
        """When the next decision is due, while something is under way."""
        until = self.deadline
        if len(self.pending) < self.MAX_PARALLEL_ATTEMPTS:
            until = min(until, self._hedge_at)
        for one in self.pending.values():
            expiry = one.began + self._router.limits.attempt_timeout_s
            # An attempt that is kept beyond its time is looked at again after each pause.
            until = min(until, expiry if expiry > now else now + self._router.limits.round_pause_s)
        return until

    def _candidate(self, now: float) -> Worker | None:
        return self._candidates.pick(now, alone=self.suspected)

    def _send(self, worker: Worker, now: float) -> Ask:
        router = self._router
        if not self.attempts:
            router.hedging.earn()
            router.retrying.earn()
        worker.began(now, self._tasks, counted=self._counted)
        self._candidates.tried.add(worker.generation)
        self.attempts += 1
        self.asked = worker
        alone = self._suspicion is not None
        self.pending[worker.generation] = Attempt(worker, now, alone)
        worker.has_suspect |= alone
        self._hedge_at = now + router.hedge_after_s
        return Ask(worker)

    # -- what happened --------------------------------------------------------------

    def answered(self, worker: Worker, now: float) -> None:
        """That worker answered. The other attempts are to be given up with `abandon`."""
        attempt = self._ended(worker, now, Outcome.ANSWERED)
        if self._counted:
            worker.answered(now - attempt.began, now, self._tasks)
        else:
            worker.released(self._tasks)

    def refused(self, worker: Worker, why: str, now: float) -> None:
        """That worker found the request wrong. It is not blamed, and another is asked."""
        attempt = self._ended(worker, now, Outcome.REFUSED)
        self._refusals.append(why)
        self._candidates.refused_by = worker
        worker.refused(now - attempt.began, now, self._tasks)

    def store_failed(self, worker: Worker, why: str, now: float) -> None:
        """The store of that worker's records did not answer. It is not blamed."""
        self._ended(worker, now, Outcome.FAILED)
        self._store_failures.append(why)
        self._hedge_at = math.inf
        worker.store_failed(self._tasks)

    def failed(self, worker: Worker, why: str, now: float, *, broke: bool = False) -> None:
        """That worker failed the lookup.

        Args:
            worker: which.
            why: in words.
            now: seconds.
            broke: whether its connection ended with the lookup on it: it may have died of it.
        """
        self._failed(worker, why, now, Outcome.FAILED)
        if broke:
            if self._suspicion is None:
                self._suspicion = Suspicion(self._router.limits.death_notice_s)
            self._suspicion.broke(worker, now)

    def _failed(self, worker: Worker, why: str, now: float, outcome: Outcome) -> None:
        attempt = self._ended(worker, now, outcome)
        self._last_error = f"{worker.id}: {why}"
        self._failed_by = worker
        worker.failed(now - attempt.began, why, now, self._tasks)

    def abandon(self, now: float) -> list[Worker]:
        """Gives up what is under way, as the call is over. The workers were late, which is all
        that is held against them.

        Returns:
            Those workers; the caller closes what is open to them.
        """
        given_up = [attempt.worker for attempt in self.pending.values()]
        for worker in given_up:
            attempt = self._ended(worker, now, Outcome.OVERTAKEN)
            late = now - attempt.began
            worker.overtaken(late, now, self._tasks)
            worker.late |= late >= self._router.hedge_after_s
            self._give_up(attempt)
        return given_up

    def settled(self, worker: Worker, now: float) -> None:
        """The attempt there that was given up is over: its reply has come, or never will."""
        worker.lost.settled(self, now)

    def _give_up(self, attempt: Attempt) -> None:
        if self._counted:
            attempt.worker.lost.gave_up(self, attempt.began, self._tasks)

    def _ended(self, worker: Worker, now: float, outcome: Outcome) -> Attempt:
        attempt = self.pending.pop(worker.generation)
        self.past.append(PastAttempt(worker.id, attempt.began, now, outcome))
        if attempt.alone:
            worker.has_suspect = False
        return attempt
