"""Readiness: whether a lookup would be answered now, in the verdict's words; pure."""

from __future__ import annotations

from typing import NamedTuple

from nodes.wire import ClusterSnapshot, Level, verdict

ANSWERING = (Level.HEALTHY, Level.DEGRADED)
"""The verdicts with which a lookup is answered."""


class Readiness(NamedTuple):
    """Whether a lookup would be answered, and what is to be said of the cluster in a line."""

    ready: bool
    said: str


def readiness(snapshot: ClusterSnapshot) -> Readiness:
    """As that snapshot has it."""
    found = verdict(snapshot)
    return Readiness(found.level in ANSWERING, found.line)
