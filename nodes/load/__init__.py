"""A load on a cluster, and what came of it: who asks when, what, and how long it took."""

from __future__ import annotations

from nodes.load.histogram import Histogram
from nodes.load.mix import Question, asker, sample
from nodes.load.play import Ask, Outcome, Tally, play
from nodes.load.report import Report
from nodes.load.schedule import Plan, Schedule, spread

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
