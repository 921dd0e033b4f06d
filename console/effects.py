"""What will follow from a command, as its confirmation says it: a function for each command."""

from __future__ import annotations

from collections.abc import Sequence

from console.states import live
from nodes.support.natural import natural_key
from nodes.support.units import counted, duration
from nodes.wire import ClusterSnapshot, WorkerView


def _in_flight(workers: Sequence[WorkerView]) -> str:
    lookups = counted(sum(worker.in_flight for worker in workers), "lookup")
    if len(workers) == 1:
        return f"{workers[0].id} has {lookups} in flight"
    return f"They have {lookups} in flight"


def _not_again(workers: Sequence[WorkerView]) -> str:
    return "It is not started again." if len(workers) == 1 else "They are not started again."


def kill(snapshot: ClusterSnapshot, workers: Sequence[WorkerView]) -> str:
    return (
        f"{_in_flight(workers)}; they will be rerouted. {_not_again(workers)}"
        f"{_none_left(snapshot, workers)}"
    )


def drain(snapshot: ClusterSnapshot, workers: Sequence[WorkerView]) -> str:
    return (
        f"{_in_flight(workers)}; they are answered first. {_not_again(workers)}"
        f"{_none_left(snapshot, workers)}"
    )


def restart(_snapshot: ClusterSnapshot, workers: Sequence[WorkerView]) -> str:
    return f"{_in_flight(workers)}; they are answered first, then it is started anew."


def freeze(snapshot: ClusterSnapshot, workers: Sequence[WorkerView]) -> str:
    return (
        f"{_in_flight(workers)}; they will be rerouted. Frozen until thawed, or until this "
        f"console quits.{_none_left(snapshot, workers)}"
    )


def reload(snapshot: ClusterSnapshot, _workers: Sequence[WorkerView]) -> str:
    count = len(live(snapshot.workers))
    switch = "1 worker switches" if count == 1 else f"{count} workers switch, one after the other"
    return f"If the records changed, {switch}. No lookup waits for it."


def _none_left(snapshot: ClusterSnapshot, workers: Sequence[WorkerView]) -> str:
    leaving = {worker.id for worker in workers}
    left = [one for one in live(snapshot.workers) if one.id not in leaving and not one.frozen]
    return "" if left else " No worker is left then: every lookup will fail."


def newest(snapshot: ClusterSnapshot, count: int) -> list[WorkerView]:
    """The local workers that leave first when fewer are wanted: crash-looping ones, then the
    newest.
    """
    staying = [one for one in snapshot.workers if one.local and one.state != "draining"]
    staying.sort(key=lambda one: (one.state != "down", one.uptime_s, -one.generation))
    return sorted(staying[: max(0, count)], key=lambda one: natural_key(one.id))


def leave(
    snapshot: ClusterSnapshot | None,
    *,
    attached: bool,
    traffic: bool,
    frozen_here: bool,
    lost: Sequence[str] = (),
    run_on: Sequence[str] = ("",),
) -> str:
    """What follows from `quit`.

    Args:
        snapshot: the newest; None before there is one.
        attached: whether the cluster runs elsewhere.
        traffic: whether the built-in load is on.
        frozen_here: whether this console has frozen workers that will be thawed.
        lost: the names of attached clusters that cannot be seen now; "" for the only one.
        run_on: the names of those that can.
    """
    if attached:
        parts = _run_on(lost, run_on)
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


def _run_on(lost: Sequence[str], run_on: Sequence[str]) -> list[str]:
    """What becomes of attached clusters."""
    parts = []
    if run_on:
        parts.append(
            "The clusters run on." if len(run_on) > 1 else f"{_cluster(run_on[0])} runs on."
        )
    parts += [f"{_cluster(name)} is not seen now, and is left as it is." for name in lost]
    return parts


def _cluster(name: str) -> str:
    return f"The cluster {name}" if name else "The cluster"
