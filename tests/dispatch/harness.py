"""A dispatcher in simulated time: its clock, its links and its workers are objects of the test."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import TICK_S, Dispatcher
from nodes.errors import LookupFailed
from nodes.routing import POLICIES, Registry, Router, RoutingLimits, Worker
from nodes.routing.worker import Listener
from nodes.support.addresses import Address
from nodes.transport import LinkLost, Pending, RemoteFailure, TransportError
from nodes.wire import answer_part

ANSWER_S = 0.001
"""Simulated seconds that an answer takes."""

Verb = Callable[..., object]


class Silence:
    """What a worker returns that never answers."""


def good(*_args: object) -> bytes:
    """Answers."""
    return answer_part(b"[]", count=0, after=None, catalog="v", files=())


class SimulatedTime:
    """A clock that stands still between events."""

    def __init__(self) -> None:
        self.now = 100.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Has an event happen."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: Callable[[], bool], seconds: float) -> bool:
        """Lets events happen until that is so; whether it was within so many seconds."""
        end = self.now + seconds
        while not until():
            if not self._events or self._events[0][0] > end:
                self.now = end
                return until()
            at, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at)
            event()
        return True


class SimulatedLink:
    """The way to a worker whose every verb is one function, and which answers after `ANSWER_S`."""

    def __init__(self, harness: DispatcherHarness, worker: Worker, verb: Verb) -> None:
        self.verb = verb
        self.alive = True
        self._harness = harness
        self._worker = worker
        self._pending: dict[Pending, None] = {}

    def call(self, verb: str, arguments: bytes, pending: Pending) -> None:
        if not self.alive:
            pending.failed(LinkLost("its connection ended"))
            return
        self._pending[pending] = None
        if verb == "probe":
            self._harness.time.later(ANSWER_S, lambda: self._reply(pending, "alive"))
            return
        self._harness.asked.append(self._worker.id)
        self._harness.time.later(ANSWER_S, lambda: self._answer(pending, arguments))

    def _answer(self, pending: Pending, arguments: bytes) -> None:
        if pending not in self._pending:
            return
        try:
            value = self.verb(arguments)
        except ArithmeticError as error:
            self._fail(pending, RemoteFailure(type(error).__name__, str(error)))
            return
        if value is not Silence:
            self._reply(pending, value)

    def _reply(self, pending: Pending, value: Any) -> None:
        if pending in self._pending:
            del self._pending[pending]
            pending.replied(value)

    def _fail(self, pending: Pending, error: TransportError) -> None:
        del self._pending[pending]
        pending.failed(error)

    def answer_late(self, value: Any) -> None:
        """Answers all that was never answered."""
        for pending in list(self._pending):
            self._reply(pending, value)

    def end(self) -> None:
        """The connection ends."""
        self.alive = False
        pending, self._pending = list(self._pending), {}
        for one in pending:
            one.failed(LinkLost("its connection ended"))


class RecordedCall(Call):
    """A call whose end is kept."""

    __slots__ = ("asker", "counted", "outcome", "timeout_s", "version")

    def __init__(
        self,
        arguments: bytes = b"",
        *,
        timeout_s: float = 10.0,
        version: str = "",
        counted: bool = True,
        asker: object = None,
    ) -> None:
        super().__init__(arguments)
        self.asker = asker
        self.timeout_s = timeout_s
        self.version = version
        self.counted = counted
        self.outcome: Answer | LookupFailed | None = None

    def answered(self, answer: Answer) -> None:
        assert self.outcome is None, "a call ends once"
        self.outcome = answer

    def gave_up(self, error: LookupFailed) -> None:
        assert self.outcome is None, "a call ends once"
        self.outcome = error


class DispatcherHarness:
    """A dispatcher, and simulated workers."""

    def __init__(
        self,
        *,
        expecting: Callable[[], bool] = lambda: False,
        listener: Listener = lambda _k, _w, _t: None,
        **limits: Any,
    ) -> None:
        self.time = SimulatedTime()
        self.registry = Registry(listener=listener, random=Random(0))
        self.router = Router(
            registry=self.registry, policy=POLICIES["load"], limits=RoutingLimits(**limits)
        )
        self.dispatcher = Dispatcher(
            router=self.router, clock=self.time.clock, wake=self._wake, expecting=expecting
        )
        self.links: dict[int, SimulatedLink] = {}
        self.asked: list[str] = []

    def _wake(self) -> None:
        self.time.later(TICK_S, self.dispatcher.tick)

    def worker(self, name: str, verb: Verb, *, served: int = 0) -> Worker:
        """A worker that is up. Among equals, the one with the fewest `served` is asked first."""
        worker = self.registry.register(
            wanted_id=name,
            instance=name,
            address=Address(name, 1),
            pid=1,
            version="v",
            now=self.time.now,
        )
        self.registry.probe_answered(
            worker.generation, version="v", cpu=0.0, memory=0, now=self.time.now
        )
        worker.served = served
        link = self.links[worker.generation] = SimulatedLink(self, worker, verb)
        self.dispatcher.joined(worker, link)
        self.dispatcher.changed()
        return worker

    def lose(self, worker: Worker, *, died: bool = False) -> None:
        """Its registration ends, maybe as its process has died."""
        self.registry.lost(worker.generation, "gone", self.time.now, died=died)
        self.dispatcher.left(worker.generation)
        self.links[worker.generation].end()
        self.dispatcher.changed()

    def submit(self, call: RecordedCall | None = None, **options: Any) -> RecordedCall:
        """Begins a call."""
        call = call or RecordedCall(**options)
        self.dispatcher.submit(call)
        return call

    def end_of(self, call: RecordedCall, seconds: float = 60.0) -> Answer:
        """Waits for the end of a call; its answer, or its error raised."""
        assert self.time.run(lambda: call.outcome is not None, seconds), "it never ended"
        if isinstance(call.outcome, LookupFailed):
            raise call.outcome
        assert isinstance(call.outcome, Answer)
        return call.outcome

    def call(self, timeout_s: float = 10.0, **options: Any) -> str:
        """Asks; returns who answered."""
        return self.end_of(self.submit(timeout_s=timeout_s, **options)).worker.id


@contextmanager
def dispatching(**options: Any) -> Iterator[DispatcherHarness]:
    """A harness; after it, nothing is in flight."""
    made = DispatcherHarness(**options)
    yield made
    assert made.dispatcher.under_way == 0
    assert [(w.in_flight, w.calls) for w in made.registry] == [(0, 0)] * len(made.links)
