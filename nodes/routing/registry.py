"""Who is registered, in which state, with how much to do: decided from events, no I/O.

States:

    starting   registered, not yet proved by a probe
    up         answered its last probe
    suspect    missed one or two probes: picked last
    unready    has another catalog than the one that is served: no lookups until it has switched
    draining   no new lookups; leaves when its last one is answered
    down       missed three probes, or its registration ended; kept as a tombstone

Not thread-safe: whoever holds a `Registry` holds a lock around it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from random import Random
from typing import NamedTuple

from nodes.routing.breaker import Breaker
from nodes.routing.histogram import PeakEwma, WindowedHistogram
from nodes.routing.poison import Deaths


class State(StrEnum):
    """What a worker is, as its master sees it."""

    STARTING = "starting"
    UP = "up"
    SUSPECT = "suspect"
    UNREADY = "unready"
    DRAINING = "draining"
    DOWN = "down"


_RANK = {State.UP: 0, State.STARTING: 1, State.SUSPECT: 2}
"""Which are picked first; one that is `late` comes a rank later."""


class Address(NamedTuple):
    """Where a worker answers lookups."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressHeld(Exception):  # noqa: N818 - a finding, not a fault
    """Another live worker holds that address; `holder` is it."""

    def __init__(self, holder: Worker) -> None:
        super().__init__(f"{holder.address} is held by {holder.id}")
        self.holder = holder


class DirectCounts(NamedTuple):
    """Lookups of a worker that its master has no part in: answered so far, under way, a second."""

    served: int = 0
    in_flight: int = 0
    per_s: float = 0.0


class Worker:
    """One registration: from the moment a worker registers until it is purged."""

    __slots__ = (
        "address",
        "alive_at",
        "breaker",
        "cpu",
        "died",
        "direct",
        "dismissed",
        "errors",
        "figures",
        "generation",
        "has_suspect",
        "head_start",
        "id",
        "in_flight",
        "instance",
        "late",
        "latency",
        "memory",
        "misses",
        "pid",
        "probed_at",
        "probes_answered",
        "rank",
        "refusals",
        "registered_at",
        "served",
        "since",
        "state",
        "version",
        "why",
    )

    def __init__(
        self,
        *,
        worker_id: str,
        generation: int,
        instance: str,
        address: Address,
        pid: int,
        version: str,
        head_start: int,
        now: float,
        random: Random,
    ) -> None:
        self.id = worker_id
        self.generation = generation
        self.instance = instance
        self.address = address
        self.pid = pid
        self.version = version
        self.head_start = head_start
        self.registered_at = now
        self.in_flight = 0
        self.served = 0
        self.errors = 0
        self.refusals = 0
        """Lookups that it found wrong: for who is next, they are tasks performed."""
        self.cpu = 0.0
        self.memory = 0
        self.misses = 0
        self.probes_answered = 0
        """Probes that it has answered."""
        self.probed_at = now
        self.direct = DirectCounts()
        """What it does for clients that ask it themselves, as it said at its last probe."""
        self.alive_at = now
        """When the newest question that it has answered was asked: then it was alive."""
        self.has_suspect = False
        """It has a lookup that was on another worker as that one died."""
        self.dismissed = False
        """An operator ends it: nothing that it was asked is to blame."""
        self.died: bool | None = False
        """Its process ended, and nobody had told it to. None: that is not known yet."""
        self.late = False
        """It was late, and has answered nothing since."""
        self.latency = PeakEwma()
        self.figures = WindowedHistogram()
        self.breaker = Breaker(random)
        self.why = ""
        self.since = now
        self.state = State.STARTING
        self.rank = _RANK[State.STARTING]

    @property
    def live(self) -> bool:
        """Registered and not given up."""
        return self.state is not State.DOWN

    @property
    def performed(self) -> int:
        """Tasks performed, as they count for who is next."""
        return self.served + self.refusals + self.head_start

    def become(self, state: State, why: str, now: float) -> None:
        """Enters `state` for the reason `why`."""
        self.state = state
        self.rank = _RANK.get(state, 9)
        self.why = why
        self.since = now


Listener = Callable[[str, Worker, str], None]
"""`listener(kind, worker, text)`: told of each change worth an event."""


class Registry:
    """All registrations, newest generation last; tombstones included."""

    SUSPECT_AFTER = 1
    DOWN_AFTER = 3
    KEEP_TOMBSTONES = 300.0  # seconds
    MOST_TOMBSTONES = 200

    def __init__(self, *, listener: Listener, random: Random) -> None:
        self._workers: dict[str, Worker] = {}
        self._live: dict[int, Worker] = {}
        self.available: tuple[Worker, ...] = ()
        """Every worker that may be sent a lookup: looked at for each, and seldom another."""
        self._reserved: set[str] = set()
        self._generation = 0
        self.direct = 0
        """Lookups that all workers there ever were have answered, and not through here."""
        self.deaths = Deaths()
        self._versions: frozenset[str] = frozenset()
        self._listener = listener
        self._random = random

    # -- asking ---------------------------------------------------------------

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def get(self, worker_id: str) -> Worker | None:
        """The latest registration of that id, a tombstone included."""
        return self._workers.get(worker_id)

    def live(self) -> list[Worker]:
        """Every worker that has not been given up, draining ones included."""
        return list(self._live.values())

    # -- coming and going -----------------------------------------------------

    def reserve(self) -> str:
        """An id for a worker that will register later: given to no other until released."""
        worker_id = self._next_id()
        self._reserved.add(worker_id)
        return worker_id

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""
        self._reserved.discard(worker_id)

    def register(
        self,
        *,
        wanted_id: str,
        instance: str,
        address: Address,
        pid: int,
        version: str,
        now: float,
    ) -> Worker:
        """A worker registered. The same process registering again replaces itself.

        It gets `wanted_id` unless a live worker has it; whether a reserved id may be wanted
        is the caller's to check.

        Raises:
            AddressHeld: another process registered that address, and lives.
        """
        for other in self.live():
            if other.instance == instance:
                self.lost(other.generation, "registered again", now)
            elif other.address == address:
                raise AddressHeld(other)
        held = self._workers.get(wanted_id)
        free = bool(wanted_id) and (held is None or not held.live)
        self._generation += 1
        level = min((w.performed for w in self.available), default=0)
        worker = Worker(
            worker_id=wanted_id if free else self._next_id(),
            generation=self._generation,
            instance=instance,
            address=address,
            pid=pid,
            version=version,
            head_start=level,
            now=now,
            random=self._random,
        )
        self._workers.pop(worker.id, None)
        self._workers[worker.id] = worker
        self._live[worker.generation] = worker
        self._listener("registered", worker, f"at {worker.address}, pid {pid}")
        self._place(worker, now)
        self._sort_out()
        return worker

    def serve(self, versions: Collection[str], now: float) -> None:
        """Those versions of the catalog are served from now on: several while workers switch from
        one to the next, any if there are none. No other is sent a lookup.
        """
        self._versions = frozenset(versions)
        for worker in self.live():
            self._place(worker, now)
        self._sort_out()

    def switched(self, generation: int, version: str, now: float) -> None:
        """That worker has another catalog from now on."""
        worker = self._live.get(generation)
        if worker is not None and worker.version != version:
            worker.version = version
            self._place(worker, now)
            self._sort_out()

    def _place(self, worker: Worker, now: float) -> None:
        """Out of rotation with a worker whose catalog is not served, and back with one whose is."""
        fits = not self._versions or worker.version in self._versions
        if fits and worker.state is State.UNREADY:
            worker.become(State.STARTING, "", now)
            self._listener("ready", worker, f"serves catalog {worker.version}")
        elif not fits and worker.state in (State.STARTING, State.UP, State.SUSPECT):
            served = " and ".join(sorted(self._versions))
            why = f"other catalog: it has {worker.version}, served is {served}"
            worker.become(State.UNREADY, why, now)
            self._listener("other_catalog", worker, why)

    def _next_id(self) -> str:
        number = 1
        while f"w{number}" in self._workers or f"w{number}" in self._reserved:
            number += 1
        return f"w{number}"

    def lost(
        self, generation: int, why: str, now: float, *, died: bool | None = False
    ) -> Worker | None:
        """That registration is over. Idempotent; returns the worker if this ended it.

        Args:
            died: whether its process has ended by itself; None if `exited` will tell. A worker
                that is given up, or registers again, did not die.
        """
        worker = self._live.pop(generation, None)
        if worker is None:
            return None
        expected = worker.state is State.DRAINING
        worker.become(State.DOWN, why, now)
        if not expected:
            self._note_death(worker, died=died)
        self._sort_out()
        self._listener("left" if expected else "lost", worker, why)
        return worker

    def exited(self, instance: str, why: str, now: float) -> Worker | None:
        """The process of that registration is known to have ended, and why: better than what
        the end of a connection tells. Returns the worker if this ended its registration.
        """
        for worker in self.live():
            if worker.instance == instance:
                return self.lost(worker.generation, why, now, died=True)
        for worker in self._workers.values():
            if worker.instance == instance:
                worker.why = why
                if worker.died is None:
                    self._note_death(worker, died=True)
        return None

    def _note_death(self, worker: Worker, *, died: bool | None) -> None:
        worker.died = False if worker.dismissed else died
        if worker.died:
            self.deaths.add(worker)

    def dismiss(self, worker_id: str) -> None:
        """An operator ends the worker of that id: its death counts against no lookup."""
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.dismissed = True

    def drain(self, generation: int, why: str, now: float) -> Worker | None:
        """No new lookups to that worker. Returns it if this changed anything."""
        worker = self._live.get(generation)
        if worker is None or worker.state is State.DRAINING:
            return None
        worker.become(State.DRAINING, why, now)
        self._sort_out()
        self._listener("draining", worker, why)
        return worker

    def purge(self, now: float) -> None:
        """Forgets tombstones that are old, and the oldest when there are very many."""
        down = [w for w in self._workers.values() if not w.live]
        down.sort(key=lambda w: w.since)
        surplus = len(down) - self.MOST_TOMBSTONES
        for index, worker in enumerate(down):
            if index < surplus or now - worker.since > self.KEEP_TOMBSTONES:
                del self._workers[worker.id]

    def _sort_out(self) -> None:
        out = (State.DRAINING, State.UNREADY)
        self.available = tuple(w for w in self._live.values() if w.state not in out)

    # -- probes ---------------------------------------------------------------

    def probe_answered(
        self,
        generation: int,
        *,
        version: str,
        cpu: float,
        memory: int,
        now: float,
        direct: tuple[int, int] = (0, 0),
    ) -> None:
        """A probe through the serving path came back, with the worker's report: its catalog's
        version, CPU in percent of one core, memory of its own in bytes, and how many lookups
        it has answered and is answering that did not come through here.
        """
        worker = self._live.get(generation)
        if worker is None:
            return
        worker.misses = 0
        served, in_flight = direct
        fresh = max(0, served - worker.direct.served)
        spent = now - worker.probed_at
        worker.direct = DirectCounts(served, in_flight, fresh / spent if spent > 0 else 0.0)
        self.direct += fresh
        worker.probes_answered += 1
        worker.probed_at = now
        worker.late = False
        self.switched(generation, version, now)
        worker.cpu = cpu
        worker.memory = memory
        if worker.state in (State.STARTING, State.SUSPECT):
            kind = "proved" if worker.state is State.STARTING else "recovered"
            if worker.state is State.SUSPECT:
                # What was held against it was that it did not answer; it does.
                worker.latency = PeakEwma()
                worker.breaker = Breaker(self._random)
            worker.become(State.UP, "", now)
            self._listener(kind, worker, "answers probes")

    def probe_missed(
        self, generation: int, why: str, now: float, *, patience: float = 1.0
    ) -> Worker | None:
        """A probe failed. Returns the worker if that was one too many and it is now down.

        Args:
            patience: by how much more misses than usual are allowed, 1 or above: a machine
                with more to do than it can is no worker's fault.
        """
        worker = self._live.get(generation)
        if worker is None:
            return None
        worker.misses += 1
        if worker.misses >= self.DOWN_AFTER * patience:
            return self.lost(generation, f"missed {worker.misses} probes: {why}", now)
        if worker.misses >= self.SUSPECT_AFTER and worker.state in (State.UP, State.STARTING):
            worker.become(State.SUSPECT, why, now)
            self._listener("suspect", worker, why)
        return None

    # -- lookups --------------------------------------------------------------

    # `tasks` is how many lookups travel together: one, or a part of a batch.

    def began(self, worker: Worker, now: float, tasks: int = 1) -> None:
        """A lookup is about to be sent: counted before the send."""
        worker.in_flight += tasks
        if worker.breaker.failures:
            worker.breaker.began(now)

    def answered(self, worker: Worker, seconds: float, now: float, tasks: int = 1) -> None:
        """The lookup was answered after `seconds`."""
        worker.alive_at = max(worker.alive_at, now - seconds)
        worker.in_flight -= tasks
        worker.served += tasks
        worker.late = False
        if tasks == 1:
            # A batch says nothing of how quick the worker is at one.
            worker.latency.answered(seconds, now)
        worker.figures.add(seconds, now, tasks)
        if worker.breaker.failures and worker.breaker.succeeded():
            self._listener("breaker_closed", worker, "answers again")

    def failed(self, worker: Worker, seconds: float, why: str, now: float, tasks: int = 1) -> None:
        """The lookup failed after `seconds`: counted as slow, never as fast."""
        worker.in_flight -= tasks
        worker.errors += 1
        worker.latency.failed(max(seconds, 1.0), now)
        if worker.breaker.failed(now):
            self._listener("breaker_opened", worker, why)

    def overtaken(self, worker: Worker, seconds: float, now: float, tasks: int = 1) -> None:
        """Another was quicker, and the lookup was taken back after `seconds`: slow, no more."""
        worker.in_flight -= tasks
        worker.latency.failed(seconds, now)
        worker.breaker.released()

    def refused(self, worker: Worker, seconds: float, now: float, tasks: int = 1) -> None:
        """The worker found the lookup wrong: no fault of its own, and no reason to be next."""
        worker.refusals += tasks
        if tasks == 1:
            worker.latency.answered(seconds, now)
        self.released(worker, tasks)

    def released(self, worker: Worker, tasks: int = 1) -> None:
        """The lookup ended with no verdict on the worker."""
        worker.in_flight -= tasks
        worker.breaker.released()
