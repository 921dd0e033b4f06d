"""The local workers: which ids are kept for them, and what their processes are.

Decided from what their supervisor reports, without I/O. Not thread-safe: see `Registry`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from nodes.routing.states import BETWEEN_REGISTRATIONS, ENDS, PHASES, Phase, ProcessChange

REGISTERS_WITHIN_S = 10.0
"""Seconds within which a worker that was started, or lost its connection, should register."""


MAX_DEATHS = 32
"""Deaths of a worker that are remembered."""


MAX_ENDED = 512
"""Processes that are remembered to have ended."""


class ProcessEvent(msgspec.Struct, frozen=True):
    """Something happened to the process of a local worker.

    Args:
        worker_id: whose.
        change: what.
        why: in words, for people.
        instance: the secret by which the process is known, where one is started or has ended.
        pid: where one has been started.
        machine: where it is started, by its name.
        next_in_s: seconds after which another process follows, where one has ended.
    """

    worker_id: str
    change: ProcessChange
    why: str = ""
    instance: str = ""
    pid: int = 0
    machine: str = ""
    next_in_s: float = 0.0


class LocalWorker:
    """One local worker, across the processes that it is in turn. Times are monotonic, seconds."""

    __slots__ = (
        "_deaths",
        "frozen",
        "instance",
        "machine",
        "next_at",
        "phase",
        "pid",
        "registered",
        "restarts",
        "since",
        "why",
    )

    def __init__(self, now: float) -> None:
        self.phase = Phase.STARTING
        self.why = ""
        self.since = now
        self.instance = ""
        self.machine = ""
        self.pid = 0
        self.next_at = now
        """When its next process is started, where the last one has ended."""
        self.restarts = 0
        self.frozen = False
        self.registered = False
        """Whether its present process has ever registered."""
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    @property
    def wanted(self) -> bool:
        """Whether it is to go on, in this process or another."""
        return self.phase is not Phase.STOPPING

    def deaths_last_minute(self, now: float) -> int:
        """How often its process ended by itself in the last minute."""
        return sum(now - died <= 60.0 for died in self._deaths)

    def expected(self, now: float) -> bool:
        """Whether it is about to register."""
        if self.phase is Phase.REPLACING:
            return True
        return self.phase in BETWEEN_REGISTRATIONS and now < self.since + REGISTERS_WITHIN_S

    def change(self, event: ProcessEvent, now: float) -> None:
        """Something happened: notes it, and enters the phase that follows, if any does."""
        match event.change:
            case ProcessChange.PREPARED:
                self.instance = event.instance
                self.machine = event.machine
                self.pid = 0
                self.frozen = self.registered = False
            case ProcessChange.NO_ROOM:
                self.machine = ""
            case ProcessChange.STARTED:
                self.pid = event.pid
            case ProcessChange.REGISTERED:
                self.registered = True
            case ProcessChange.FROZEN | ProcessChange.THAWED:
                self.frozen = event.change is ProcessChange.FROZEN
            case _ if event.change in ENDS:
                self.pid = 0
                self.frozen = False
                self.next_at = now + event.next_in_s
                self.restarts += self.wanted
                by_itself = self.wanted and self.phase is not Phase.REPLACING
                if by_itself and event.change is not ProcessChange.MACHINE_LOST:
                    self._deaths.append(now)
            case _:
                pass
        following = PHASES[self.phase].get(event.change)
        if following is not None:
            self.phase = following
            self.why = event.why
            self.since = now


class LocalWorkers:
    """The workers of this master's own fleet, by id. A master alone has none.

    Attributes:
        supervised: whether there is a fleet: it is expected to start its first workers soon.
    """

    def __init__(self) -> None:
        self._workers: dict[str, LocalWorker] = {}
        self._begun = False
        self._ended: deque[str] = deque(maxlen=MAX_ENDED)
        self._restarts: dict[str, int] = {}
        self.supervised = False

    def __contains__(self, worker_id: str) -> bool:
        return worker_id in self._workers

    def __iter__(self) -> Iterator[str]:
        return iter(self._workers)

    def get(self, worker_id: str) -> LocalWorker | None:
        """The one of that id, None if there is none."""
        return self._workers.get(worker_id)

    @property
    def wanted(self) -> int | None:
        """How many there should be; None if there is no fleet to say so."""
        if not self.supervised:
            return None
        return sum(worker.wanted for worker in self._workers.values())

    def expected(self, now: float) -> bool:
        """Whether one of them is about to register."""
        if not self._begun:
            return self.supervised
        return any(worker.expected(now) for worker in self._workers.values())

    def of_instance(self, instance: str) -> LocalWorker | None:
        """The one whose present process is known by that secret."""
        for worker in self._workers.values():
            if worker.instance == instance:
                return worker
        return None

    def ended(self, instance: str) -> None:
        """The fleet takes the process of that secret for ended."""
        if instance:
            self._ended.append(instance)

    def has_ended(self, instance: str) -> bool:
        """Whether it does: that process may live, on a machine that could not be reached, but
        another has its place.
        """
        return instance in self._ended

    def may_have(self, worker_id: str, instance: str) -> bool:
        """Whether the process of that secret may register under that id."""
        worker = self._workers.get(worker_id)
        return worker is None or worker.instance == instance

    def begin(self) -> None:
        """The fleet has started what it starts first, be it nothing."""
        self._begun = True

    def add(self, worker_id: str, now: float) -> None:
        """That id is kept for a worker whose process is about to be started."""
        self._workers[worker_id] = LocalWorker(now)

    def remove(self, worker_id: str) -> None:
        """It has ended, and is not started again."""
        worker = self._workers.pop(worker_id, None)
        if worker is not None and worker.restarts:
            self._restarts[worker_id] = self._restarts.pop(worker_id, 0) + worker.restarts
            if len(self._restarts) > MAX_ENDED:
                del self._restarts[next(iter(self._restarts))]

    def earlier_restarts(self, worker_id: str) -> int:
        """Restarts of those of that id that were removed."""
        return self._restarts.get(worker_id, 0)
