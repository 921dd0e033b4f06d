"""Poison lookups: tells a lookup that kills workers from one whose workers died of something else.

A lookup is poison if two workers died, one after the other, while each had that lookup. Other
causes can look the same:

- Workers die together, and the lookup moves from one dead worker to another. So a death counts
  only if the worker had proved to be alive since the death before.
- Others die at the same time, or a whole machine is gone. Then one more death is needed.
- An operator ended the worker, or only its connection ended. Such ends do not count.

A dying worker may have had other lookups beside the deadly one. Each of them is then sent to a
worker that has no other such lookup, so that the next death tells which one it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from nodes.errors import PoisonLookup

if TYPE_CHECKING:
    from nodes.routing.worker import Worker

INSTANT_S = 1.0
"""Seconds within which several deaths may have one cause: a machine, its memory, a script."""

DEADLY = 2
"""Deaths, one after the other, that make a lookup poison if no other worker dies."""

MAX_DEATHS = 64
"""Deaths that are kept, the newest."""


class Deaths:
    """The latest deaths of all workers, whatever their cause.

    Attributes:
        latest: the workers that died, oldest first.
    """

    def __init__(self) -> None:
        self.latest: deque[Worker] = deque(maxlen=MAX_DEATHS)

    def add(self, worker: Worker) -> None:
        """That worker died."""
        self.latest.append(worker)

    def have_another_cause(self, victims: Collection[Worker], live: Iterable[Worker]) -> bool:
        """Whether other workers died in the same second, or the victims' whole machine is gone."""
        others = [worker for worker in self.latest if worker not in victims]
        if any(abs(a.since - b.since) <= INSTANT_S for a in others for b in victims):
            return True
        hosts = {worker.address.host for worker in live}
        machine = {worker.address.host for worker in victims}
        return len(machine) == 1 and bool(hosts) and not machine & hosts


class Break(NamedTuple):
    """A connection that ended while the lookup was on it, and when (seconds)."""

    worker: Worker
    at: float


class Suspicion:
    """The evidence that one lookup kills workers.

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
        """Whether that worker must answer a probe before it is sent the lookup. It may have died
        together with the worker before, and its death would then prove nothing.
        """
        return bool(self._breaks) and worker.alive_at < self._breaks[-1].at

    def victims(self) -> list[Worker]:
        """The workers whose deaths count against the lookup."""
        return [
            broken.worker
            for broken in self._breaks
            if broken.worker.died and broken.worker.since <= broken.at + self._death_notice_s
        ]

    def check(self, deaths: Deaths, live: Iterable[Worker]) -> None:
        """Ends a lookup that is poison.

        Args:
            deaths: of all workers.
            live: the workers that there are.

        Raises:
            PoisonLookup: it is.
        """
        victims = self.victims()
        if len(victims) < DEADLY:
            return
        if len(victims) > DEADLY or not deaths.have_another_cause(victims, live):
            raise PoisonLookup(
                f"{' and '.join(worker.id for worker in victims)} died one after the other while "
                "they answered this lookup; it is not sent to another"
            )

    def decided_at(self) -> float:
        """When it will be known which of the workers died whose connections ended; 0.0 if it is
        known already, or makes no difference.
        """
        if len(self._breaks) < DEADLY:
            return 0.0
        unknown = (b.at for b in self._breaks if b.worker.live or b.worker.died is None)
        return max(unknown, default=-self._death_notice_s) + self._death_notice_s
