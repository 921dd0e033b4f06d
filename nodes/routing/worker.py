"""One registration: what is known of a worker, from the moment it registers until it is purged."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from nodes.routing.breaker import Breaker
from nodes.routing.ewma import PeakEwma
from nodes.routing.histogram import WindowedHistogram
from nodes.routing.states import TRANSITIONS, Change, State
from nodes.support.event_kinds import EventKind


class Address(NamedTuple):
    """Where a worker answers lookups."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
        "generation",
        "has_suspect",
        "head_start",
        "histogram",
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
        self.histogram = WindowedHistogram()
        self.breaker = Breaker(random)
        self.why = ""
        self.since = now
        self.state = State.STARTING
        self.rank = self.state.rank

    @property
    def live(self) -> bool:
        """Registered and not given up."""
        return self.state is not State.DOWN

    @property
    def performed(self) -> int:
        """Tasks performed, as they count for who is next."""
        return self.served + self.refusals + self.head_start

    def change(self, change: Change, why: str, now: float) -> EventKind | None:
        """Something happened: the state that follows, if any does, is entered for the reason
        `why`. Returns the kind of event that tells of it.
        """
        following = TRANSITIONS[self.state].get(change)
        if following is None:
            return None
        self.state, kind = following
        self.rank = self.state.rank
        self.why = why
        self.since = now
        return kind
