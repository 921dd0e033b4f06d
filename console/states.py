"""The states of a worker, as the console shows them.

They are those of `nodes.routing.State`, which the first screen does not wait to import.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from nodes.wire import WorkerView


class State(StrEnum):
    """What a worker is, in the order in which they are counted on the screen."""

    UP = "up"
    STARTING = "starting"
    SUSPECT = "suspect"
    UNREADY = "unready"
    DRAINING = "draining"
    DOWN = "down"


EXPLAINED = frozenset((State.SUSPECT, State.UNREADY, State.DRAINING, State.DOWN))
"""Those in which a worker has a reason that is worth a line."""

DATED = frozenset((State.SUSPECT, State.DOWN))
"""Those whose reason says since when."""

_VARIANTS: dict[str, str] = {
    State.UP: "good",
    State.STARTING: "warning",
    State.SUSPECT: "warning",
    State.UNREADY: "bad",
    State.DRAINING: "warning",
    State.DOWN: "faint",
}


def variant(state: str) -> str:
    """How the row of a worker in that state is coloured; "" for a state of a newer master."""
    return _VARIANTS.get(state, "")


def live(workers: Iterable[WorkerView]) -> list[WorkerView]:
    """The workers that are not down."""
    return [worker for worker in workers if worker.state != State.DOWN]
