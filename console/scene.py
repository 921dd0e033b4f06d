"""What the rows of one cluster have in common in one drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.history import History
from console.text import Glyphs
from nodes.support.units import duration
from nodes.wire import ClusterSnapshot, WorkerView


class Scene(NamedTuple):
    """What the cells of one cluster have in common in one drawing; `top_per_s` is one scale for
    the rows of all clusters. `name` is the cluster's, `age_s` how old what is seen of it is;
    `shown` are those of its workers that are.
    """

    name: str
    age_s: float
    snapshot: ClusterSnapshot
    history: History
    glyphs: Glyphs
    shown: Sequence[WorkerView]
    mean_per_s: float
    live: int
    top_per_s: float
    stale: bool
    searched: bool

    @property
    def label(self) -> str:
        """The cluster's name, if it has one, and how old what is seen of it is."""
        return f"{self.name} {duration(self.age_s)} ago" if self.name and self.stale else self.name
