"""The condition of a worker, as its view tells it: questions with yes or no for an answer; pure."""

from __future__ import annotations

from collections.abc import Iterable

from nodes.support.units import duration
from nodes.wire.views import ClusterSnapshot, WorkerView

RECENT_S = 60.0
"""Seconds for which a worker that went, or came back, is spoken of."""

FLAPPING_DEATHS = 2
"""Deaths in a minute from which a worker that is up again is not well."""

STORE_DOWN = "store down"
"""How it is said of a worker that the store of its records does not answer it."""

DAMAGED = "records damaged"
"""How it is said of a worker that the file of its records is damaged."""


def answers(worker: WorkerView) -> bool:
    """Whether it answers lookups, if slowly or with failures, as far as anybody knows: a frozen one
    is up until it has missed a probe.
    """
    return worker.state == "up" and not worker.frozen


def up_here(snapshot: ClusterSnapshot) -> int:
    """How many answer of those that a launcher beside the master started."""
    return sum(worker.local for worker in snapshot.workers if answers(worker))


def up_text(snapshot: ClusterSnapshot) -> str:
    """How many workers are up, of those that are wanted; those that run elsewhere, whom nobody
    here can want, apart.
    """
    up, here = sum(map(answers, snapshot.workers)), up_here(snapshot)
    if snapshot.wanted_workers is None:
        return f"up {up}"
    elsewhere = f" + {up - here} elsewhere" if here < up else ""
    return f"up {here} of {snapshot.wanted_workers}{elsewhere}"


def is_mute(worker: WorkerView) -> bool:
    """Whether it would answer, if it were not frozen or silent."""
    return worker.frozen or worker.state == "suspect"


def is_waiting(worker: WorkerView) -> bool:
    """Whether it waits for room: no machine that can be reached has any."""
    return worker.state == "starting" and worker.why.startswith("waiting for room")


def is_recordless(worker: WorkerView) -> bool:
    """Whether a worker that is alive cannot read its records just now: their store does not
    answer, or their file is damaged.
    """
    return worker.state == "up" and worker.why.startswith((STORE_DOWN, DAMAGED))


def is_crash_looping(worker: WorkerView) -> bool:
    """Whether a local worker died too often, and is started again only after a while."""
    return worker.state == "down" and worker.why.startswith("crash-looping")


def next_try(workers: Iterable[WorkerView], now: float) -> str:
    """When the first of those that died too often is started again, as "next try in 2m59s"; "" if
    that is not known.
    """
    times = [one.next_try_at for one in workers if one.next_try_at is not None]
    return f"next try in {duration(min(times) - now)}" if times else ""


def reason(worker: WorkerView, now: float) -> str:
    """What is wrong with it, "" for nothing; of one that died too often, first when it is started
    again.
    """
    return "; ".join(part for part in (next_try((worker,), now), worker.why) if part)


def is_flapping(worker: WorkerView) -> bool:
    """Whether it keeps dying, and lives now."""
    alive = worker.state in ("up", "starting", "suspect")
    return alive and worker.deaths_last_minute >= FLAPPING_DEATHS


def has_left(worker: WorkerView) -> bool:
    """Whether it went as it was to, if it is down."""
    return worker.why in ("", "exited with status 0") or worker.why.startswith("it left")


def was_lost(worker: WorkerView, now: float) -> bool:
    """Whether it went by itself: an operator's kill is a signal, and a worker that left says so."""
    gone = worker.state == "down" and now - worker.state_since < RECENT_S and not worker.frozen
    told_to = has_left(worker) or is_crash_looping(worker) or worker.why.startswith("killed by")
    return gone and not told_to
