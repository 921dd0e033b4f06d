"""Who is registered: the registry kept true by registrations, probes and ends of connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from random import Random

from nodes.dispatch.dispatcher import Dispatcher, explain
from nodes.dispatch.replies import is_refusal, is_version
from nodes.errors import Conflict, UnknownWorker
from nodes.fleet.control import FleetControl, NoFleet
from nodes.fleet.fleet import Placed
from nodes.master.events import EventLog
from nodes.master.lag import Lag
from nodes.master.probes import PROBE_TIMEOUT_S, Prober
from nodes.master.served_catalog import ServedCatalog
from nodes.master.ticker import Ticker
from nodes.routing import Address, AddressHeld, Policy, Registry, Router, State, Worker, panics
from nodes.support.event_kinds import EventKind
from nodes.transport import ProtocolError, Secure, TransportError
from nodes.wire import Description, ProbeAnswer, Registered, Registration

SWITCH_TIME = 5.0
"""Seconds that a worker may take to open another catalog."""


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
        self.panicking = False
        self.dispatcher = Dispatcher(router=self.router, expecting=self.expecting, tls=tls)
        self.changed = self.dispatcher.changed
        self.lag = Lag()
        self._hang_up: dict[int, Callable[[], None]] = {}
        self._prober = Prober(self.dispatcher, answered=self._proved, missed=self._missed)
        self._ticker = Ticker(self.lag, self._refresh)

    def led_by(self, fleet: FleetControl) -> None:
        """That fleet keeps the ids of its own workers for them, says who is about to register and
        who has died, and what is served. To be said before the first worker registers.
        """
        self.fleet = fleet
        self._served.fixed = fleet.says_what_is_served

    def expect_until(self, moment: float) -> None:
        """Workers of an earlier master are looking for this one, until then (monotonic)."""
        self._rejoin_until = moment

    def expecting(self) -> bool:
        """Whether a worker is about to register."""
        if self._closed:
            return False
        return self.fleet.expecting() or time.monotonic() < self._rejoin_until

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

    # -- for workers ------------------------------------------------------------

    def register(self, registration: Registration, hang_up: Callable[[], None]) -> Registered:
        """A worker registered.

        Args:
            registration: what it says of itself.
            hang_up: ends the connection that it registered on.

        Raises:
            Conflict: a live worker holds its address, or serves another dataset.
        """
        wanted = registration.wanted_id
        if not self.fleet.may_have_id(wanted, registration.instance):
            wanted = ""
        with self.changed:
            self._served.check(registration.catalog)
            self._served.offer(registration.catalog, time.monotonic())
            before = {worker.generation for worker in self.registry.live()}
            try:
                worker = self.registry.register(
                    wanted_id=wanted,
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

    def _succeed(self, now: float) -> None:
        following = self._served.succeed(now)
        if following is not None:
            said = f"catalog {following.version}, as nobody is left with another"
            self.note(EventKind.SERVES, "", said)
            self.changed.notify_all()

    def placed(self) -> dict[str, Placed]:
        """Every live worker that stays, by id."""
        with self.changed:
            live = self.registry.live()
        return {
            one.id: Placed(one.address.host, one.version)
            for one in live
            if one.state is not State.DRAINING
        }

    def has(self, generation: int) -> bool:
        """Whether that registration is not over."""
        with self.changed:
            return any(worker.generation == generation for worker in self.registry.live())

    def leave(self, generation: int) -> int:
        """A worker wants no more lookups. Returns how many it still has to answer."""
        with self.changed:
            self.registry.drain(generation, "it leaves", time.monotonic())
            self._succeed(time.monotonic())
            for worker in self.registry.live():
                if worker.generation == generation:
                    return worker.in_flight
        return 0

    def gone(self, generation: int, why: str) -> None:
        """A registration is over, because its connection is."""

        def decide(now: float) -> Worker | None:
            live = {worker.generation: worker for worker in self.registry.live()}
            worker = live.get(generation)
            if worker is None:
                return None
            # Nobody but its launcher knows of a process more than that its connection ended.
            told = self.fleet.connection_ended(worker.id, worker.instance)
            return self.registry.lost(generation, why, now, died=None if told else True)

        self._lost(decide)

    def _lost(self, decide: Callable[[float], Worker | None]) -> None:
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

    # -- for the launcher -------------------------------------------------------

    def reserve(self) -> str:
        """An id for a worker that will register later."""
        with self.changed:
            return self.registry.reserve()

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""
        with self.changed:
            self.registry.release(worker_id)
            # Who waited for that worker waits in vain.
            self.changed.notify_all()

    def exited(self, instance: str, why: str) -> None:
        """The process of that registration is known to have ended, and why."""
        self._lost(lambda now: self.registry.exited(instance, why, now))

    def dismiss(self, worker_id: str) -> None:
        """An operator is about to end that worker."""
        with self.changed:
            self.registry.dismiss(worker_id)

    def draining(self, worker_id: str, why: str) -> None:
        """From now on, no new lookups to that worker."""
        with self.changed:
            worker = self.registry.get(worker_id)
            if worker is not None:
                self.registry.drain(worker.generation, why, time.monotonic())
                self._succeed(time.monotonic())

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened to a worker, or to the cluster ("")."""
        self.events.note(kind, worker_id, text)

    def _note(self, kind: EventKind, worker: Worker, text: str) -> None:
        self.events.note(kind, worker.id, text)

    # -- for operators ------------------------------------------------------------

    def retire(self, worker_id: str) -> None:
        """Has a worker that nobody here started drain and leave.

        Raises:
            UnknownWorker: no live worker has that id.
        """
        with self.changed:
            worker = self.registry.get(worker_id)
            if worker is None or not worker.live:
                raise UnknownWorker(f"no live worker is called {worker_id[:80]!r}")
            self.registry.drain(worker.generation, "by an operator", time.monotonic())
            self._succeed(time.monotonic())
        # One that does not hear it is not sent lookups either, and its probes end it.
        with contextlib.suppress(TransportError):
            self.dispatcher.call_worker(
                worker, "retire", (worker.instance,), timeout=PROBE_TIMEOUT_S
            )

    def switch(self, worker_id: str, path: str) -> str:
        """Has a worker serve the catalog at `path` from its next lookup on.

        Returns:
            Why it does not, "" if it does.
        """
        with self.changed:
            worker = self.registry.get(worker_id)
            if worker is None or not worker.live:
                return "it is not registered"
        try:
            reply = self.dispatcher.call_worker(
                worker, "switch", (worker.instance, path), timeout=SWITCH_TIME
            )
            if is_refusal(reply):
                return explain(worker, reply)
            if not is_version(reply):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            return explain(worker, error)
        with self.changed:
            self.registry.switched(worker.generation, reply, time.monotonic())
            self.changed.notify_all()
        return ""

    # -- itself -------------------------------------------------------------------

    def _refresh(self, now: float) -> None:
        """Works out anew what follows from the figures of all workers together."""
        with self.changed:
            self.router.refresh(now)
            self._succeed(now)
            panicking = panics(self.registry, now)
            changed, self.panicking = panicking is not self.panicking, panicking
            budgets = {
                EventKind.HEDGES_SPENT: self.router.hedging,
                EventKind.RETRIES_SPENT: self.router.retrying,
            }
            spent = [kind for kind, budget in budgets.items() if budget.ran_out()]
        for kind in spent:
            self.note(kind, "", "more lookups are late, or fail, than that budget covers")
        if changed and panicking:
            self.note(
                EventKind.PANIC, "", "most workers fail: all of them are tried, breakers or not"
            )
        elif changed:
            self.note(EventKind.CALM, "", "most workers answer: breakers are honoured again")
        self._each_second()

    # -- probes -------------------------------------------------------------------

    def _missed(self, worker: Worker, why: str) -> None:
        generation, stretch = worker.generation, self.lag.stretch
        self._lost(lambda now: self.registry.probe_missed(generation, why, now, patience=stretch))

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
