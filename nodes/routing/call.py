"""The decisions of a lookup's life: whom to ask, when to hedge, when to give up.

No sockets, threads or clocks: `nodes.dispatch.dispatcher` carries the decisions out, and a
simulation can do so as well. Not thread-safe: whoever holds a `Router` holds the registry's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from nodes.errors import BadRequest, DeadlineExceeded, LookupFailed, NoWorkers, PoisonLookup
from nodes.routing.balancer import Policy, pick
from nodes.routing.budget import Budget
from nodes.routing.histogram import percentile
from nodes.routing.poison import DEADLY, Suspicion
from nodes.routing.registry import Registry, State, Worker

NO_WORKERS = (
    "no worker is registered: start one with 'rollcall-nodes spawn 1' "
    "or 'rollcall-nodes worker --master HOST:PORT'"
)


class Attempt(msgspec.Struct, frozen=True):
    """One lookup at one worker. Times in seconds on the clock passed in.

    `alone` says that no other lookup that was on a dying worker is sent there meanwhile.
    """

    worker: Worker
    began: float
    alone: bool


Step = Worker | float
"""What to do: ask that worker now (it is counted as in flight already), or nothing until then,
unless something happens before."""


class Router:
    """What all lookups share: the registry, the policy, and the budgets.

    Args:
        registry: who is there.
        policy: who gets the next lookup.
        verdict_s: seconds that the word of a worker's death may come after its connection ended.
    """

    HEDGE_SHARE = 0.1
    HEDGE_BURST = 10.0
    HEDGE_FLOOR = 0.05
    """A lookup is hedged after the 95th percentile of the recent ones, and no sooner than
    this many seconds; hedges are at most that share of all lookups."""

    RETRY_SHARE = 0.2
    RETRY_BURST = 256.0
    RETRY_PER_S = 10.0
    """Reroutes after a timeout, and second rounds, may be that share of all lookups. The
    burst is what a master takes in at once: when a worker freezes, all it holds may move."""

    ATTEMPT = 0.5
    """Seconds one attempt may take while another worker could be asked instead. A frozen
    worker is found out by nothing but a deadline of our own."""

    BREATH = 0.05
    """Seconds before a second round, when every worker has failed a lookup once."""

    def __init__(self, *, registry: Registry, policy: Policy, verdict_s: float = 0.1) -> None:
        self.registry = registry
        self.policy = policy
        self.verdict_s = verdict_s
        self.hedging = Budget(share=self.HEDGE_SHARE, burst=self.HEDGE_BURST)
        self.retrying = Budget(
            share=self.RETRY_SHARE, burst=self.RETRY_BURST, per_s=self.RETRY_PER_S
        )
        self.hedge_after = self.HEDGE_FLOOR
        self.hedges = 0
        self.reroutes = 0

    def refresh(self, now: float) -> None:
        """Works out anew what is late. To be called about each second."""
        figures = [worker.figures for worker in self.registry.live()]
        usual = percentile(figures, 0.95, now)
        self.hedge_after = max(self.HEDGE_FLOOR, usual or 0.0)


class CallState:
    """One lookup: told what happens, it says what to do next.

    Args:
        router: what it shares with the others.
        deadline: seconds on the clock passed in, for all of it.
        counted: whether an answer is a task performed, and says how quick a worker is.
        version: of the catalog that should answer, if a worker still has it; "" for any.
        tasks: lookups that travel together.

    Attributes:
        attempts: how many workers have been asked, hedges included.
        pending: attempts under way, by generation.
    """

    MOST_AT_ONCE = 3
    OPINIONS = 2
    """Workers that must find a lookup wrong before it is called so, if there are as many: the
    first may be about to switch catalogs, or be wrong itself."""

    __slots__ = (
        "_counted",
        "_hedge_at",
        "_last_error",
        "_refusals",
        "_rest_until",
        "_router",
        "_suspicion",
        "_tasks",
        "_tried",
        "_version",
        "attempts",
        "deadline",
        "pending",
    )

    def __init__(
        self, router: Router, deadline: float, *, counted: bool, version: str = "", tasks: int = 1
    ) -> None:
        self._router = router
        self._tasks = tasks
        self._counted = counted
        self._version = version
        self._tried: set[int] = set()
        self._suspicion: Suspicion | None = None
        self._last_error = ""
        self._refusals: list[tuple[Worker, str]] = []
        self._hedge_at = math.inf
        self._rest_until = 0.0
        self.deadline = deadline
        self.attempts = 0
        self.pending: dict[int, Attempt] = {}

    # -- what to do ---------------------------------------------------------------

    def next(self, now: float, *, expecting: Callable[[], bool] = lambda: False) -> Step:
        """What to do at `now`.

        Args:
            now: seconds.
            expecting: asked when there is no worker, whether one is about to register.

        Raises:
            NoWorkers, DeadlineExceeded, PoisonLookup, BadRequest: it is over. What is still
                `pending` is to be given up, with `abandon`.
        """
        if now >= self.deadline:
            raise self._too_late()
        if self.pending:
            return self._beside(now)
        return self._again(now, expecting)

    def expired(self, now: float) -> list[Attempt]:
        """Attempts that are given up, because another worker may be quicker. Each counts as
        a failure of its worker; what is open to it is to be closed.
        """
        if not self.pending:
            return []
        router = self._router
        over = [one for one in self.pending.values() if now - one.began >= router.ATTEMPT]
        # To give up the only attempt is of use only if somebody else can be asked.
        if not over or (len(over) == len(self.pending) and self._candidate(now) is None):
            return []
        if not router.retrying.spend(now):
            return []
        for one in over:
            late = f"no answer within {now - one.began:.3f} s"
            self.failed(one.worker, late, now)
            one.worker.late = True
        return over

    def _again(self, now: float, expecting: Callable[[], bool]) -> Step:
        """Nothing is under way: the first attempt, or the one after a failure."""
        router = self._router
        if self._refusals:
            return self._second_opinion(now)
        if self._suspicion is not None:
            self._stop_poison(self._suspicion)
            decided_at = self._suspicion.decided_at()
            if now < decided_at:
                return min(decided_at, self.deadline)
        if now < self._rest_until:
            return min(self._rest_until, self.deadline)
        worker = self._candidate(now)
        if worker is None and router.registry.available and not self._would_share():
            # All were tried and none answered, yet they are not down: what failed may have
            # been the way there. Another round, after a breath, while the budget lasts.
            if self._rest_until and router.retrying.spend(now):
                self._rest_until = 0.0
                self._tried.clear()
                worker = self._candidate(now)
            else:
                self._rest_until = now + router.BREATH
                return min(self._rest_until, self.deadline)
        if worker is None and router.registry.available:
            return min(now + router.BREATH, self.deadline)  # for the other suspects to be over
        if worker is not None:
            if self.attempts:
                router.reroutes += 1
            return self._send(worker, now)
        if expecting():
            return self.deadline
        raise NoWorkers(NO_WORKERS)

    def _second_opinion(self, now: float) -> Worker:
        enough = len(self._refusals) >= self.OPINIONS
        worker = None if enough else self._candidate(now)
        if worker is None:
            raise BadRequest(self._refusals[-1][1])
        return self._send(worker, now)

    def _stop_poison(self, suspicion: Suspicion) -> None:
        victims = suspicion.victims()
        if len(victims) < DEADLY:
            return
        registry = self._router.registry
        if len(victims) > DEADLY or not registry.deaths.have_another_cause(
            victims, registry.live()
        ):
            raise PoisonLookup(
                f"{' and '.join(worker.id for worker in victims)} died one after the other while "
                "they answered this lookup; it is not sent to another"
            )

    @property
    def suspected(self) -> bool:
        """Whether it was on a worker that may have died of it."""
        return self._suspicion is not None

    def must_prove(self, worker: Worker) -> bool:
        """Whether that worker is to answer something else before it is sent this lookup."""
        return self._suspicion is not None and self._suspicion.must_prove(worker)

    def _beside(self, now: float) -> Step:
        """Something is under way: a hedge, or patience."""
        router = self._router
        if now >= self._hedge_at and len(self.pending) < self.MOST_AT_ONCE:
            self._hedge_at = math.inf
            if self._suspicion is not None:
                return self.due(now)  # it may be deadly: one worker at a time
            worker = self._candidate(now)
            if worker is not None and router.hedging.spend(now):
                router.hedges += 1
                return self._send(worker, now)
        return self.due(now)

    def due(self, now: float) -> float:
        """When the next decision is due, while something is under way."""
        until = min(self._hedge_at, self.deadline)
        for one in self.pending.values():
            expiry = one.began + self._router.ATTEMPT
            # One that is kept beyond its time is looked at again now and then.
            until = min(until, expiry if expiry > now else now + self._router.BREATH)
        return until

    def _candidate(self, now: float) -> Worker | None:
        router = self._router
        workers = router.registry.available
        if self._version:
            same = tuple(worker for worker in workers if worker.version == self._version)
            workers = same or workers
        if self._refusals:
            same = tuple(w for w in workers if w.version != self._refusals[-1][0].version)
            workers = same or workers
        if self._suspicion is not None:
            workers = tuple(worker for worker in workers if not worker.has_suspect)
        return pick(workers, router.policy, now, self._tried)

    def _would_share(self) -> bool:
        """Whether whoever could be asked has another suspect."""
        return self.suspected and any(
            worker.has_suspect and worker.generation not in self._tried
            for worker in self._router.registry.available
        )

    def _send(self, worker: Worker, now: float) -> Worker:
        router = self._router
        if not self.attempts:
            router.hedging.earn()
            router.retrying.earn()
        router.registry.began(worker, now, self._tasks)
        self._tried.add(worker.generation)
        self.attempts += 1
        alone = self._suspicion is not None
        self.pending[worker.generation] = Attempt(worker, now, alone)
        worker.has_suspect |= alone
        self._hedge_at = now + router.hedge_after
        return worker

    def _too_late(self) -> LookupFailed:
        if not self.attempts:
            return NoWorkers("no worker came up in time; 'rollcall-nodes ps' shows how they are")
        last = self._last_error
        if self.pending:
            last = f"{' and '.join(a.worker.id for a in self.pending.values())}: no answer yet"
        detail = f"; last: {last}" if last else ""
        return DeadlineExceeded(f"no answer in time, after {self.attempts} attempt(s){detail}")

    # -- what happened --------------------------------------------------------------

    def answered(self, worker: Worker, now: float) -> None:
        """That worker answered. Whoever else was asked is to be given up, with `abandon`."""
        attempt = self._ended(worker)
        if self._counted:
            self._router.registry.answered(worker, now - attempt.began, now, self._tasks)
        else:
            self._router.registry.released(worker, self._tasks)

    def refused(self, worker: Worker, why: str, now: float) -> None:
        """That worker found the request wrong: it is not to blame, and another is asked."""
        attempt = self._ended(worker)
        self._refusals.append((worker, why))
        self._router.registry.refused(worker, now - attempt.began, now, self._tasks)

    def failed(self, worker: Worker, why: str, now: float, *, broke: bool = False) -> None:
        """That worker failed it. `broke`: its connection ended with the lookup on it, so it may
        have died of it.
        """
        attempt = self._ended(worker)
        self._last_error = f"{worker.id}: {why}"
        self._router.registry.failed(worker, now - attempt.began, why, now, self._tasks)
        if broke:
            if self._suspicion is None:
                self._suspicion = Suspicion(self._router.verdict_s)
            self._suspicion.broke(worker, now)

    def abandon(self, now: float) -> list[Worker]:
        """Gives up what is under way, because the lookup is over. What is open to those
        workers is to be closed; they were late, and that is all that is held against them.
        """
        given_up = [attempt.worker for attempt in self.pending.values()]
        for worker in given_up:
            late = now - self._ended(worker).began
            self._router.registry.overtaken(worker, late, now, self._tasks)
            worker.late |= late >= self._router.hedge_after
        return given_up

    def _ended(self, worker: Worker) -> Attempt:
        attempt = self.pending.pop(worker.generation)
        if attempt.alone:
            worker.has_suspect = False
        return attempt


def panics(registry: Registry, now: float) -> bool:
    """Whether so many breakers are open that they are not honoured; see `pick`."""
    live = registry.available
    return sum(worker.breaker.allows(now) for worker in live) * 2 < len(live)


def up(registry: Registry) -> int:
    """How many workers are up."""
    return sum(worker.state is State.UP for worker in registry.live())
