"""Who is registered: the registry kept true by registrations, probes and ends of connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from random import Random

from nodes.dispatch.dispatcher import TICK_S, Dispatcher
from nodes.errors import Conflict
from nodes.fleet.control import FleetControl, NoFleet
from nodes.master.events import EventLog
from nodes.master.health import HealthWatch
from nodes.master.lag import Lag
from nodes.master.probes import Prober
from nodes.master.served_catalog import ServedCatalog
from nodes.routing import AddressHeld, GivenUp, Policy, Registry, Router, State, Worker
from nodes.routing.slowness import SlowWorkers
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind
from nodes.support.program import other_program
from nodes.support.silence import Absence
from nodes.support.supervision import AT_ONCE, Supervision, shielded
from nodes.support.text import excerpt
from nodes.support.version import VERSION
from nodes.transport import LinkLost, PeerConnection, Value
from nodes.wire import (
    MAX_REFUSAL_CHARS,
    Description,
    ProbeAnswer,
    Registered,
    Registration,
)

LOOK_AGAIN_S = 0.25
"""Seconds after which a worker that is expected is asked after again: it may not come."""

RETURNS_WITHIN_S = 3.0
"""Seconds within which a worker that missed too many probes, yet lives, registers again."""


class Membership:
    """The registry, the dispatcher over it, and the connection of each worker. For one event loop.

    Args:
        policy: who gets the next lookup.
        events: where changes are written down.
        description: what the workers to come will serve, if it is known before the first.
        random: for jitter.
        loop: that all of it runs on.
        executor: for what would hold up the loop.

    Attributes:
        fleet: the launcher's; see `led_by`.
        served: which catalog is served.
        slow: which workers are slow.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        events: EventLog,
        description: Description | None,
        random: Random,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
    ) -> None:
        self.fleet: FleetControl = NoFleet()
        self._loop = loop
        self._executor = executor
        self._rejoin_until = 0.0
        self._closed = False
        self._changed = asyncio.Event()
        self._ticking = False
        self._absence = Absence()
        self.events = events
        self.registry = Registry(listener=self._note, random=random)
        self.served = ServedCatalog(self.registry, description)
        self.router = Router(registry=self.registry, policy=policy)
        self.health = HealthWatch(self.router)
        self.slow = SlowWorkers()
        self.dispatcher = Dispatcher(
            router=self.router,
            clock=time.monotonic,
            wake=self._wake_dispatcher,
            expecting=self.expecting,
        )
        self._tick = shielded(
            self.dispatcher.tick, Supervision("the look at calls", events.trouble, backoff=AT_ONCE)
        )
        self.lag = Lag()
        self._connections: dict[int, PeerConnection] = {}
        self._prober = Prober(
            self.dispatcher,
            answered=self._proved,
            missed=self._missed,
            later=loop.call_later,
            report=events.trouble,
        )

    def _wake_dispatcher(self) -> None:
        if not self._ticking:
            self._ticking = True
            due_at = self._loop.time() + TICK_S
            self._loop.call_at(due_at, self._tick_dispatcher, due_at)

    def _tick_dispatcher(self, due_at: float) -> None:
        self._ticking = False
        if not self._absence.noticed(self._loop.time() - due_at):
            self._tick()
        if self.dispatcher.under_way:
            self._wake_dispatcher()

    def led_by(self, fleet: FleetControl) -> None:
        """That fleet runs the local workers, and says what is served. To be said before the first
        worker registers.
        """
        self.fleet = fleet
        self.registry.local.supervised = True
        self.served.fixed = fleet.says_what_is_served

    def expect_until(self, moment: float) -> None:
        """Workers of an earlier master are looking for this one, until then (monotonic)."""
        self._rejoin_until = moment

    def expecting(self) -> bool:
        """Whether a worker is about to register."""
        if self._closed:
            return False
        now = time.monotonic()
        return (
            now < self._rejoin_until
            or now < self.registry.given_up_at + RETURNS_WITHIN_S
            or self.registry.local.expected(now)
        )

    async def wait_for_worker(self, timeout_s: float) -> None:
        """Waits up to so many seconds for a worker, as long as one is expected."""
        deadline = time.monotonic() + timeout_s
        while not self.registry.available and self.expecting() and time.monotonic() < deadline:
            await self.wait_changed(min(deadline - time.monotonic(), LOOK_AGAIN_S))

    async def wait_changed(self, timeout_s: float) -> None:
        """Waits until something has changed here, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)

    def changed(self) -> None:
        """Something has changed: who waits for that goes on."""
        self.dispatcher.changed()
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether nobody can register any more."""
        return self._closed

    def close(self) -> None:
        """Nobody can register any more: nobody is waited for."""
        self._closed = True

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened to a worker, or to the cluster ("")."""
        self.events.note(kind, worker_id, text)

    def _note(self, kind: EventKind, worker: Worker, text: str) -> None:
        self.events.note(kind, worker.id, text)

    def look(self, now: float) -> None:
        """Sends the probes that are due, and sees who is slow. To be called several times a
        second.
        """
        self._prober.look(self.registry.live(), now)
        self.slow.look(self.registry.available, now)

    def look_around(self, now: float) -> None:
        """Works out anew what follows from all workers together. To be called each second."""
        self.succeed(now)
        self.registry.purge(now)
        for kind, text in self.health.look(now):
            self.note(kind, "", text)

    # -- for workers ------------------------------------------------------------

    def register(self, registration: Registration, connection: PeerConnection) -> Registered:
        """A worker registered.

        Args:
            registration: what it says of itself.
            connection: that it registered on, and is sent lookups on.

        Raises:
            Conflict: a live worker holds its address, or serves another dataset, or its launcher
                took it for ended.
        """
        self.served.check(registration.catalog)
        self.served.offer(registration.catalog, time.monotonic())
        before = {worker.generation for worker in self.registry.live()}
        try:
            worker = self.registry.register(
                wanted_id=registration.wanted_id,
                instance=registration.instance,
                address=Address(registration.host, registration.port),
                pid=registration.pid,
                version=registration.catalog.version,
                now=time.monotonic(),
                in_store=registration.catalog.in_store,
                program=registration.program,
            )
        except GivenUp:
            raise Conflict(
                "its launcher could not reach its machine, and started another in its place: this "
                "one is to end"
            ) from None
        except AddressHeld as held:
            raise Conflict(
                f"{held.holder.address} is held by {held.holder.id} (pid {held.holder.pid}), "
                "which is alive; choose another port"
            ) from held
        for generation in before - {other.generation for other in self.registry.live()}:
            self._let_go(generation)
        self._connections[worker.generation] = connection
        self.dispatcher.joined(worker, connection.requester)
        self._prober.probe(worker, time.monotonic())
        if difference := other_program(f"worker {worker.id}", worker.program):
            self.note(EventKind.OTHER_VERSION, worker.id, difference)
        self.changed()
        unready = worker.why if worker.state is State.UNREADY else ""
        serves = "" if self.description is None else self.description.version
        return Registered(
            worker.id, worker.generation, unready=unready, serves=serves, program=VERSION
        )

    # -- what is served -----------------------------------------------------------

    @property
    def description(self) -> Description | None:
        """What is served, None while nobody has said so."""
        return self.served.description

    def serves(self, description: Description) -> None:
        """That is what is served from now on; a worker with another catalog gets no lookups."""
        self.served.serve(description, time.monotonic())
        self.changed()

    def accepts(self, version: str) -> None:
        """Workers are about to switch to that version: both are served until all have."""
        self.served.accept(version, time.monotonic())
        self.changed()

    def succeed(self, now: float) -> None:
        """Serves another catalog, where nobody is left with the one that is served. To be called
        whenever a worker has left.
        """
        following = self.served.succeed(now)
        if following is not None:
            said = f"catalog {following.version}, as nobody is left with another"
            self.note(EventKind.SERVES, "", said)
            self.changed()

    def has(self, generation: int) -> bool:
        """Whether that registration is not over."""
        return self.registry.has(generation)

    def is_local(self, worker_id: str) -> bool:
        """Whether that worker is one of the fleet's."""
        return worker_id in self.registry.local

    def leave(self, generation: int) -> int:
        """A worker wants no more lookups. Returns how many it still has to answer."""
        self.registry.drain(generation, "it leaves", time.monotonic())
        self.succeed(time.monotonic())
        self.changed()
        for worker in self.registry.live():
            if worker.generation == generation:
                return worker.in_flight
        return 0

    def gone(self, generation: int, why: str) -> None:
        """A registration is over, because its connection is."""
        self.end(lambda now: self.registry.connection_ended(generation, why, now))

    def end(self, decide: Callable[[float], Worker | None]) -> None:
        """Ends the registration that `decide` finds to be over at the time it is given, if any."""
        worker = decide(time.monotonic())
        if worker is not None:
            self._let_go(worker.generation)
        self.changed()

    def _let_go(self, generation: int) -> None:
        """Closes what is open to a registration that is over: whoever waits is rerouted, and
        a worker that was only frozen finds its connection ended, and registers again.
        """
        self.dispatcher.left(generation)
        connection = self._connections.pop(generation, None)
        if connection is not None:
            connection.requester.lose(LinkLost("its registration is over"))
            connection.abort()

    async def ask(self, worker: Worker, verb: str, *args: Value, timeout_s: float) -> Value:
        """Calls a verb of that worker. Raises `TransportError`."""
        connection = self._connections.get(worker.generation)
        if connection is None:
            raise LinkLost("its registration is over")
        return await connection.call(verb, *args, timeout_s=timeout_s)

    # -- probes -------------------------------------------------------------------

    def _missed(self, worker: Worker, why: str) -> None:
        generation, stretch = worker.generation, self.lag.stretch
        self.end(lambda now: self.registry.probe_missed(generation, why, now, patience=stretch))

    def _proved(self, worker: Worker, report: ProbeAnswer) -> None:
        served, in_flight, _errors, version, cpu, memory, trouble = report
        if self.registry.probe_answered(
            worker.generation,
            version=version,
            cpu=cpu,
            memory=memory,
            now=time.monotonic(),
            direct=(served, in_flight),
            trouble=excerpt(trouble, MAX_REFUSAL_CHARS),
        ):
            self.changed()
        if self.is_local(worker.id):
            # It may have to wait for an operation of the fleet that is under way.
            measured = (worker.id, worker.instance, memory)
            self._loop.run_in_executor(self._executor, self.fleet.memory_measured, *measured)
