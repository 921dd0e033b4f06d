"""What there is to be seen: the newest snapshot, how old it is, and what led to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.history import History
from console.keys import DECLARED_KEYS, Keys
from nodes.wire import ClusterSnapshot, Event, Verdict, verdict

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
