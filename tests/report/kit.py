"""Made material for reports: a snapshot a second from noon on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from typing import Any

from nodes.master.journal import second_of
from nodes.report.figures import Material, build_report
from nodes.report.model import Report
from nodes.wire import (
    DURATION_BOUNDS_S,
    ClusterSnapshot,
    Event,
    LookupDurations,
    Second,
    SlowLookup,
    WorkerView,
)
from tests.console.fakes import NOON, cluster_snapshot, worker_view

RATE = 100
"""Lookups in each second, half of them answered by each of two workers."""


def snapshot(second: float, **changes: Any) -> ClusterSnapshot:
    """The cluster so many seconds after noon, if its master began at noon."""
    counted = int(second * RATE)
    changes.setdefault("workers", (worker(1, counted // 2), worker(2, counted - counted // 2)))
    given: dict[str, Any] = {
        "taken_at": NOON + second,
        "uptime_s": float(second),
        "answered": counted,
        "lookups_per_s": float(RATE),
        "p50_ms": 0.3,
        "p99_ms": 2.0,
    }
    return cluster_snapshot(changes.pop("workers"), **(given | changes))


def worker(number: int, served: int = 0, **changes: Any) -> WorkerView:
    """A worker that served so many."""
    changes.setdefault("uptime_s", served / RATE * 2)
    return worker_view(number, served=served, attempts=served, **changes)


def slow_lookup(at: float = NOON + 1, **changes: Any) -> SlowLookup:
    """A slow lookup."""
    given: dict[str, Any] = {
        "name": "getbyname",
        "arguments": "xander",
        "ms": 120.0,
        "attempts": 2,
        "worker": "w1",
        "why": "hedged",
        "code": "",
        "request_id": "",
    }
    return SlowLookup(at=at, **(given | changes))


def durations(name: str, quick: int, slow: int) -> LookupDurations:
    """So many lookups of that name took up to 1 ms, and so many from 100 ms to 250 ms."""
    counts = {0.001: quick, 0.25: slow}
    buckets = tuple(counts.get(bound, 0) for bound in (*DURATION_BOUNDS_S, math.inf))
    return LookupDurations(name, quick * 0.0008 + slow * 0.2, buckets)


def event(second: float, kind: str = "lost", worker: str = "w1", text: str = "killed") -> Event:
    """An event so many seconds after noon."""
    return Event(int(second) + 1, NOON + second, kind, worker, text)


def material(
    snapshots: Iterable[ClusterSnapshot] = (),
    seconds: Iterable[Second] = (),
    events: Sequence[Event] = (),
    **changes: Any,
) -> Material:
    """What a master wrote down."""
    given: dict[str, Any] = {
        "source": "what its master wrote down",
        "seconds": seconds,
        "snapshots": snapshots,
        "snapshot_every_s": 1.0,
        "events": events,
        "knows_starts": bool(events),
    }
    return Material(**(given | changes))


def report_of(found: Material, first: float = 0.0, last: float = 60.0, **options: Any) -> Report:
    """The report from one second after noon to another."""
    return build_report(found, first=NOON + first, last=NOON + last, made_at=NOON + 3600, **options)


def seconds_of(snapshots: Iterable[ClusterSnapshot]) -> list[Second]:
    """The same in a journal."""
    return [second_of(one) for one in snapshots]


class Tags(HTMLParser):
    """The tags of a page, each with its attributes, and its text.

    Args:
        page: of HTML.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def names(self) -> list[str]:
        """Of the tags, in their order."""
        return [tag for tag, _ in self.tags]
