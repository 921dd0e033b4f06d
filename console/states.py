"""What a worker is, as the console shows it: a closed set, the worst first.

They are the states of `nodes.routing.State`, which the first screen does not wait to import, and
four that lie across them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from console.lines import Tone
from nodes.wire import WorkerView, is_crash_looping, is_waiting


class ShownState(NamedTuple):
    """A state as it is shown. The lowest rank is the worst."""

    name: str
    tone: Tone
    rank: int


STATES = {
    state.name: state
    for state in (
        ShownState("unready", Tone.BAD, 0),
        ShownState("failing", Tone.BAD, 0),
        ShownState("suspect", Tone.WARNING, 1),
        ShownState("frozen", Tone.WARNING, 2),
        ShownState("slow", Tone.WARNING, 3),
        ShownState("starting", Tone.WARNING, 4),
        ShownState("waiting", Tone.WARNING, 4),
        ShownState("draining", Tone.WARNING, 5),
        ShownState("up", Tone.GOOD, 6),
        ShownState("down", Tone.FAINT, 7),
    )
}

CRASH_LOOPING = ShownState("down", Tone.BAD, 0)


def shown_state(worker: WorkerView) -> ShownState:
    """The state of a worker that says most of it: each worker is in one."""
    if worker.state == "down" and not worker.frozen:
        return CRASH_LOOPING if is_crash_looping(worker) else STATES["down"]
    if worker.frozen:
        return STATES["frozen"]
    if worker.breaker_open and worker.state == "up":
        return STATES["failing"]
    if worker.slow and worker.state == "up":
        return STATES["slow"]
    if is_waiting(worker):
        return STATES["waiting"]
    return STATES.get(worker.state, ShownState(worker.state, Tone.PLAIN, 6))


def is_measured(worker: WorkerView) -> bool:
    """Whether what its process uses is known now: its probes are answered."""
    return worker.state in ("up", "draining", "unready") and not worker.frozen


def live(workers: Iterable[WorkerView]) -> list[WorkerView]:
    """The workers that are not down."""
    return [worker for worker in workers if worker.state != "down"]
