"""The load generator: who asks when, what, and how long it took.

Imports the client and what is below it; only the commands and the benchmarks import it.
"""

from __future__ import annotations

from nodes.load.histogram import Histogram
from nodes.load.report import LoadReport
from nodes.load.runner import LoadStats, MakeCall, Outcome, run_schedule
from nodes.load.schedule import LoadPlan, Schedule, spread
from nodes.load.workload import LookupCall, make_caller, sample_lookups

__all__ = [
    "Histogram",
    "LoadPlan",
    "LoadReport",
    "LoadStats",
    "LookupCall",
    "MakeCall",
    "Outcome",
    "Schedule",
    "make_caller",
    "run_schedule",
    "sample_lookups",
    "spread",
]
