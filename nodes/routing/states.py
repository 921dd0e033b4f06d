"""The states of a worker, and all the ways from one to another: its registration's and, where it
is a local one, its process's. Both machines are tables here; `nodes.routing.registry` runs them,
and what happens to one that matters to the other.

A registration is
    starting   registered, not yet proved by a probe
    up         answered its last probe
    suspect    missed one to three probes: picked last
    unready    has another catalog than the one that is served: no lookups until it has switched
    draining   no new lookups; leaves when its last one is answered
    down       missed four probes, or its connection ended; kept as a tombstone

A local worker's process is
    starting       started, or about to be, and not yet registered
    running        registered
    replacing      told to leave, so that another process takes its place
    restarting     ended by itself, or lost its connection: another process follows
    waiting for room  no machine that can be reached has room for it
    crash-looping  ended too often: the next follows after a minute or more, or an operator's word
    stopping       no longer wanted: none follows
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
    DISMISSED = "dismissed"


_OUT_OF_ROTATION = {
    Change.OTHER_CATALOG: (State.UNREADY, EventKind.OTHER_CATALOG),
    Change.ASKED_TO_LEAVE: (State.DRAINING, EventKind.DRAINING),
    Change.ENDED: (State.DOWN, EventKind.LOST),
    Change.DISMISSED: (State.DOWN, EventKind.LEFT),
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
        Change.DISMISSED: (State.DOWN, EventKind.LEFT),
    },
    State.DRAINING: {
        Change.ENDED: (State.DOWN, EventKind.LEFT),
        Change.DISMISSED: (State.DOWN, EventKind.LEFT),
    },
    State.DOWN: {},
}
"""What follows from a change in each state, and the event that tells of it; whatever is not here
changes nothing.
"""


class Phase(StrEnum):
    """What a local worker's process is, as its supervisor reports it."""

    STARTING = "starting"
    RUNNING = "running"
    REPLACING = "replacing"
    RESTARTING = "restarting"
    WAITING = "waiting for room"
    CRASH_LOOPING = "crash-looping"
    STOPPING = "stopping"


BETWEEN_REGISTRATIONS = frozenset((Phase.STARTING, Phase.REPLACING, Phase.RESTARTING))
"""Those in which a worker that is not registered is about to be."""


class ProcessChange(StrEnum):
    """What may happen to a local worker's process and change its phase."""

    PREPARED = "prepared"
    STARTED = "started"
    REGISTERED = "registered"
    CONNECTION_ENDED = "connection ended"
    FROZEN = "frozen"
    THAWED = "thawed"
    REPLACED = "replaced"
    KILLED = "killed"
    ASKED_TO_LEAVE = "asked to leave"
    STOPPED = "stopped"
    NO_ROOM = "no room"
    MACHINE_LOST = "machine lost"
    EXITED = "exited"
    EXITED_TOO_OFTEN = "exited too often"


ENDS = frozenset((ProcessChange.EXITED, ProcessChange.EXITED_TOO_OFTEN, ProcessChange.MACHINE_LOST))
"""Those after which there is no process any more."""

_ALWAYS = {
    ProcessChange.REPLACED: Phase.REPLACING,
    ProcessChange.KILLED: Phase.STOPPING,
    ProcessChange.ASKED_TO_LEAVE: Phase.STOPPING,
    ProcessChange.STOPPED: Phase.STOPPING,
    ProcessChange.NO_ROOM: Phase.WAITING,
    ProcessChange.MACHINE_LOST: Phase.RESTARTING,
    ProcessChange.EXITED: Phase.RESTARTING,
    ProcessChange.EXITED_TOO_OFTEN: Phase.CRASH_LOOPING,
}

PHASES: dict[Phase, dict[ProcessChange, Phase]] = {
    Phase.STARTING: {ProcessChange.REGISTERED: Phase.RUNNING, **_ALWAYS},
    Phase.RUNNING: {ProcessChange.CONNECTION_ENDED: Phase.RESTARTING, **_ALWAYS},
    Phase.REPLACING: {ProcessChange.PREPARED: Phase.STARTING, **_ALWAYS},
    Phase.RESTARTING: {
        ProcessChange.PREPARED: Phase.STARTING,
        ProcessChange.REGISTERED: Phase.RUNNING,
        **_ALWAYS,
    },
    Phase.WAITING: {ProcessChange.PREPARED: Phase.STARTING, **_ALWAYS},
    Phase.CRASH_LOOPING: {ProcessChange.PREPARED: Phase.STARTING, **_ALWAYS},
    Phase.STOPPING: {},
}
"""What follows from a change in each phase; whatever is not here changes nothing."""
