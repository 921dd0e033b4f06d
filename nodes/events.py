"""The cluster's recent events: numbered, bounded, for many threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from nodes.wire import Event

MOST = 2000
"""Events kept. At one lookup in a hundred going wrong on a busy day, that is some minutes;
a screen that reads every second misses none."""


class EventLog:
    """Takes events down; hands out those after a number.

    Arguments:
        most: events kept; the oldest go first.
        clock: Unix time in seconds.
    """

    def __init__(self, *, most: int = MOST, clock: Callable[[], float] = time.time) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._lock = threading.Lock()
        self._clock = clock
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest event, 0 when there is none."""
        return self._last

    def note(self, kind: str, worker: str, text: str) -> None:
        """Something happened. `worker` is the id it happened to, "" for the cluster."""
        with self._lock:
            self._last += 1
            self._events.append(Event(self._last, self._clock(), kind, worker, text))

    def after(self, number: int, *, most: int = MOST) -> list[Event]:
        """The oldest `most` of the events kept with a higher number, in order."""
        with self._lock:
            newer = [event for event in self._events if event.number > number]
        return newer[:most]
