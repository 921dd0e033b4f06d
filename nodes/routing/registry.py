"""The registry: every worker there is, in which state, with how much to do.

It holds the registrations and the local workers' processes, and what happens to one that matters
to the other. Decided from events, without I/O; the states are in `nodes.routing.states`.

Not thread-safe: whoever holds a `Registry` holds a lock around it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from random import Random

from nodes.routing.breaker import Breaker
from nodes.routing.ewma import PeakEwma
from nodes.routing.local import LocalWorkers, ProcessEvent
from nodes.routing.poison import Deaths
from nodes.routing.refusals import AddressHeld, GivenUp
from nodes.routing.registrations import Registrations
from nodes.routing.states import ENDS, IN_ROTATION, Change, ProcessChange, State
from nodes.routing.tally import direct_lookups
from nodes.routing.worker import Listener, Worker
from nodes.support.addresses import Address
from nodes.support.event_kinds import EventKind

LEFT = "it left, as it was to"
KILLED = "killed by an operator"
"""Why a worker is down whose connection ended after it was drained, and after it was killed."""


class Registry(Registrations):
    """All registrations, newest generation last, and what may happen to them."""

    SUSPECT_AFTER = 1
    DOWN_AFTER = 4

    def __init__(self, *, listener: Listener, random: Random) -> None:
        super().__init__()
        self.available: tuple[Worker, ...] = ()
        """Every worker that may be sent a lookup: looked at for each, and seldom another."""
        self.moved: set[Worker] = set()
        """Workers that may come sooner than they did for the next lookup; see `Router`."""
        self.local = LocalWorkers()
        self._generation = 0
        self.direct = 0
        """Lookups that all workers there ever were have answered, and not through here."""
        self.deaths = Deaths()
        self.given_up_at = -math.inf
        """When a worker last missed too many probes (seconds). Where its process lives, as on a
        machine that had no time for it, it registers again."""
        self._versions: frozenset[str] = frozenset()
        self._listener = listener
        self._random = random

    def versions(self) -> tuple[str, ...]:
        """The versions of the catalog that are served now, in order."""
        return tuple(sorted({worker.version for worker in self.available}))

    # -- coming and going -----------------------------------------------------

    def reserve(self, now: float) -> str:
        """An id for a local worker that will register later: no other gets it."""
        worker_id = self._next_id()
        self.local.add(worker_id, now)
        return worker_id

    def reserve_again(self, worker_id: str, now: float) -> bool:
        """The same with the id of one that is gone; False if another has it by now."""
        held = self.get(worker_id)
        if worker_id in self.local or (held is not None and held.live):
            return False
        self.local.add(worker_id, now)
        return True

    def register(
        self,
        *,
        wanted_id: str,
        instance: str,
        address: Address,
        pid: int,
        version: str,
        now: float,
        in_store: bool = False,
        program: str = "",
    ) -> Worker:
        """A worker registered. The same process registering again replaces itself.

        It gets `wanted_id` unless a live worker has it, or it is kept for another process.

        Raises:
            AddressHeld: another process registered that address, and lives.
            GivenUp: its fleet took it for ended.
        """
        if self.local.has_ended(instance):
            raise GivenUp
        for other in self.live():
            if other.instance == instance:
                self.lost(other.generation, "registered again", now)
            elif other.address == address:
                raise AddressHeld(other)
        held = self.get(wanted_id)
        free = bool(wanted_id) and (held is None or not held.live)
        free = free and self.local.may_have(wanted_id, instance)
        self._generation += 1
        level = min((w.performed for w in self.available), default=0)
        worker = Worker(
            id=wanted_id if free else self._next_id(),
            generation=self._generation,
            instance=instance,
            address=address,
            pid=pid,
            version=version,
            head_start=level,
            registered_at=now,
            breaker=Breaker(self._random),
            listener=self._listener,
            moved=self.moved,
            in_store=in_store,
            program=program,
            direct_before=direct_lookups(instance, self),
        )
        self._add(worker)
        self._tell_local(worker, ProcessChange.REGISTERED, "", now)
        self._listener(EventKind.REGISTERED, worker, f"at {worker.address}, pid {pid}")
        self.available += (worker,)
        self._place(worker, now)
        return worker

    def serve(self, versions: Collection[str], now: float) -> None:
        """Those versions of the catalog are served from now on: several while workers switch from
        one to the next, any if there are none. No other is sent a lookup.
        """
        self._versions = frozenset(versions)
        for worker in self.live():
            self._place(worker, now)

    def switched(self, generation: int, version: str, now: float) -> None:
        """That worker has another catalog from now on."""
        worker = self._live.get(generation)
        if worker is not None and worker.version != version:
            worker.version = version
            self._place(worker, now)

    def _place(self, worker: Worker, now: float) -> None:
        """Out of rotation with a worker whose catalog is not served, and back with one whose is."""
        if not self._versions or worker.version in self._versions:
            if worker.state is State.UNREADY:
                self._change(worker, Change.SAME_CATALOG, f"serves catalog {worker.version}", now)
        elif worker.state is not State.UNREADY:
            served = " and ".join(sorted(self._versions))
            why = f"other catalog: it has {worker.version}, served is {served}"
            self._change(worker, Change.OTHER_CATALOG, why, now)

    def _change(self, worker: Worker, change: Change, why: str, now: float) -> bool:
        """Something happened to that worker; whether it changed its state, of which is told."""
        before = worker.state in IN_ROTATION
        kind = worker.change(change, why, now)
        if kind is None:
            return False
        if worker.state in (State.STARTING, State.UP):
            worker.why = ""  # nothing is wrong with it any more
        if (worker.state in IN_ROTATION) is not before:
            self.available = tuple(w for w in self._live.values() if w.state in IN_ROTATION)
        self._listener(kind, worker, why)
        return True

    def _next_id(self) -> str:
        number = 1
        while f"w{number}" in self._by_id or f"w{number}" in self.local:
            number += 1
        return f"w{number}"

    def lost(
        self, generation: int, why: str, now: float, *, died: bool | None = False
    ) -> Worker | None:
        """That registration is over. Idempotent; returns the worker if this ended it.

        Args:
            died: whether its process has ended by itself; None if its supervisor will tell. A
                worker that is given up, or registers again, did not die.
        """
        worker = self._live.pop(generation, None)
        if worker is None:
            return None
        if worker.state is not State.DRAINING:
            self._note_death(worker, died=died)
        if worker.dismissed:
            self._change(worker, Change.DISMISSED, KILLED, now)
        else:
            self._change(worker, Change.ENDED, why, now)
        return worker

    def connection_ended(self, generation: int, why: str, now: float) -> Worker | None:
        """The connection of that registration has ended, and so has its process, most likely.
        Returns the worker if this ended its registration.
        """
        worker = self._live.get(generation)
        if worker is None:
            return None
        if worker.state is State.DRAINING:
            why = LEFT
        told = self._tell_local(worker, ProcessChange.CONNECTION_ENDED, "its connection ended", now)
        # Nobody but its supervisor knows of a process more than that its connection ended.
        return self.lost(generation, why, now, died=None if told else True)

    def report(self, event: ProcessEvent, now: float) -> Worker | None:
        """Something happened to a local worker's process. Returns the worker whose registration
        this ended, if any: its end is better known from this than from its connection's end.
        """
        local = self.local.get(event.worker_id)
        if local is None:
            return None
        local.change(event, now)
        worker = self.get(event.worker_id)
        match event.change:
            case ProcessChange.ASKED_TO_LEAVE | ProcessChange.REPLACED:
                if worker is not None:
                    self.drain(worker.generation, event.why, now)
            case ProcessChange.KILLED:
                if worker is not None:
                    worker.dismissed = True
            case _ if event.change in ENDS:
                self.local.ended(event.instance)
                # With its machine, it did not die of anything that it was asked.
                died = event.change is not ProcessChange.MACHINE_LOST
                return self._exited(event.instance, event.why, now, died=died)
            case _:
                pass
        return None

    def _tell_local(self, worker: Worker, change: ProcessChange, why: str, now: float) -> bool:
        """Something happened to a registration: whether its process is a local worker's."""
        local = self.local.of_instance(worker.instance)
        if local is not None:
            local.change(ProcessEvent(worker.id, change, why), now)
        return local is not None

    def _exited(self, instance: str, why: str, now: float, *, died: bool) -> Worker | None:
        for worker in self.live():
            if worker.instance == instance:
                return self.lost(worker.generation, why, now, died=died)
        for worker in self._by_id.values():
            if worker.instance == instance:
                worker.why = KILLED if worker.dismissed else why
                if worker.died is None:
                    self._note_death(worker, died=died)
        return None

    def _note_death(self, worker: Worker, *, died: bool | None) -> None:
        worker.died = False if worker.dismissed else died
        if worker.died:
            self.deaths.add(worker)

    def drain(self, generation: int, why: str, now: float) -> Worker | None:
        """No new lookups to that worker. Returns it if this changed anything."""
        worker = self._live.get(generation)
        changed = worker is not None and self._change(worker, Change.ASKED_TO_LEAVE, why, now)
        return worker if changed else None

    def forget_gone(self) -> list[str]:
        """Forgets every worker that is down and that nobody means to start again. Returns their
        ids.
        """
        gone = [w.id for w in self._by_id.values() if not w.live and w.id not in self.local]
        for worker_id in gone:
            self._forget(worker_id)
        return gone

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
        trouble: str = "",
    ) -> bool:
        """A probe through the serving path came back, with the worker's report: its catalog's
        version, CPU in percent of one core, memory of its own in bytes, and how many lookups
        it has answered and is answering that did not come through here; and why it cannot ask the
        store of its records. Returns whether it is in another state or has another catalog than
        before.
        """
        worker = self._live.get(generation)
        if worker is None:
            return False
        self.direct += worker.note_probe(cpu=cpu, memory=memory, now=now, direct=direct)
        worker.note_trouble(trouble)
        before = (worker.state, worker.version)
        self.switched(generation, version, now)
        if worker.state is State.SUSPECT:
            # What was held against it was that it did not answer; it does.
            worker.latency = PeakEwma()
            worker.breaker = Breaker(self._random)
        self._change(worker, Change.PROBE_ANSWERED, "answers probes", now)
        return (worker.state, worker.version) != before

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
            self.given_up_at = now
            return self.lost(generation, f"missed {worker.misses} probes: {why}", now)
        if worker.misses >= self.SUSPECT_AFTER:
            self._change(worker, Change.PROBE_MISSED, why, now)
        return None
