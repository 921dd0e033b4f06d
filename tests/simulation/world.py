"""A cluster in simulated time: the real dispatcher, over made-up workers and a made-up network.

The dispatcher (`nodes.dispatch`), the registry and all decisions (`nodes.routing`) run as they
are; sockets, the event loop, clock and chance are replaced by one event queue and one seed. After
each step, what must always hold is checked, so a run is a proof attempt and not a picture.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import TICK_S, Dispatcher
from nodes.errors import LookupFailed, NoWorkers, PoisonLookup
from nodes.routing import POLICIES, Registry, Router, State, Worker
from nodes.support.addresses import Address
from nodes.transport import LinkLost, Pending, TransportError
from nodes.wire import answer_part

ANSWER = answer_part(b"[]", count=0, after=None, catalog="v", files=())

PROBE_EVERY = 1.0
REGISTER_AFTER = (0.1, 1.0)
"""Seconds until a worker that lost its master registers again."""

SEEN_AFTER = (0.0001, 0.003)
"""Seconds until a death is seen: until then, lookups are sent to the dead."""


@dataclass(eq=False)
class Process:
    """A worker as it really is; the router only sees what comes of it.

    Attributes:
        service: mean seconds of work a lookup takes.
        cores: lookups worked on at once; the others queue.
    """

    name: str
    service: float = 0.001
    cores: int = 4
    alive: bool = True
    frozen: bool = False
    failing: bool = False
    busy: int = 0
    queue: list[Callable[[], None]] = field(default_factory=list)
    held: list[Callable[[], None]] = field(default_factory=list)
    registration: Worker | None = None

    @property
    def healthy(self) -> bool:
        """Whether a lookup sent to it now would be answered."""
        return self.alive and not self.frozen and not self.failing


class Lookup(Call):
    """One lookup of a simulated client.

    Attributes:
        safe: workers that were up and healthy when it began, and have been ever since.
        deadly: whoever works on it dies of it.
        victims: those who have.
    """

    def __init__(self, world: World, then: Callable[[], None], *, deadly: bool) -> None:
        super().__init__(b"")
        self.world = world
        self.then = then
        self.deadly = deadly
        self.safe: set[str] = set()
        self.victims: list[str] = []

    def answered(self, answer: Answer) -> None:
        world, generation = self.world, answer.worker.generation
        world.answers[generation] = world.answers.get(generation, 0) + 1
        world.latencies.append(answer.took_s)
        world.end(self)

    def gave_up(self, error: LookupFailed) -> None:
        self.world.judge(self, error)
        self.world.end(self)


class Link:
    """The connection of one registration."""

    def __init__(self, world: World, process: Process, worker: Worker) -> None:
        self._world = world
        self._process = process
        self._worker = worker
        self._pending: dict[Pending, None] = {}
        self._ended = False

    def call(self, verb: str, _arguments: bytes, pending: Pending) -> None:
        """Sends a call."""
        if self._ended:
            pending.failed(LinkLost("its connection ended"))
            return
        self._pending[pending] = None
        if verb == "probe":
            arrive = functools.partial(self._world.prove, self, self._process, pending)
        else:
            lookup = pending if isinstance(pending, Lookup) else getattr(pending, "call")  # noqa: B009
            state = self._worker.state
            assert state not in (State.DOWN, State.DRAINING), f"{self._worker.id} was picked"
            self._world.sent(lookup, self._worker)
            arrive = functools.partial(self._world.arrive, self, self._process, lookup, pending)
        self._world.after(self._world.WIRE, arrive)

    def reply(self, pending: Pending, value: bytes | TransportError | tuple[str, str]) -> None:
        """The worker answers."""
        if pending in self._pending:
            del self._pending[pending]
            if isinstance(value, TransportError):
                pending.failed(value)
            else:
                pending.replied(value)

    def end(self) -> None:
        """The connection ends."""
        self._ended = True
        pending, self._pending = list(self._pending), {}
        for one in pending:
            one.failed(LinkLost("its connection ended"))


class World:
    """The simulation.

    Args:
        seed: of everything left to chance.
        policy: a key of `POLICIES`, or a policy.
    """

    TIMEOUT = 2.0
    CHECKED = True
    WIRE = 0.0002

    def __init__(self, seed: int, *, policy: str = "load") -> None:
        self.random = Random(seed)
        self.now = self._start = 1000.0
        self._end = self.now
        self.closed = False
        self.registry = Registry(listener=lambda _k, _w, _t: None, random=self.random)
        self.router = Router(registry=self.registry, policy=POLICIES[policy])
        self.dispatcher = Dispatcher(
            router=self.router,
            clock=lambda: self.now,
            wake=lambda: self.after(TICK_S, self.dispatcher.tick),
        )
        self._links: dict[int, Link] = {}
        self.processes: list[Process] = []
        self.lookups: set[Lookup] = set()
        self.latencies: list[float] = []
        self.errors: list[LookupFailed] = []
        self.broken_promises: list[str] = []
        self.began = 0
        self.answers: dict[int, int] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.after(PROBE_EVERY, self._refresh)
        self._prepare()

    def _prepare(self) -> None:
        """For worlds that differ."""

    # -- time -------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Does that later."""
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), do))

    def run(self, seconds: float) -> None:
        """Lets time pass, checking what must always hold after each step."""
        self._end = self.now + seconds
        while self._queue and self._queue[0][0] <= self._end:
            at, _, do = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            do()
            if self.CHECKED:
                self.check()
        self.now = max(self.now, self._end)

    def jump(self, seconds: float) -> None:
        """The clock leaps ahead, as after a suspended machine: all that was due is late."""
        self.now += seconds
        self._end += seconds
        for lookup in self.lookups:
            # Its deadline may have passed meanwhile: no promise was made for that.
            lookup.safe.clear()

    def _refresh(self) -> None:
        self.router.refresh(self.now)
        self.registry.purge(self.now)
        self.after(PROBE_EVERY, self._refresh)

    def check(self) -> None:
        """What must always hold."""
        in_flight: dict[int, int] = {}
        for lookup in self.lookups:
            under_way = [] if lookup.state is None else list(lookup.state.pending)
            if lookup in self.dispatcher._first:
                under_way = [lookup.worker.generation]
            for generation in under_way:
                in_flight[generation] = in_flight.get(generation, 0) + 1
        for worker in self.registry:
            expected = in_flight.get(worker.generation, 0)
            assert worker.in_flight == expected, f"{worker.id}: {worker.in_flight} in flight"
            answers = self.answers.get(worker.generation, 0)
            assert worker.served == answers, f"{worker.id}: served {worker.served}, not {answers}"
        limits = self.router.limits
        most = limits.hedge_burst + limits.hedge_share * self.began
        assert self.router.hedges <= most, "hedges beyond their budget"
        elapsed = self.now - self._start
        most = limits.retry_burst + limits.retry_share * self.began
        most += limits.retry_per_s * elapsed
        assert self.router.retrying.spent <= most, "retries beyond their budget"
        assert not self.broken_promises, self.broken_promises[0]

    # -- workers ----------------------------------------------------------------

    def start(self, *, service: float = 0.001, cores: int = 4) -> Process:
        """A new worker, which registers at once."""
        process = Process(f"p{len(self.processes) + 1}", service, cores)
        self.processes.append(process)
        self._register(process)
        return process

    def alive(self) -> list[Process]:
        """Those that have not died."""
        return [process for process in self.processes if process.alive]

    def restart(self) -> None:
        """A new worker in the place of one that died."""
        self.start()

    def _register(self, process: Process) -> None:
        if not process.alive or process.registration is not None:
            return
        if process.frozen:
            self.after(0.2, lambda: self._register(process))
            return
        number = self.processes.index(process) + 1
        process.registration = self.registry.register(
            wanted_id="",
            instance=f"{process.name}@{self.now}",
            pid=number,
            version="v",
            address=Address("127.0.0.1", number),
            now=self.now,
        )
        link = self._links[process.registration.generation] = Link(
            self, process, process.registration
        )
        self.dispatcher.joined(process.registration, link)
        self.dispatcher.changed()
        self._probe(process, process.registration)

    def _probe(self, process: Process, worker: Worker) -> None:
        if not worker.live:
            return
        generation = worker.generation
        if process.alive and not process.frozen:
            self.registry.probe_answered(generation, version="v", cpu=0.0, memory=0, now=self.now)
            self.dispatcher.changed()
        elif self.registry.probe_missed(generation, "no answer", self.now) is not None:
            self._gone(process)
            return
        self.after(PROBE_EVERY, lambda: self._probe(process, worker))

    def _gone(self, process: Process) -> None:
        """Its registration is over; if it still lives, it comes back."""
        worker, process.registration = process.registration, None
        if worker is not None:
            self.dispatcher.left(worker.generation)
            self._links.pop(worker.generation).end()
        if process.alive:
            self.after(self.random.uniform(*REGISTER_AFTER), lambda: self._register(process))
        self.dispatcher.changed()

    def kill(self, process: Process) -> None:
        """SIGKILL; its connections end soon after."""
        if not process.alive:
            return
        process.alive = False
        self._forget(process)

        def seen() -> None:
            if process.registration is not None:
                generation = process.registration.generation
                self.registry.lost(generation, "killed", self.now, died=True)
                self._gone(process)

        self.after(self.random.uniform(*SEEN_AFTER), seen)

    def kill_together(self, victims: Sequence[Process], *, within: float = 0.0) -> None:
        """One cause ends several: at one instant, or one after the other within some seconds."""
        for victim in victims:
            self.after(self.random.uniform(0.0, within), functools.partial(self.kill, victim))

    def freeze(self, process: Process) -> None:
        """SIGSTOP."""
        process.frozen = True
        self._forget(process)

    def thaw(self, process: Process) -> None:
        """SIGCONT: what was held back goes on, answers that nobody waits for included."""
        process.frozen = False
        held, process.held = process.held, []
        for go_on in held:
            go_on()

    def leave(self, process: Process) -> None:
        """SIGTERM: it is sent nothing more, and ends when its last lookup is answered."""
        self._forget(process)
        worker = process.registration
        if worker is None:
            return
        self.registry.drain(worker.generation, "it leaves", self.now)

        def look() -> None:
            if worker.in_flight and worker.live:
                self.after(0.02, look)
            else:
                self.kill(process)

        look()

    def set_failing(self, process: Process, *, failing: bool) -> None:
        """From now on it answers every lookup with an error, in 0.1 ms; or no longer."""
        process.failing = failing
        if failing:
            self._forget(process)

    def _forget(self, process: Process) -> None:
        for lookup in self.lookups:
            lookup.safe.discard(process.name)

    # -- lookups ----------------------------------------------------------------

    def ask(self, then: Callable[[], None] = lambda: None) -> None:
        """A client asks; `then` is done when it has its answer."""
        self._begin(then, deadly=False)

    def ask_deadly(self) -> Lookup:
        """A client asks what nobody survives."""
        return self._begin(lambda: None, deadly=True)

    def _begin(self, then: Callable[[], None], *, deadly: bool) -> Lookup:
        lookup = Lookup(self, then, deadly=deadly)
        lookup.safe = {
            process.name
            for process in self.processes
            if process.healthy
            and process.registration is not None
            and process.registration.state is State.UP
        }
        self.began += 1
        self.lookups.add(lookup)
        self.dispatcher.submit(lookup)
        return lookup

    def end(self, lookup: Lookup) -> None:
        """A lookup is over."""
        self.lookups.discard(lookup)
        lookup.then()

    def judge(self, lookup: Lookup, error: LookupFailed) -> None:
        """A lookup has failed: was a promise broken?"""
        self.errors.append(error)
        if isinstance(error, PoisonLookup) and not lookup.deadly:
            self.broken_promises.append(f"an innocent lookup: {error}")
        elif lookup.safe and not isinstance(error, PoisonLookup):
            took = self.now - lookup.began
            self.broken_promises.append(
                f"{error} after {took:.3f} s, while {sorted(lookup.safe)} were healthy"
            )
        elif isinstance(error, NoWorkers) and self.registry.available:
            self.broken_promises.append("no_workers while there are workers")

    def sent(self, lookup: Lookup, worker: Worker) -> None:
        """A lookup is on its way to a worker; for worlds that differ."""

    def prove(self, link: Link, process: Process, pending: Pending) -> None:
        """The question whether it is alive arrives at a worker."""
        if process.frozen:
            process.held.append(functools.partial(self.prove, link, process, pending))
        elif process.alive:
            self.after(self.WIRE, functools.partial(link.reply, pending, b"alive"))

    def arrive(self, link: Link, process: Process, lookup: Lookup, pending: Pending) -> None:
        """A lookup arrives at a worker. A dead one answers nothing: its connection will end."""

        def work() -> None:
            process.busy += 1
            self.after(self.random.expovariate(1 / process.service), finish)

        def finish() -> None:
            if process.frozen:
                process.held.append(finish)
                return
            process.busy -= 1
            if process.queue:
                process.queue.pop(0)()
            if process.alive:
                self.after(self.WIRE, functools.partial(link.reply, pending, ANSWER))

        if process.frozen:
            process.held.append(functools.partial(self.arrive, link, process, lookup, pending))
        elif not process.alive:
            return
        elif lookup.deadly:
            lookup.victims.append(process.name)
            self.kill(process)
        elif process.failing:
            refusal = ("internal", "it fails")
            self.after(0.0001, functools.partial(link.reply, pending, refusal))
        elif process.busy >= process.cores:
            process.queue.append(work)
        else:
            work()

    def rest(self) -> None:
        """No more lookups; those under way come to their end."""
        self.closed = True
        self.run(self.TIMEOUT + 1.0)

    def client(self, pause: float = 0.0) -> None:
        """A client that asks, waits for its answer, thinks for about `pause` s, and asks again."""

        def again() -> None:
            if self.closed:
                return
            think = self.random.expovariate(1 / pause) if pause else 1e-6
            self.after(think, lambda: self.ask(again))

        again()

    def arrivals(self, per_s: float) -> None:
        """Clients that do not wait for each other: `per_s` lookups a second, at random."""

        def next_one() -> None:
            self.ask()
            self.after(self.random.expovariate(per_s), next_one)

        self.after(self.random.expovariate(per_s), next_one)
