"""Why a command cannot be done to a worker now, "" if it can: a function for each kind; pure."""

from __future__ import annotations

from console.command import Command
from nodes.wire import ClusterSnapshot, WorkerView

WITHOUT = {
    "spawn": "this master starts no workers: start and stop them where they run",
    "freeze": "this cluster's workers cannot be frozen",
    "log": "this cluster's master has no logs of its workers",
}
"""What is said of an ability that a fleet lacks."""


ONLY_SHOWN = "the token found for this cluster lets you see everything and change nothing"


def not_able(command: Command, snapshot: ClusterSnapshot | None) -> str:
    """Of what the fleet cannot do at all."""
    if snapshot is None or command.is_possible(snapshot):
        return ""
    return WITHOUT[command.needs]


def no_process(worker: WorkerView) -> str:
    """Of what is done to a process: a local one may live though its registration is over, as one
    does that was frozen until it was given up.
    """
    if worker.local:
        return ""
    if worker.state == "down":
        return f"{worker.id} is down (:again starts it)"
    return f"{worker.id} runs elsewhere: only drain reaches it"


def not_to_drain(worker: WorkerView) -> str:
    """Of a drain."""
    if worker.state == "draining":
        return f"{worker.id} drains already"
    gone = worker.state == "down" and not worker.local
    return f"{worker.id} is down (:again starts it)" if gone else ""


def not_gone(worker: WorkerView) -> str:
    """Of a start under the same id."""
    if worker.frozen:
        return f"{worker.id} is frozen: thaw it"
    return "" if worker.state == "down" else f"{worker.id} is not gone"


def any_down(snapshot: ClusterSnapshot) -> bool:
    """Whether a worker is down at all."""
    return any(worker.state == "down" for worker in snapshot.workers)
