"""One registration: what is known of a worker, from the moment it registers until it is purged."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from nodes.routing.breaker import Breaker
from nodes.routing.ewma import PeakEwma
from nodes.routing.histogram import WindowedHistogram, merge
from nodes.routing.lost_attempts import LostAttempts
from nodes.routing.states import TRANSITIONS, Change, State
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind


class DirectCounts(NamedTuple):
    """Lookups of a worker that its master has no part in: answered so far, under way, a second."""

    served: int = 0
    in_flight: int = 0
    per_s: float = 0.0


Listener = Callable[["EventKind", "Worker", str], None]
"""`listener(kind, worker, text)`: told of each change worth an event."""


class Worker(msgspec.Struct, eq=False, kw_only=True):
    """One registration: from the moment a worker registers until it is purged.

    Attributes:
        instance: the secret by which its process is known.
        moved: workers that may come sooner than they did for the next lookup; it adds itself.
        version: of the catalog that it has.
        head_start: tasks that count for who is next, and that it never performed.
        calls: that it was sent and has not answered; `in_flight` are the lookups in them.
        attempts: lookups that it was sent.
        refusals: lookups that it found wrong: for who is next, they are tasks performed.
        direct: what it does for clients that ask it themselves, as its last probe said.
        direct_before: such lookups of its process that do not count here: those before it
            registered. None until it has said how many.
        alive_at: when the newest question that it has answered was asked: then it was alive.
        has_suspect: it has a lookup that was on another worker as that one died.
        dismissed: an operator ends it: nothing that it was asked is to blame.
        died: its process ended, and nobody had told it to; None while that is not known.
        estimate: the latency to expect of it, as of the last fold; see `Router.fold`.
        histogram: latencies of its answers.
        failures: how long those took that it failed.
        lost: attempts that brought no answer in time.
        late: it was late, and has answered nothing since.
        in_store: its records lie in a store that all workers ask.
        program: the version of Rollcall that it runs, "" where it does not say.
        trouble: why it could not read its records when it was last probed, "" if it could: that
            store does not answer, or the catalog's file is damaged.
        why: what is wrong with it, "" for nothing.
        since: when it entered its state.
        rank: of its state; see `State.rank`.

    Times are in seconds on the clock passed in, CPU is in percent of a core, memory in bytes.
    """

    id: str
    generation: int
    instance: str
    address: Address
    pid: int
    version: str
    head_start: int
    registered_at: float
    breaker: Breaker
    listener: Listener
    moved: set[Worker] = msgspec.field(default_factory=set)
    state: State = State.STARTING
    rank: int = State.STARTING.rank
    why: str = ""
    since: float = 0.0
    calls: int = 0
    in_flight: int = 0
    attempts: int = 0
    served: int = 0
    errors: int = 0
    refusals: int = 0
    direct: DirectCounts = DirectCounts()
    direct_before: int | None = None
    estimate: float = 0.0
    latency: PeakEwma = msgspec.field(default_factory=PeakEwma)
    histogram: WindowedHistogram = msgspec.field(default_factory=WindowedHistogram)
    failures: WindowedHistogram = msgspec.field(default_factory=WindowedHistogram)
    lost: LostAttempts = msgspec.field(default_factory=LostAttempts)
    cpu: float = 0.0
    memory: int = 0
    misses: int = 0
    probes_answered: int = 0
    probed_at: float = 0.0
    alive_at: float = 0.0
    late: bool = False
    in_store: bool = False
    program: str = ""
    trouble: str = ""
    has_suspect: bool = False
    dismissed: bool = False
    died: bool | None = False

    def __post_init__(self) -> None:
        self.since = self.probed_at = self.alive_at = self.registered_at

    @property
    def live(self) -> bool:
        """Registered and not given up."""
        return self.state is not State.DOWN

    @property
    def direct_per_s(self) -> float:
        """Lookups a second that its master has no part in; nothing is known of one that does not
        answer its probes.
        """
        return 0.0 if self.misses else self.direct.per_s

    @property
    def performed(self) -> int:
        """Tasks performed, as they count for who is next."""
        return self.served + self.refusals + self.head_start

    def latencies(self, now: float) -> dict[int, int]:
        """Its recent attempts, by bucket of their latency: answered ones, and those given up."""
        counts = merge((self.histogram, self.lost.histogram), now)
        self.lost.add_unanswered(counts, now)
        return counts

    def change(self, change: Change, why: str, now: float) -> EventKind | None:
        """Something happened: the state that follows, if any does, is entered for the reason
        `why`. Returns the kind of event that tells of it.
        """
        following = TRANSITIONS[self.state].get(change)
        if following is None:
            return None
        self.state, kind = following
        self._rank_anew()
        self.why = why
        self.since = now
        return kind

    def _rank_anew(self) -> None:
        """Who cannot read its records is picked last, like one that is silent."""
        self.rank = max(self.state.rank, State.SUSPECT.rank if self.trouble else 0)
        self.moved.add(self)

    def note_trouble(self, trouble: str) -> None:
        """It can read its records, "", or cannot: no fault of its own."""
        before, self.trouble = self.trouble, trouble
        if bool(before) is bool(trouble):
            return
        self._rank_anew()
        lost, back = (
            (EventKind.STORE_DOWN, EventKind.STORE_BACK)
            if self.in_store
            else (EventKind.DAMAGED, EventKind.MENDED)
        )
        self.listener(lost if trouble else back, self, trouble or "reads its records again")

    def note_probe(self, *, cpu: float, memory: int, now: float, direct: tuple[int, int]) -> int:
        """It has answered a probe, and said how it is. Returns how many lookups it has answered
        since the last one that did not come through here.
        """
        said, in_flight = direct
        if self.direct_before is None:
            self.direct_before = said
        served = max(self.direct.served, said - self.direct_before)
        fresh = served - self.direct.served
        spent = now - self.probed_at
        self.direct = DirectCounts(served, in_flight, fresh / spent if spent > 0 else 0.0)
        self.cpu = cpu
        self.memory = memory
        self.misses = 0
        self.probes_answered += 1
        self.probed_at = now
        self.late = False
        self.moved.add(self)
        return fresh

    # -- lookups ------------------------------------------------------------------

    # `tasks` is how many lookups travel together: one, or a part of a batch.

    def began(self, now: float, tasks: int = 1, *, counted: bool = True) -> None:
        """A lookup is about to be sent, or a call that is `counted` as none: before the send."""
        self.calls += 1
        self.in_flight += tasks
        if counted:
            self.attempts += tasks
        if self.breaker.failures:
            self.breaker.began(now)

    def answered(self, seconds: float, now: float, tasks: int = 1) -> None:
        """The lookup was answered after `seconds`."""
        self.replied(now - seconds, tasks)
        self.took(seconds, now, tasks)

    def replied(self, began: float, tasks: int) -> None:
        """A lookup sent at `began` was answered; `took` says later how long that took."""
        self.calls -= 1
        self.in_flight -= tasks
        self.served += tasks
        self.late = False
        self.moved.add(self)
        self.alive_at = max(self.alive_at, began)
        if self.breaker.failures and self.breaker.succeeded():
            self.listener(EventKind.BREAKER_CLOSED, self, "answers again")

    def came_late(self, began: float) -> None:
        """It has answered a call, begun at `began`, that others have answered or given up."""
        self.alive_at = max(self.alive_at, began)
        self.late = False
        self.moved.add(self)

    def took(self, seconds: float, now: float, tasks: int) -> None:
        """So long took an answer noted by `replied`."""
        if tasks == 1:  # a batch says nothing of how quick the worker is at one
            self.latency.answered(seconds, now)
        self.histogram.add(seconds, now, tasks)

    def failed(self, seconds: float, why: str, now: float, tasks: int = 1) -> None:
        """The lookup failed after `seconds`: counted as slow, never as fast."""
        self.calls -= 1
        self.in_flight -= tasks
        self.errors += 1
        self.failures.add(seconds, now)
        self.moved.add(self)
        self.latency.failed(max(seconds, 1.0), now)
        self.estimate = self.latency.estimate(now)  # at once: the next lookup goes elsewhere
        if self.breaker.failed(now):
            self.listener(EventKind.BREAKER_OPENED, self, why)

    def overtaken(self, seconds: float, now: float, tasks: int = 1) -> None:
        """Another was quicker, and the lookup was taken back after `seconds`: slow, no more."""
        self.calls -= 1
        self.in_flight -= tasks
        self.latency.failed(seconds, now)
        self.breaker.released()
        self.moved.add(self)

    def refused(self, seconds: float, now: float, tasks: int = 1) -> None:
        """The worker found the lookup wrong: no fault of its own, and no reason to be next."""
        self.refusals += tasks
        if tasks == 1:
            self.latency.answered(seconds, now)
        self.released(tasks)

    def store_failed(self, tasks: int = 1) -> None:
        """The store of its records did not answer the lookup: no fault of its own, and no reason
        to be next.
        """
        self.refusals += tasks
        self.released(tasks)

    def released(self, tasks: int = 1) -> None:
        """The lookup ended with no verdict on the worker."""
        self.calls -= 1
        self.in_flight -= tasks
        self.moved.add(self)
        self.breaker.released()
