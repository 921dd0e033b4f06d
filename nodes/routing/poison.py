"""Poison: tells a lookup that kills workers from one whose workers died of something else.

A lookup is poison when it was at two workers, one after the other, as each of them died. Three
things make deaths look like that which no lookup is to blame for: workers that die together (the
lookup moves from one that is dead to another that is dead as well), those that an operator ends,
and connections that end though nobody died. So what counts is the death of a worker that has
proved to be alive since the death before; and while others die too, one more is needed. What was
on a dying worker beside the deadly lookup is told from it as each of them is then sent alone: no
worker has two such lookups at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nodes.routing.worker import Worker

INSTANT_S = 1.0
"""Seconds within which deaths may have one cause: a machine, its memory, somebody's script."""

DEADLY = 2
"""Deaths one after the other that make a lookup poison, as long as nobody else dies."""

MAX_DEATHS = 64
"""Deaths that are kept, the newest."""


class Deaths:
    """The latest deaths of all workers, whatever they died of.

    Attributes:
        latest: those who died, oldest first.
    """

    def __init__(self) -> None:
        self.latest: deque[Worker] = deque(maxlen=MAX_DEATHS)

    def add(self, worker: Worker) -> None:
        """That one died."""
        self.latest.append(worker)

    def have_another_cause(self, victims: Collection[Worker], live: Iterable[Worker]) -> bool:
        """Whether more than these died in the same second, or their whole machine is gone."""
        others = [worker for worker in self.latest if worker not in victims]
        if any(abs(a.since - b.since) <= INSTANT_S for a in others for b in victims):
            return True
        hosts = {worker.address.host for worker in live}
        machine = {worker.address.host for worker in victims}
        return len(machine) == 1 and bool(hosts) and not machine & hosts


class Break(NamedTuple):
    """A connection that ended with the lookup on it, and when (seconds)."""

    worker: Worker
    at: float


class Suspicion:
    """What speaks against one lookup.

    Args:
        death_notice_s: see `RoutingLimits`.
    """

    __slots__ = ("_breaks", "_death_notice_s")

    def __init__(self, death_notice_s: float) -> None:
        self._death_notice_s = death_notice_s
        self._breaks: list[Break] = []

    def broke(self, worker: Worker, now: float) -> None:
        """The connection to that worker ended while the lookup was on it."""
        if not self.must_prove(worker):
            self._breaks.append(Break(worker, now))

    def must_prove(self, worker: Worker) -> bool:
        """Whether that worker may have died together with the one before: it is to prove to be
        alive before it is sent the lookup, or its death would say nothing.
        """
        return bool(self._breaks) and worker.alive_at < self._breaks[-1].at

    def victims(self) -> list[Worker]:
        """The workers whose deaths count."""
        return [
            broken.worker
            for broken in self._breaks
            if broken.worker.died and broken.worker.since <= broken.at + self._death_notice_s
        ]

    def decided_at(self) -> float:
        """When it is known at last whether those died whose connections ended; 0.0 if it is known
        already, or matters not.
        """
        if len(self._breaks) < DEADLY:
            return 0.0
        unknown = (b.at for b in self._breaks if b.worker.live or b.worker.died is None)
        return max(unknown, default=-self._death_notice_s) + self._death_notice_s
