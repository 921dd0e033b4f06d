"""A cluster as it is watched: what is known of it by now, and how old that is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from console.history import History
from nodes.master.recording_blocks import EncodedSnapshot, encode_snapshot
from nodes.wire import ClusterSnapshot, Event, Second

MAX_EVENTS = 2000

MAX_SEEN = 300
"""Snapshots that are kept, one a second: a master writes its recording a minute at a time."""

SEEN_EVERY_S = 1.0
"""Seconds between two of them; the newest is always there."""

LATE_LOOKS = 4
"""Looks at the cluster after which the next one is late."""


class WatchedCluster:
    """What was learnt of one cluster.

    Args:
        poll_interval_s: between two looks at it.
        clock: seconds, monotonic.

    Attributes:
        snapshot: the newest; None before the first.
        events: of late, oldest first.
        history: of the last minutes.
        seen: snapshots of the last minutes, oldest first.
        lost: why there is no newer snapshot, "" while there is.
    """

    def __init__(self, poll_interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.snapshot: ClusterSnapshot | None = None
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.history = History()
        self.seen: deque[EncodedSnapshot] = deque(maxlen=MAX_SEEN)
        self.lost = ""
        self._late_after_s = LATE_LOOKS * poll_interval_s
        self._clock = clock
        self._taken = 0.0

    def take(self, snapshot: ClusterSnapshot, events: Sequence[Event]) -> None:
        """A snapshot came, and the events since the one before."""
        self.snapshot = snapshot
        self._taken = self._clock()
        self.lost = ""
        self.history.add(snapshot)
        if len(self.seen) > 1 and self.seen[-1].taken_at - self.seen[-2].taken_at < SEEN_EVERY_S:
            self.seen.pop()
        self.seen.append(encode_snapshot(snapshot))
        self.events.extend(events)

    def seed(self, seconds: list[Second]) -> None:
        """What the journal has of the time before."""
        self.history.seed(seconds)

    def lose(self, why: str) -> None:
        """It cannot be seen."""
        self.lost = why

    @property
    def age_s(self) -> float:
        """How old the newest snapshot is; 0 while the next is not late."""
        age_s = self._clock() - self._taken
        return age_s if self.lost or age_s > self._late_after_s else 0.0
