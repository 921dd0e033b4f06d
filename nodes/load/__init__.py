"""A load on a cluster, and what came of it: who asks when, what, and how long it took."""

from __future__ import annotations

from nodes.load.histogram import Histogram
from nodes.load.report import Report
from nodes.load.runner import Ask, Outcome, Tally, play
from nodes.load.schedule import Plan, Schedule, spread
from nodes.load.workload import Question, asker, sample

__all__ = [
    "Ask",
    "Histogram",
    "Outcome",
    "Plan",
    "Question",
    "Report",
    "Schedule",
    "Tally",
    "asker",
    "play",
    "sample",
    "spread",
]
