"""The states of a registration, and all the ways from one to another.

starting   registered, not yet proved by a probe
up         answered its last probe
suspect    missed one or two probes: picked last
unready    has another catalog than the one that is served: no lookups until it has switched
draining   no new lookups; leaves when its last one is answered
down       missed three probes, or its registration ended; kept as a tombstone
"""

from __future__ import annotations

from enum import StrEnum

from nodes.support.event_kinds import EventKind


class State(StrEnum):
    """What a worker is, as its master sees it."""

    STARTING = "starting"
    UP = "up"
    SUSPECT = "suspect"
    UNREADY = "unready"
    DRAINING = "draining"
    DOWN = "down"

    @property
    def rank(self) -> int:
        """Which are picked first: the lowest."""
        return _RANKS.get(self, 9)


IN_ROTATION = frozenset((State.STARTING, State.UP, State.SUSPECT))
"""Those in which a worker is sent lookups."""

_RANKS = {State.UP: 0, State.STARTING: 1, State.SUSPECT: 2}


class Change(StrEnum):
    """What may happen to a registration and change its state."""

    PROBE_ANSWERED = "probe answered"
    PROBE_MISSED = "probe missed"
    OTHER_CATALOG = "other catalog"
    SAME_CATALOG = "same catalog"
    ASKED_TO_LEAVE = "asked to leave"
    ENDED = "ended"


_OUT_OF_ROTATION = {
    Change.OTHER_CATALOG: (State.UNREADY, EventKind.OTHER_CATALOG),
    Change.ASKED_TO_LEAVE: (State.DRAINING, EventKind.DRAINING),
    Change.ENDED: (State.DOWN, EventKind.LOST),
}

TRANSITIONS: dict[State, dict[Change, tuple[State, EventKind]]] = {
    State.STARTING: {
        Change.PROBE_ANSWERED: (State.UP, EventKind.PROVED),
        Change.PROBE_MISSED: (State.SUSPECT, EventKind.SUSPECT),
        **_OUT_OF_ROTATION,
    },
    State.UP: {
        Change.PROBE_MISSED: (State.SUSPECT, EventKind.SUSPECT),
        **_OUT_OF_ROTATION,
    },
    State.SUSPECT: {
        Change.PROBE_ANSWERED: (State.UP, EventKind.RECOVERED),
        **_OUT_OF_ROTATION,
    },
    State.UNREADY: {
        Change.SAME_CATALOG: (State.STARTING, EventKind.READY),
        Change.ASKED_TO_LEAVE: (State.DRAINING, EventKind.DRAINING),
        Change.ENDED: (State.DOWN, EventKind.LOST),
    },
    State.DRAINING: {Change.ENDED: (State.DOWN, EventKind.LEFT)},
    State.DOWN: {},
}
"""What follows from a change in each state, and the event that tells of it; whatever is not here
changes nothing.
"""
