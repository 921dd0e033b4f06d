"""Who is registered: the registry kept true by registrations, probes and ends of connections."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from random import Random

import psutil

from nodes.checks import is_probe_answer, is_refusal, is_version
from nodes.dispatch import Dispatcher, explain
from nodes.errors import Conflict, UnknownWorker
from nodes.events import EventLog
from nodes.routing import Address, AddressHeld, Policy, Registry, Router, Worker, panics
from nodes.routing.lag import Lag
from nodes.transport import ProtocolError, Secure, TransportError
from nodes.wire import Description, Registered, Registration

PROBE_EVERY = 1.0
PROBE_PATIENCE = 1.0
"""Seconds between two probes of one worker, and how long one may take."""

SWITCH_TIME = 5.0
"""Seconds that a worker may take to open another catalog."""

TICK = 0.25
TICKS_PER_REFRESH = 4
"""Seconds between two looks at itself, and how many of them lie between two refreshes."""


class Roster:
    """The registry, its lock, the dispatcher over it, and a prober for each worker.

    Arguments (keyword only):
        policy: who gets the next lookup.
        events: where changes are written down.
        description: what the workers to come will serve, if it is known before the first.
        random: for jitter.
        tls: how workers are checked when they are dialled; None for no TLS.

    Attributes:
        fixed: whether what is served is the launcher's to say, and no worker's.
        claim: asked before an id is given to a process, "may it have that one?". A launcher
            keeps the ids of its own workers for them.
        expecting: asked when nobody is left, "is a worker about to register?".
        missed: told of the id and process of a worker whose connection ended unasked.
        weighed: told of the id, process and memory in bytes of a worker, at each probe.
        each_second: called about so often, to look after what else may have changed.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        events: EventLog,
        description: Description | None,
        random: Random,
        tls: Secure | None = None,
    ) -> None:
        self.description = description
        self.fixed = False
        self.events = events
        self.registry = Registry(listener=self._note, random=random)
        self.claim: Callable[[str, int], bool] = lambda _id, _pid: True
        self.expecting: Callable[[], bool] = lambda: False
        self.missed: Callable[[str, int], None] = lambda _id, _pid: None
        self.weighed: Callable[[str, int, int], None] = lambda _id, _pid, _bytes: None
        self.each_second: Callable[[], None] = lambda: None
        self.router = Router(registry=self.registry, policy=policy)
        self.panicking = False
        self.dispatcher = Dispatcher(
            router=self.router,
            # Looked up at each call: a launcher replaces it.
            expecting=lambda: self.expecting(),  # noqa: PLW0108
            tls=tls,
        )
        self.changed = self.dispatcher.changed
        self.lag = Lag()
        self._hang_up: dict[int, Callable[[], None]] = {}
        self._probers: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def start(self) -> None:
        """Begins to watch itself. Workers may register before."""
        self._ticker.start()

    def stop(self) -> None:
        """Closes every lane and joins the probers."""
        self._stopping.set()
        self.dispatcher.close()
        for prober in list(self._probers):
            prober.join(PROBE_PATIENCE + 1.0)
        if self._ticker.is_alive():
            self._ticker.join(1.0)

    # -- for workers ------------------------------------------------------------

    def register(self, registration: Registration, hang_up: Callable[[], None]) -> Registered:
        """A worker registered.

        Arguments:
            registration: what it says of itself.
            hang_up: ends the connection that it registered on.

        Raises:
            Conflict: a live worker holds its address, or serves another dataset.
        """
        wanted = registration.wanted_id
        if not self.claim(wanted, registration.pid):
            wanted = ""
        with self.changed:
            self._check_dataset(registration.catalog)
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
            if not self.fixed:
                self.description = registration.catalog
            replaced = before - {other.generation for other in self.registry.live()}
            self.changed.notify_all()
        for generation in replaced:
            self._let_go(generation)
        self._start_probing(worker)
        return Registered(worker.id, worker.generation)

    def _check_dataset(self, offered: Description) -> None:
        for worker in self.registry.live():
            if self.description is not None and self.description.dataset != offered.dataset:
                raise Conflict(
                    f"this cluster serves the dataset {self.description.dataset!r} "
                    f"({worker.id} is alive), not {offered.dataset!r}"
                )

    def has(self, generation: int) -> bool:
        """Whether that registration is not over."""
        with self.changed:
            return any(worker.generation == generation for worker in self.registry.live())

    def leave(self, generation: int) -> int:
        """A worker wants no more lookups. Returns how many it still has to answer."""
        with self.changed:
            self.registry.drain(generation, "it leaves", time.monotonic())
            for worker in self.registry.live():
                if worker.generation == generation:
                    return worker.in_flight
        return 0

    def gone(self, generation: int, why: str) -> None:
        """A registration is over, because its connection is."""

        def decide(now: float) -> Worker | None:
            worker = self.registry.lost(generation, why, now)
            if worker is not None:
                self.missed(worker.id, worker.pid)
            return worker

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

    def exited(self, pid: int, why: str) -> None:
        """A worker's process is known to have ended, and why."""
        self._lost(lambda now: self.registry.exited(pid, why, now))

    def draining(self, worker_id: str, why: str) -> None:
        """From now on, no new lookups to that worker."""
        with self.changed:
            worker = self.registry.get(worker_id)
            if worker is not None:
                self.registry.drain(worker.generation, why, time.monotonic())

    def note(self, kind: str, worker_id: str, text: str) -> None:
        """Something happened to a worker, or to the cluster ("")."""
        self.events.note(kind, worker_id, text)

    def _note(self, kind: str, worker: Worker, text: str) -> None:
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
        # One that does not hear it is not sent lookups either, and its probes end it.
        with contextlib.suppress(TransportError):
            self.dispatcher.direct(worker, "retire", (worker.instance,), timeout=PROBE_PATIENCE)

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
            reply = self.dispatcher.direct(
                worker, "switch", (worker.instance, path), timeout=SWITCH_TIME
            )
            if is_refusal(reply):
                return explain(worker, reply)
            if not is_version(reply):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            return explain(worker, error)
        with self.changed:
            worker.version = reply
        return ""

    def serves(self, description: Description) -> None:
        """That is what all workers serve from now on."""
        self.description = description

    # -- itself -------------------------------------------------------------------

    def _tick(self) -> None:
        """Measures how late this process runs, and works out anew what follows from the
        figures of all workers together.
        """
        asked = time.monotonic()
        ticks = 0
        while not self._stopping.wait(TICK):
            now = time.monotonic()
            self.lag.note(now - asked - TICK, psutil.cpu_percent(None))
            ticks += 1
            if ticks % TICKS_PER_REFRESH == 0:
                self._refresh(now)
                self.each_second()
            asked = time.monotonic()

    def _refresh(self, now: float) -> None:
        with self.changed:
            self.router.refresh(now)
            panicking = panics(self.registry, now)
            changed, self.panicking = panicking is not self.panicking, panicking
            budgets = {"hedges_spent": self.router.hedging, "retries_spent": self.router.retrying}
            spent = [kind for kind, budget in budgets.items() if budget.ran_out()]
        for kind in spent:
            self.note(kind, "", "more lookups are late, or fail, than that budget covers")
        if changed and panicking:
            self.note("panic", "", "most workers fail: all of them are tried, breakers or not")
        elif changed:
            self.note("calm", "", "most workers answer: breakers are honoured again")

    # -- probes -------------------------------------------------------------------

    def _start_probing(self, worker: Worker) -> None:
        prober = threading.Thread(
            target=self._keep_probing, args=(worker,), name=f"probe-{worker.id}", daemon=True
        )
        self._probers.add(prober)
        prober.start()

    def _keep_probing(self, worker: Worker) -> None:
        """Probes one worker through the path that serves lookups, until it is gone."""
        try:
            while worker.live and not self._stopping.is_set():
                began = time.monotonic()
                self._probe(worker)
                self._stopping.wait(max(0.0, PROBE_EVERY - (time.monotonic() - began)))
        finally:
            self._probers.discard(threading.current_thread())

    def _probe(self, worker: Worker) -> None:
        try:
            report = self.dispatcher.direct(worker, "probe", (), timeout=PROBE_PATIENCE)
            if not is_probe_answer(report):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            why = explain(worker, error)
            stretch = self.lag.stretch
            self._lost(
                lambda now: self.registry.probe_missed(
                    worker.generation, why, now, patience=stretch
                )
            )
            return
        with self.changed:
            served, in_flight, _errors, version, cpu, memory = report
            self.registry.probe_answered(
                worker.generation, version=version, cpu=cpu, memory=memory,
                now=time.monotonic(), elsewhere=(served, in_flight),
            )  # fmt: skip
            self.registry.purge(time.monotonic())
            self.changed.notify_all()
        self.weighed(worker.id, worker.pid, memory)
