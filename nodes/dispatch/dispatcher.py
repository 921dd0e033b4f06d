"""Calls carried out: sent to workers, awaited, hedged, sent elsewhere.

What to do next is decided in `nodes.routing`; here are the links, and what waits. No sockets, and
the clock is passed in: an event loop drives it, and so does a simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nodes.dispatch.call import Answer, Call
from nodes.dispatch.tracked import TrackedCalls
from nodes.errors import DeadlineExceeded
from nodes.routing import Router, Worker
from nodes.support.fair_queue import FairQueue
from nodes.transport import (
    DialFailed,
    Pending,
    TransportError,
    Value,
)

TICK_S = 0.01
"""Seconds between two ticks, while anything is under way."""


class Link(Protocol):
    """The way to one worker."""

    def call(self, verb: str, arguments: bytes, pending: Pending) -> None:
        """Sends a call; `pending` is told what becomes of it, perhaps at once.

        Raises:
            ValueError: the arguments are too many bytes; nothing was sent.
        """


class Dispatcher:
    """Sends calls to workers, and tells the router what became of them.

    A first attempt costs one pick and one send; those that wait for their turn do so in the order
    they came, but that each who asks has one in turn. What is late or fails goes to `TrackedCalls`.

    Args:
        router: decides.
        clock: seconds, monotonic.
        wake: asked for a `tick` some `TICK_S` later, whenever something is under way.
        expecting: asked when nobody is left, "is a worker about to come back?"; while it
            says yes, a call waits for it within its deadline.
        on_failure: called when a worker has failed a lookup: its registration may be over.

    Attributes:
        router, clock: as above.
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
        self.clock = clock
        self._wake = wake
        self._links: dict[int, Link] = {}
        # First attempts in the order they were sent, and calls that wait for their turn.
        self._first: dict[Call, None] = {}
        self._waiting: FairQueue[Call] = FairQueue()
        self._tracked = TrackedCalls(
            router,
            clock=clock,
            call_worker=self.call_worker,
            over=self._over,
            expecting=expecting,
            on_failure=on_failure,
        )
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
        now = self.clock()
        self.router.fold(now)
        if self.router.registry.available:
            # They have waited for the first worker, and now wait for their turn.
            for call in self._tracked.release_unsent():
                self._waiting.put(call.asker, call)
        self._tracked.advance_parked(now)
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
        now = self.clock()
        call.carrier = self
        call.began = now
        if not self.under_way:
            self._wake()
            if now - self._folded_at > TICK_S:
                self.router.fold(now)
                self._folded_at = now
        self.under_way += 1
        if call.version:
            self._tracked.advance(call, now)
            return
        worker = None if self._waiting.queues else self.router.pick_first()
        if worker is not None:
            self._send_first(call, worker, now)
        elif self.router.registry.available:
            self._waiting.put(call.asker, call)
        else:
            self._tracked.advance(call, now)

    def take_over(self, call: Call, worker: Worker, error: TransportError) -> None:
        """Goes on with a call whose first attempt was made by somebody else, and has failed."""
        now = self.clock()
        call.carrier = self
        call.began = call.sent_at = now
        call.worker = worker
        if not self.under_way:
            self._wake()
        self.under_way += 1
        worker.began(now, call.tasks, counted=call.counted)
        self._first[call] = None
        self.first_failed(call, error)

    def _send_first(self, call: Call, worker: Worker, now: float) -> None:
        worker.began(now, call.tasks, counted=call.counted)
        call.worker = worker
        call.sent_at = now
        self._first[call] = None
        self.call_worker(worker, call.verb, call.arguments, call)

    def first_replied(self, call: Call, value: Value) -> None:
        """The first worker that a call was sent to has replied."""
        if call.state is not None:
            self._tracked.replied(call, call.worker, value)
            return
        now = self.clock()
        if type(value) is not bytes or not call.accepts(value):
            self._track(call)
            self._tracked.replied(call, call.worker, value)
            return
        worker = call.worker
        del self._first[call]
        if call.counted:
            worker.replied(call.sent_at, call.tasks)
            self.router.took(worker, now - call.sent_at, call.tasks)
        else:
            worker.released(call.tasks)
        self.under_way -= 1
        call.answered(Answer(value, worker, 1, now - call.began))
        if self._waiting.queues:
            self._let_in(now)

    def first_failed(self, call: Call, error: TransportError) -> None:
        """The first worker that a call was sent to has failed it."""
        if call.state is None:
            self._track(call)
        self._tracked.failed(call, call.worker, error)

    def replied(self, call: Call, worker: Worker, value: Value) -> None:
        """A worker has replied to a further attempt of a call."""
        self._tracked.replied(call, worker, value)

    def failed(self, call: Call, worker: Worker, error: TransportError) -> None:
        """A worker has failed a further attempt of a call."""
        self._tracked.failed(call, worker, error)

    def _track(self, call: Call) -> None:
        """A first attempt has failed, or is late."""
        del self._first[call]
        self._tracked.adopt(call)

    def _over(self, now: float) -> None:
        """A tracked call has ended."""
        self.under_way -= 1
        self._let_in(now)

    def _let_in(self, now: float) -> None:
        """Sends what waits for its turn, as far as there is room."""
        waiting = self._waiting
        while waiting.queues:
            worker = self.router.pick_first()
            if worker is None:
                break
            self._send_first(waiting.pop(), worker, now)
        if waiting.queues and not self.router.registry.available:
            for call in waiting.pop_all():
                self._tracked.advance(call, now)

    # -- time ---------------------------------------------------------------------

    def tick(self) -> None:
        """Looks after what is late. To be called `TICK_S` after the dispatcher has asked for it."""
        now = self.clock()
        self.router.fold(now)
        self._folded_at = now
        late = now - self.router.hedge_after_s
        while self._first:
            call = next(iter(self._first))
            if call.sent_at > late:
                break
            self._track(call)
            self._tracked.advance(call, now)
        self._tracked.tick(now)
        for call in self._waiting.pop_while(lambda call: now >= call.began + call.timeout_s):
            self.under_way -= 1
            late_turn = DeadlineExceeded(
                "its turn did not come in time; ask fewer at once, or start more workers"
            )
            self._tracked.give_up(call, late_turn, now)
        self._let_in(now)
        if self.under_way:
            self._wake()
