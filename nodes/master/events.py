"""The cluster's recent events: numbered, bounded, for many threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from nodes.support.event_kinds import EventKind
from nodes.wire import Event

MAX_EVENTS = 2000
"""Events kept. At one lookup in a hundred going wrong on a busy day, that is some minutes;
a screen that reads every second misses none."""


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

    Attributes:
        listener: told of each event, as it is noted; it must return at once.
    """

    def __init__(self, *, most: int = MAX_EVENTS, clock: Callable[[], float] = time.time) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._lock = threading.Lock()
        self._clock = clock
        self._last = 0
        self.listener: Callable[[Event], None] = lambda _event: None

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there is none."""
        return self._last

    def note(self, kind: EventKind, worker: str, text: str) -> None:
        """Something happened. `worker` is the id it happened to, "" for the cluster."""
        with self._lock:
            self._last += 1
            event = Event(self._last, self._clock(), kind, worker, text)
            self._events.append(event)
            self.listener(event)

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
