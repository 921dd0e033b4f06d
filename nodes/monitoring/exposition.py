"""The exposition of metrics: a snapshot as text in Prometheus' format, version 0.0.4; pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from nodes.monitoring.families import (
    CLUSTER_FAMILIES,
    DURATION,
    DURATION_TEXT,
    WORKER_FAMILIES,
    WORKER_INFO,
    WORKER_INFO_TEXT,
    Sample,
)
from nodes.routing import State
from nodes.wire import DURATION_BOUNDS_S, ClusterSnapshot, EarlierCounts, LookupDurations

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MAX_WORKER_SERIES = 512
"""Workers that have series of their own: the first by their ids. There are seldom half as many."""

_BOUNDS = (*map(repr, DURATION_BOUNDS_S), "+Inf")
_NOTHING = EarlierCounts()


def exposition(snapshot: ClusterSnapshot) -> Iterator[str]:
    """The metrics of a snapshot: the text, a part for each of them."""
    for family in CLUSTER_FAMILIES:
        yield _told(family.name, family.kind, family.text, family.samples(snapshot))
    yield _histogram(snapshot.durations)
    # Of a worker that is gone, and is not started again, nothing is told.
    there = [one for one in snapshot.workers if one.state != State.DOWN or one.local]
    workers = there[:MAX_WORKER_SERIES]
    places = [
        ({"worker": one.id, "machine": one.machine, "catalog": one.catalog}, 1) for one in workers
    ]
    yield _told(WORKER_INFO, "gauge", WORKER_INFO_TEXT, places)
    rows = [
        (_labels({"worker": one.id}), one, snapshot.earlier.get(one.id, _NOTHING))
        for one in workers
    ]
    for name, kind, text, value in WORKER_FAMILIES:
        yield _joined(
            name,
            kind,
            text,
            [f"{name}{labels} {value(one, more)!r}\n" for labels, one, more in rows],
        )


def _told(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"{name}{_labels(labels)} {value!r}\n" for labels, value in samples]
    return _joined(name, kind, text, lines)


def _histogram(durations: Iterable[LookupDurations]) -> str:
    """How long lookups took, by name: each bucket has those of the ones before as well."""
    lines = []
    for one in durations:
        named = _labels({"lookup": one.name})
        counts = list(itertools.accumulate(one.buckets))
        lines += [
            f'{DURATION}_bucket{named[:-1]},le="{bound}"}} {count}\n'
            for bound, count in zip(_BOUNDS, counts, strict=True)
        ]
        lines.append(f"{DURATION}_sum{named} {one.seconds!r}\n")
        lines.append(f"{DURATION}_count{named} {counts[-1]}\n")
    return _joined(DURATION, "histogram", DURATION_TEXT, lines)


def _joined(name: str, kind: str, text: str, lines: list[str]) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}" if lines else ""


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
