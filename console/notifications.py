"""Which events the operator is notified of; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nodes.support.event_kinds import BAD, EventKind
from nodes.wire import Event

OWN_ACTION_S = 10.0
"""Seconds for which what happens to a worker is taken for what the operator did to it."""


class NotificationFilter:
    """Lets through what is bad, unless the operator has just caused it.

    What was done here has been answered already, and its consequences with it.
    """

    def __init__(self) -> None:
        self._acted_at: dict[str, float] = {}

    def acted_on(self, worker_id: str, now: float) -> None:
        """The operator did something to a worker; `now` is monotonic, in seconds."""
        self._acted_at[worker_id] = now

    def select(self, events: Iterable[Event], now: float) -> list[Event]:
        """Those of the events that are worth a notification."""
        own = {worker for worker, at in self._acted_at.items() if now - at < OWN_ACTION_S}
        return [event for event in events if event.kind in BAD and event.worker not in own]


def notification(events: Sequence[Event]) -> str:
    """What is said of bad events: the newest, and how many more there are; of a machine, before
    what follows from its loss.
    """
    lost = (event for event in reversed(events) if event.kind == EventKind.MACHINE_LOST)
    event = next(lost, events[-1])
    more = f" (and {len(events) - 1} more)" if len(events) > 1 else ""
    what = f"{event.worker} {event.kind.replace('_', '-')}".strip()
    return f"{what}: {event.text}{more}"
