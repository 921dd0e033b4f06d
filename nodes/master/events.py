"""The cluster's recent events: numbered, bounded, for many threads."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from nodes.errors import encodable
from nodes.support.event_kinds import BAD, EventKind
from nodes.support.units import counted
from nodes.wire import Event

logger = logging.getLogger("rollcall.events")

MAX_EVENTS = 2000
"""Events kept. At one lookup in a hundred going wrong on a busy day, that is some minutes;
a screen that reads every second misses none."""

MAX_EVENT_CHARS = 2000
"""Characters of an event's text; what is longer is cut."""

EVENTS_PER_S = 100.0
EVENTS_AT_ONCE = 2 * MAX_EVENTS
"""Events a second that are noted for long, and at once after a quiet time; of more, it is told how
many were left out. The largest fleet that loses all of its workers has fewer."""


def registered(events: Iterable[Event]) -> set[str]:
    """The workers that were registered when the last of these had happened, and that live on
    without their master: those that it started itself leave with it, however it ends.
    """
    there: set[str] = set()
    local: set[str] = set()
    for event in events:
        match event.kind:
            case EventKind.STARTED:
                there -= local
                local.clear()
            case EventKind.SPAWNED:
                local.add(event.worker)
            case EventKind.REGISTERED:
                there.add(event.worker)
            case EventKind.LOST | EventKind.LEFT:
                there.discard(event.worker)
    return there - local


class EventLog:
    """Takes events down; hands out those after a number.

    Args:
        most: events kept; the oldest go first.
        clock: Unix time in seconds.
        steady: seconds, monotonic.

    Attributes:
        listener: told of each event, as it is noted; it must return at once.
    """

    def __init__(
        self,
        *,
        most: int = MAX_EVENTS,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._lock = threading.Lock()
        self._clock = clock
        self._steady = steady
        self._last = 0
        self._room = float(EVENTS_AT_ONCE)
        self._refilled_at = steady()
        self._left_out = 0
        self.listener: Callable[[Event], None] = lambda _event: None

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there is none."""
        return self._last

    def note(self, kind: EventKind, worker: str, text: str) -> None:
        """Something happened. `worker` is the id it happened to, "" for the cluster."""
        with self._lock:
            self._refill()
            if self._room < 1.0:
                self._left_out += 1
                return
            self._tell_left_out()
            self._add(kind, worker, text)

    def trouble(self, text: str) -> None:
        """Something of the master itself failed, and goes on."""
        self.note(EventKind.TROUBLE, "", text)

    def catch_up(self) -> None:
        """Tells how many events were left out, as soon as there is room; to be called about each
        second.
        """
        with self._lock:
            self._refill()
            self._tell_left_out()

    def _refill(self) -> None:
        now = self._steady()
        self._room = min(EVENTS_AT_ONCE, self._room + (now - self._refilled_at) * EVENTS_PER_S)
        self._refilled_at = now

    def _tell_left_out(self) -> None:
        if self._left_out and self._room >= 1.0:
            text = f"{counted(self._left_out, 'event')} more than can be written down so soon"
            self._left_out = 0
            self._add(EventKind.LEFT_OUT, "", text)

    def _add(self, kind: EventKind, worker: str, text: str) -> None:
        self._room -= 1.0
        self._last += 1
        # Cut first: what is not kept need not be looked at.
        said = encodable(text[:MAX_EVENT_CHARS])
        event = Event(self._last, self._clock(), kind, encodable(worker), said)
        self._events.append(event)
        self.listener(event)
        level = logging.WARNING if kind in BAD else logging.INFO
        if logger.isEnabledFor(level):
            extra = {"event": str(kind), "worker": event.worker, "number": event.number}
            logger.log(level, "%s %s: %s", kind, event.worker or "-", said, extra=extra)

    def remember(self, events: Iterable[Event]) -> None:
        """Takes up those of an earlier time; their numbers go on from there."""
        with self._lock:
            self._events.extend(events)
            self._last = max([self._last, *(event.number for event in self._events)])

    def after(self, number: int, *, most: int = MAX_EVENTS) -> list[Event]:
        """The oldest `most` of the events kept with a higher number, in order."""
        with self._lock:
            newer = [event for event in self._events if event.number > number]
        return newer[:most]
