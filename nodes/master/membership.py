"""Who is registered: the registry kept true by registrations, probes and ends of connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from nodes.dispatch.dispatcher import Dispatcher
from nodes.errors import Conflict
from nodes.fleet.control import FleetControl, NoFleet
from nodes.master.events import EventLog
from nodes.master.health import HealthWatch
from nodes.master.lag import Lag
from nodes.master.probes import Prober
from nodes.master.served_catalog import ServedCatalog
from nodes.master.ticker import Ticker
from nodes.routing import Address, AddressHeld, Policy, Registry, Router, State, Worker
from nodes.support.event_kinds import EventKind
from nodes.transport import Secure
from nodes.wire import Description, ProbeAnswer, Registered, Registration


class Membership:
    """The registry, its lock, the dispatcher over it, and a prober for each worker.

    Args:
        policy: who gets the next lookup.
        events: where changes are written down.
        description: what the workers to come will serve, if it is known before the first.
        random: for jitter.
        tls: how workers are checked when they are dialled; None for no TLS.
        each_second: called about so often, to look after what else may have changed.

    Attributes:
        fleet: the launcher's; see `led_by`.
        changed: the lock over the registry and all that is decided from it.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        events: EventLog,
        description: Description | None,
        random: Random,
        tls: Secure | None = None,
        each_second: Callable[[], None] = lambda: None,
    ) -> None:
        self.fleet: FleetControl = NoFleet()
        self._rejoin_until = 0.0
        self._closed = False
        self.events = events
        self.registry = Registry(listener=self._note, random=random)
        self._served = ServedCatalog(self.registry, description)
        self._each_second = each_second
        self.router = Router(registry=self.registry, policy=policy)
        self.health = HealthWatch(self.router)
        self.dispatcher = Dispatcher(router=self.router, expecting=self.expecting, tls=tls)
        self.changed = self.dispatcher.changed
        self.lag = Lag()
        self._hang_up: dict[int, Callable[[], None]] = {}
        self._prober = Prober(self.dispatcher, answered=self._proved, missed=self._missed)
        self._ticker = Ticker(self.lag, self._tick)

    def led_by(self, fleet: FleetControl) -> None:
        """That fleet runs the local workers, and says what is served. To be said before the first
        worker registers.
        """
        self.fleet = fleet
        with self.changed:
            self.registry.local.supervised = True
            self._served.fixed = fleet.says_what_is_served

    def expect_until(self, moment: float) -> None:
        """Workers of an earlier master are looking for this one, until then (monotonic)."""
        self._rejoin_until = moment

    def expecting(self) -> bool:
        """Whether a worker is about to register."""
        if self._closed:
            return False
        now = time.monotonic()
        with self.changed:
            return now < self._rejoin_until or self.registry.local.expected(now)

    def close(self) -> None:
        """Nobody can register any more: nobody is waited for."""
        self._closed = True

    def start(self) -> None:
        """Begins to watch itself. Workers may register before."""
        self._ticker.start()

    def stop(self) -> None:
        """Closes every lane and joins the probers."""
        self.dispatcher.close()
        self._prober.stop()
        self._ticker.stop()

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened to a worker, or to the cluster ("")."""
        self.events.note(kind, worker_id, text)

    def _note(self, kind: EventKind, worker: Worker, text: str) -> None:
        self.events.note(kind, worker.id, text)

    def _tick(self, now: float) -> None:
        with self.changed:
            self.succeed(now)
            news = self.health.look(now)
        for kind, text in news:
            self.note(kind, "", text)
        self._each_second()

    # -- for workers ------------------------------------------------------------

    def register(self, registration: Registration, hang_up: Callable[[], None]) -> Registered:
        """A worker registered.

        Args:
            registration: what it says of itself.
            hang_up: ends the connection that it registered on.

        Raises:
            Conflict: a live worker holds its address, or serves another dataset.
        """
        with self.changed:
            self._served.check(registration.catalog)
            self._served.offer(registration.catalog, time.monotonic())
            before = {worker.generation for worker in self.registry.live()}
            try:
                worker = self.registry.register(
                    wanted_id=registration.wanted_id,
                    instance=registration.instance,
                    address=Address(registration.host, registration.port),
                    pid=registration.pid,
                    version=registration.catalog.version,
                    now=time.monotonic(),
                )
            except AddressHeld as held:
                raise Conflict(
                    f"{held.holder.address} is held by {held.holder.id} (pid {held.holder.pid}), "
                    "which is alive; choose another port"
                ) from held
            self.dispatcher.joined(worker)
            self._hang_up[worker.generation] = hang_up
            replaced = before - {other.generation for other in self.registry.live()}
            self.changed.notify_all()
        for generation in replaced:
            self._let_go(generation)
        self._prober.start(worker)
        unready = worker.why if worker.state is State.UNREADY else ""
        return Registered(worker.id, worker.generation, unready=unready)

    # -- what is served -----------------------------------------------------------

    @property
    def description(self) -> Description | None:
        """What is served, None while nobody has said so."""
        return self._served.description

    def serves(self, description: Description) -> None:
        """That is what is served from now on; a worker with another catalog gets no lookups."""
        with self.changed:
            self._served.serve(description, time.monotonic())
            self.changed.notify_all()

    def accepts(self, version: str) -> None:
        """Workers are about to switch to that version: both are served until all have."""
        with self.changed:
            self._served.accept(version, time.monotonic())
            self.changed.notify_all()

    def succeed(self, now: float) -> None:
        """Serves another catalog, where nobody is left with the one that is served. Called with
        the lock held, whenever a worker has left.
        """
        following = self._served.succeed(now)
        if following is not None:
            said = f"catalog {following.version}, as nobody is left with another"
            self.note(EventKind.SERVES, "", said)
            self.changed.notify_all()

    def has(self, generation: int) -> bool:
        """Whether that registration is not over."""
        with self.changed:
            return any(worker.generation == generation for worker in self.registry.live())

    def is_local(self, worker_id: str) -> bool:
        """Whether that worker is one of the fleet's."""
        with self.changed:
            return worker_id in self.registry.local

    def leave(self, generation: int) -> int:
        """A worker wants no more lookups. Returns how many it still has to answer."""
        with self.changed:
            self.registry.drain(generation, "it leaves", time.monotonic())
            self.succeed(time.monotonic())
            for worker in self.registry.live():
                if worker.generation == generation:
                    return worker.in_flight
        return 0

    def gone(self, generation: int, why: str) -> None:
        """A registration is over, because its connection is."""
        self.end(lambda now: self.registry.connection_ended(generation, why, now))

    def end(self, decide: Callable[[float], Worker | None]) -> None:
        """Ends the registration that `decide` finds to be over at the time it is given, if any."""
        with self.changed:
            worker = decide(time.monotonic())
            self.changed.notify_all()
        if worker is not None:
            self._let_go(worker.generation)

    def _let_go(self, generation: int) -> None:
        """Closes what is open to a registration that is over: whoever waits is rerouted, and
        a worker that was only frozen finds its connection ended, and registers again.
        """
        self.dispatcher.left(generation)
        hang_up = self._hang_up.pop(generation, None)
        if hang_up is not None:
            hang_up()

    # -- probes -------------------------------------------------------------------

    def _missed(self, worker: Worker, why: str) -> None:
        generation, stretch = worker.generation, self.lag.stretch
        self.end(lambda now: self.registry.probe_missed(generation, why, now, patience=stretch))

    def _proved(self, worker: Worker, report: ProbeAnswer) -> None:
        served, in_flight, _errors, version, cpu, memory = report
        with self.changed:
            self.registry.probe_answered(
                worker.generation,
                version=version,
                cpu=cpu,
                memory=memory,
                now=time.monotonic(),
                direct=(served, in_flight),
            )
            self.registry.purge(time.monotonic())
            self.changed.notify_all()
        self.fleet.memory_measured(worker.id, worker.instance, memory)
