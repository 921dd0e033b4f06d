"""A cluster as it is watched: its driver, its load, what is known of it, and how old that is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.cluster_names import said_of
from console.command import Command
from console.driver import Driver
from console.history import History
from console.keys import DECLARED_KEYS, Keys
from console.messages import OfCluster
from console.notifications import NotificationFilter, notification
from console.opening import OpenCluster
from console.recording_copy import RecordingCopy
from console.refusals import ONLY_SHOWN, not_able
from console.replayer import Replayer
from console.seen import Seen
from console.traffic import Traffic
from nodes.master.recording_blocks import EncodedSnapshot, encode_snapshot
from nodes.wire import ClusterSnapshot, Event, Second

if TYPE_CHECKING:
    from console.recorded_file import RecordedFile

MAX_EVENTS = 2000

MAX_SEEN = 300
"""Snapshots that are kept, one a second: a master writes its recording a minute at a time."""

SEEN_EVERY_S = 1.0
"""Seconds between two of them; the newest is always there."""

LATE_LOOKS = 4
"""Looks at the cluster after which the next one is late."""


class WatchedCluster:
    """One of the clusters on the screen, and what was learnt of it.

    Args:
        name: what it is called on the screen; "" if it is alone there.
        open_cluster: hosts or attaches; see `console.driver.OpenCluster`.
        post: takes a message to the screen, from any thread, without waiting.
        poll_interval_s: between two looks at it.
        tls: the folder of certificates for the built-in load; None for no TLS.
        recorded: what is shown in its place; None for the cluster.
        clock: seconds, monotonic.

    Attributes:
        driver: looks at it and changes it.
        traffic: the built-in load on it.
        traffic_report: what that said last.
        replayer: reads what was recorded of it.
        notifications: chooses what is told of its events.
        snapshot: the newest; None before the first.
        events: of late, oldest first.
        history: of the last minutes.
        seen: snapshots of the last minutes, oldest first.
        read_only: whether its master lets this console see it, and change nothing.
        lost: why there is no newer snapshot, "" while there is.
        failed: whether it could not be opened, and will not be.
        stopped: whether it was let go of.
    """

    def __init__(
        self,
        name: str,
        open_cluster: OpenCluster,
        post: Callable[[OfCluster], bool],
        *,
        poll_interval_s: float,
        tls: Path | None = None,
        recorded: RecordedFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.driver = Driver(open_cluster, self._post, poll_interval_s=poll_interval_s)
        self.traffic = Traffic(self._post, tls=tls)
        self.traffic_report = ""
        self.replayer = Replayer(recorded or RecordingCopy(self.driver.recording), self._post)
        self.notifications = NotificationFilter()
        self.snapshot: ClusterSnapshot | None = None
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.history = History()
        self.seen: deque[EncodedSnapshot] = deque(maxlen=MAX_SEEN)
        self.read_only = False
        self.lost = ""
        self.failed = False
        self.stopped = False
        self._post_message = post
        self._late_after_s = LATE_LOOKS * poll_interval_s
        self._clock = clock
        self._taken = 0.0

    def _post(self, message: OfCluster) -> bool:
        """Has a message tell which cluster it is of."""
        message.cluster = self.name
        return self._post_message(message)

    def take(self, snapshot: ClusterSnapshot, events: Sequence[Event]) -> str:
        """A snapshot came, and the events since the one before. Returns what the operator is told
        of them at once, "" for nothing.
        """
        news = events if self.snapshot is not None else ()
        self.snapshot = snapshot
        self._taken = self._clock()
        self.lost = ""
        self.history.add(snapshot)
        if len(self.seen) > 1 and self.seen[-1].taken_at - self.seen[-2].taken_at < SEEN_EVERY_S:
            self.seen.pop()
        self.seen.append(encode_snapshot(snapshot))
        self.events.extend(events)
        bad = self.notifications.select(news, self._clock())
        return said_of(self.name, notification(bad)) if bad else ""

    def seed(self, seconds: list[Second]) -> None:
        """What the journal has of the time before."""
        self.history.seed(seconds)

    def lose(self, why: str) -> None:
        """It cannot be seen."""
        self.lost = why

    def refusal(self, command: Command) -> str:
        """Why a command can be done to nothing of it, "" if it can be."""
        if command.steers and self.read_only:
            return ONLY_SHOWN
        return not_able(command, self.snapshot)

    @property
    def age_s(self) -> float:
        """How old the newest snapshot is; 0 while the next is not late."""
        age_s = self._clock() - self._taken
        return age_s if self.lost or age_s > self._late_after_s else 0.0

    def as_seen(
        self, *, read_only: bool, attached: bool, keys: Keys = DECLARED_KEYS
    ) -> Seen | None:
        """What there is to be seen of it now; None before there is anything.

        Args:
            read_only: whether this console may change nothing.
            attached: whether the cluster runs on without this console.
            keys: of the commands.
        """
        if self.snapshot is None:
            return None
        return Seen(
            self.snapshot,
            self.history,
            self.events,
            self.age_s,
            self.lost,
            self.traffic.rate if self.traffic.running else 0,
            self.traffic_report if self.traffic.running else "",
            read_only or self.read_only,
            attached,
            keys,
            name=self.name,
        )
