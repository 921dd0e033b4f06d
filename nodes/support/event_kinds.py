"""The kinds of events, each with how much it matters: a closed set."""

from __future__ import annotations

from enum import StrEnum


class EventKind(StrEnum):
    """What happened, to a worker or to the cluster."""

    # a registration
    REGISTERED = "registered"
    PROVED = "proved"
    SUSPECT = "suspect"
    RECOVERED = "recovered"
    OTHER_CATALOG = "other_catalog"
    OTHER_VERSION = "other_version"
    NOT_REGISTERED = "not_registered"
    READY = "ready"
    DRAINING = "draining"
    LEFT = "left"
    LOST = "lost"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    STORE_DOWN = "store_down"
    STORE_BACK = "store_back"
    DAMAGED = "damaged"
    MENDED = "mended"
    # a local worker's process
    SPAWNED = "spawned"
    KILLED = "killed"
    RESTARTING = "restarting"
    RESTARTED = "restarted"
    FROZEN = "frozen"
    THAWED = "thawed"
    CRASH_LOOPING = "crash_looping"
    OUTPUT_DROPPED = "output_dropped"
    OUTPUT_KEPT = "output_kept"
    CLEARED = "cleared"
    # the machines of a fleet
    MACHINE_LOST = "machine_lost"
    MACHINE_BACK = "machine_back"
    # the records
    RELOAD = "reload"
    SWITCHED = "switched"
    NOT_SWITCHED = "not_switched"
    RELOADED = "reloaded"
    NOT_RELOADED = "not_reloaded"
    SERVES = "serves"
    # the cluster
    STARTED = "started"
    STOPPED = "stopped"
    PANIC = "panic"
    CALM = "calm"
    HEDGES_SPENT = "hedges_spent"
    RETRIES_SPENT = "retries_spent"
    POISON_LOOKUP = "poison_lookup"
    REFUSED_LOGIN = "refused_login"
    CERTIFICATES = "certificates"
    JOURNAL = "journal"
    TROUBLE = "trouble"
    LEFT_OUT = "left_out"


BAD = frozenset(
    (
        EventKind.LOST,
        EventKind.CRASH_LOOPING,
        EventKind.OUTPUT_DROPPED,
        EventKind.SUSPECT,
        EventKind.FROZEN,
        EventKind.BREAKER_OPENED,
        EventKind.STORE_DOWN,
        EventKind.DAMAGED,
        EventKind.OTHER_CATALOG,
        EventKind.OTHER_VERSION,
        EventKind.NOT_REGISTERED,
        EventKind.NOT_SWITCHED,
        EventKind.NOT_RELOADED,
        EventKind.PANIC,
        EventKind.POISON_LOOKUP,
        EventKind.JOURNAL,
        EventKind.TROUBLE,
        EventKind.LEFT_OUT,
        EventKind.MACHINE_LOST,
    )
)
"""Something is wrong. What an operator ended on purpose is not: `KILLED`, and `LEFT` after it."""

GOOD = frozenset(
    (
        EventKind.PROVED,
        EventKind.RECOVERED,
        EventKind.READY,
        EventKind.THAWED,
        EventKind.RELOADED,
        EventKind.BREAKER_CLOSED,
        EventKind.STORE_BACK,
        EventKind.MENDED,
        EventKind.OUTPUT_KEPT,
        EventKind.CALM,
        EventKind.MACHINE_BACK,
    )
)
"""It is right again; whatever is in neither just happened."""
