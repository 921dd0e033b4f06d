"""What will follow from a command, as its confirmation says it: a function for each command."""

from __future__ import annotations

from console.states import live
from nodes.support.units import duration
from nodes.wire import ClusterSnapshot, WorkerView


def _in_flight(worker: WorkerView | None) -> str:
    if worker is None:
        return ""
    lookups = "lookup" if worker.in_flight == 1 else "lookups"
    return f"{worker.id} has {worker.in_flight} {lookups} in flight"


def kill(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; they will be rerouted. It is not started again."


def drain(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; it answers them, then leaves. It is not started again."


def restart(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; it answers them, then is started anew."


def freeze(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return (
        f"{_in_flight(worker)}; they will be rerouted. It stays frozen until it is thawed "
        "or this console quits."
    )


def reload(snapshot: ClusterSnapshot, _worker: WorkerView | None) -> str:
    count = len(live(snapshot.workers))
    switch = "1 worker switches" if count == 1 else f"{count} workers switch, one after the other"
    return f"If the records changed, {switch}. No lookup waits for it."


def shrink(snapshot: ClusterSnapshot, _worker: WorkerView | None) -> str:
    if not snapshot.wanted_workers:
        return "No worker is wanted now, so none will leave."
    return (
        f"The newest of {snapshot.wanted_workers} worker(s) answers its last lookups, then leaves."
    )


def scale(snapshot: ClusterSnapshot, _worker: WorkerView | None) -> str:
    wanted = snapshot.wanted_workers or 0
    return f"{wanted} worker(s) are wanted now. Any too many answer their last lookups, then leave."


def leave(
    snapshot: ClusterSnapshot | None, *, attached: bool, traffic: bool, frozen_here: bool
) -> str:
    """What follows from `quit`.

    Args:
        snapshot: the newest; None before there is one.
        attached: whether the cluster runs elsewhere.
        traffic: whether the built-in load is on.
        frozen_here: whether this console has frozen workers that are not thawed.
    """
    if attached:
        parts = ["The cluster runs on."]
    else:
        workers = live(snapshot.workers) if snapshot is not None else []
        own = sum(worker.local for worker in workers)
        ran = duration(snapshot.uptime_s) if snapshot is not None else "0s"
        parts = [f"The master (up {ran}) and its {own} worker(s) stop, after their last lookups."]
        if others := len(workers) - own:
            parts.append(f"{others} worker(s) started elsewhere run on and wait for a master.")
    if traffic:
        parts.append("The traffic stops.")
    if frozen_here:
        parts.append("Workers frozen here are thawed.")
    return " ".join(parts)
