"""What there is to be seen of clusters: the newest snapshots, how old they are, what led there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.history import History
from console.keys import DECLARED_KEYS, Keys
from nodes.wire import ClusterSnapshot, Event, Level, Verdict, are_several, machine_names, verdict

OLD_AFTER_S = 2.0
"""Seconds after which figures are shown as old: more than two looks."""


class Seen(NamedTuple):
    """All that is drawn of a cluster; see `nodes.wire.verdict.verdict` for what is not said here.

    Attributes:
        snapshot: the newest.
        history: of the last minutes; it grows in place.
        events: of late, oldest first.
        age_s: seconds since the snapshot was taken.
        lost: why there is no newer one, "" while there is.
        traffic: what the built-in load says of itself, "" when it is off.
        attached: whether the cluster runs elsewhere.
        keys: of the commands that help.
        replay_at: the time that is shown, Unix time in seconds; None for now.
        now: what is to be said of the cluster now, while another time is shown; None where there
            is no cluster.
        name: what it is called on the screen; "" where it is the only one.
    """

    snapshot: ClusterSnapshot
    history: History
    events: Sequence[Event]
    age_s: float = 0.0
    lost: str = ""
    traffic_per_s: int = 0
    traffic: str = ""
    read_only: bool = False
    attached: bool = False
    keys: Keys = DECLARED_KEYS
    replay_at: float | None = None
    now: Verdict | None = None
    name: str = ""

    @property
    def old(self) -> bool:
        """Whether the figures are of the past."""
        return bool(self.lost) or self.age_s > OLD_AFTER_S

    @property
    def verdict(self) -> Verdict:
        """What is to be said of it in one line."""
        return verdict(
            self.snapshot,
            self.age_s,
            lost=self.lost,
            traffic_per_s=self.traffic_per_s,
            read_only=self.read_only and self.replay_at is None,
        )


class Unseen(NamedTuple):
    """A cluster of which nothing was seen yet; `lost` is why, "" while it is awaited. One that
    has `failed` is tried no more.
    """

    name: str
    lost: str
    failed: bool = False

    @property
    def verdict(self) -> Verdict:
        """What is to be said of it in one line."""
        if self.lost:
            again = "" if self.failed else ", trying again"
            return Verdict(Level.MASTER_LOST, f"not reached: {self.lost}{again}")
        return Verdict(Level.STARTING, "connecting")


class Overview(NamedTuple):
    """All that is drawn, of one cluster or of several.

    Attributes:
        clusters: those that are seen, in the order in which they were named; one at least.
        front: of these, the one whose charts and lookups are shown, and that is asked.
        unseen: those that were not reached yet.
    """

    clusters: tuple[Seen, ...]
    front: Seen
    unseen: tuple[Unseen, ...] = ()

    @property
    def several(self) -> bool:
        """Whether it must be told which cluster a thing is of."""
        return bool(self.front.name)

    @property
    def machines_told(self) -> list[str]:
        """The machines, where it must be told on which one a worker is; else none."""
        snapshots = [seen.snapshot for seen in self.clusters]
        told = any(map(are_several, snapshots))
        return [name for one in snapshots if told for name in machine_names(one)]

    @property
    def old(self) -> bool:
        """Whether figures of any are of the past."""
        return any(seen.old for seen in self.clusters)

    @property
    def replay_at(self) -> float | None:
        """The time that is shown, Unix time in seconds; None for now."""
        return self.front.replay_at

    @property
    def all(self) -> list[Seen | Unseen]:
        """Those that are seen and those that are not yet."""
        return [*self.clusters, *self.unseen]

    @property
    def events(self) -> dict[str, Sequence[Event]]:
        """The events of each by its name."""
        return {seen.name: seen.events for seen in self.clusters}

    def of(self, name: str) -> Seen | None:
        """What is seen of the cluster of that name; None for nothing yet."""
        return next((seen for seen in self.clusters if seen.name == name), None)


def alone(seen: Seen) -> Overview:
    """The overview of one cluster."""
    return Overview((seen,), seen)
