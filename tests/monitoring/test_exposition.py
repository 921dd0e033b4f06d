"""The exposition of a snapshot, as Prometheus' own client library reads it."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from nodes.monitoring.exposition import MAX_WORKER_SERIES, exposition
from nodes.wire import DURATION_BOUNDS_S, ClusterSnapshot, EarlierCounts, LookupDurations
from tests.console.fakes import cluster_snapshot, machine_view, worker_view
from tests.monitoring.kit import LABELS, exposed, samples

MAX_SCRAPE_S = 0.002
"""Seconds of the processor that the text of 256 workers may take, on this machine alone."""


def durations(name: str, *buckets: int, seconds: float = 1.0) -> LookupDurations:
    """How long lookups took, in the first buckets."""
    rest = [0] * (len(DURATION_BOUNDS_S) + 1 - len(buckets))
    return LookupDurations(name, seconds, (*buckets, *rest))


def full_snapshot(workers: int = 3, **changes: Any) -> ClusterSnapshot:
    """One in which there is something to say of everything."""
    return cluster_snapshot(
        [worker_view(n, machine="m1", catalog="5f2c91") for n in range(1, workers + 1)],
        **{
            "program": "1.2.3",
            "wanted_workers": workers,
            "answered": 7,
            "errors_by_code": {"no_workers": 2},
            "refused_requests": {"bad_request": 3, "conflict": 1},
            "tls_expires_at": 1.8e9,
            "journal_dropped": 5,
            "machines": (machine_view("m1", room=4), machine_view("m2", lost="off", room=2)),
            "durations": (durations("getbyname", 1, 2, 4, seconds=0.5), durations("other")),
            **changes,
        },
    )


def value_of(snapshot: ClusterSnapshot, name: str, **labels: str) -> float:
    """A sample's value."""
    return samples(exposed(snapshot))[name, tuple(sorted(labels.items()))]


def lines(workers: int) -> int:
    """How many lines there are of so many workers."""
    return "".join(exposition(full_snapshot(workers))).count("\n")


def test_every_metric_has_help_type_prefix_unit_and_no_label_of_its_own() -> None:
    for name, metric in exposed(full_snapshot()).items():
        assert metric.documentation
        assert metric.type in ("gauge", "counter", "histogram")
        assert name.startswith("rollcall_")
        assert not any(unit in name for unit in ("_ms", "_percent", "_mb", "milli"))
        for sample in metric.samples:
            allowed = {"le"} if metric.type == "histogram" else set()
            allowed |= {"version"} if name == "rollcall_build_info" else set()
            assert set(sample.labels) <= LABELS | allowed, sample


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("rollcall_build_info", {"version": "1.2.3"}, 1),
        ("rollcall_workers", {"state": "up"}, 3),
        ("rollcall_workers", {"state": "down"}, 0),
        ("rollcall_workers_wanted", {}, 3),
        ("rollcall_lookups_total", {}, 7),
        ("rollcall_lookup_errors_total", {"code": "no_workers"}, 2),
        ("rollcall_lookup_errors_total", {"code": "deadline"}, 0),
        ("rollcall_refused_requests_total", {"code": "conflict"}, 1),
        ("rollcall_refused_requests_total", {"code": "forbidden"}, 0),
        ("rollcall_certificate_expiry_timestamp_seconds", {}, 1.8e9),
        ("rollcall_journal_dropped_events_total", {}, 5),
        ("rollcall_machine_reachable", {"machine": "m1"}, 1),
        ("rollcall_machine_reachable", {"machine": "m2"}, 0),
        ("rollcall_verdict", {"state": "degraded"}, 1),
        ("rollcall_verdict", {"state": "healthy"}, 0),
        ("rollcall_worker_info", {"worker": "w1", "machine": "m1", "catalog": "5f2c91"}, 1),
        ("rollcall_worker_up", {"worker": "w3"}, 1),
        ("rollcall_lookup_duration_seconds_sum", {"lookup": "getbyname"}, 0.5),
        ("rollcall_lookup_duration_seconds_count", {"lookup": "getbyname"}, 7),
        ("rollcall_lookup_duration_seconds_bucket", {"lookup": "getbyname", "le": "0.0005"}, 3),
        ("rollcall_lookup_duration_seconds_bucket", {"lookup": "getbyname", "le": "2.0"}, 7),
        ("rollcall_lookup_duration_seconds_bucket", {"lookup": "other", "le": "+Inf"}, 0),
    ],
)
def test_a_figure_is_told(name: str, labels: dict[str, str], value: float) -> None:
    assert value_of(full_snapshot(), name, **labels) == value


def test_the_histogram_goes_from_below_a_millisecond_to_the_deadline() -> None:
    assert DURATION_BOUNDS_S[1] == 0.0005
    assert DURATION_BOUNDS_S[-1] == 2.0


def test_what_there_is_not_is_not_told_as_zero() -> None:
    bare = exposed(cluster_snapshot(wanted_workers=None))
    absent = ("workers_wanted", "certificate_expiry_timestamp_seconds", "machine_reachable")
    assert {f"rollcall_{one}" for one in absent}.isdisjoint(bare)


def test_a_worker_s_counters_go_on_with_those_before_it() -> None:
    view = worker_view(1, attempts=10, served=9, restarts=1)
    earlier = EarlierCounts(served=90, attempts=100, hedged_away=4, restarts=2)
    snapshot = full_snapshot(workers=0, earlier={"w1": earlier})
    snapshot = msgspec.structs.replace(snapshot, workers=(view,))
    told = {
        name: value_of(snapshot, f"rollcall_worker_{name}_total", worker="w1")
        for name in ("lookups", "attempts", "hedged_away", "restarts")
    }
    assert told == {"lookups": 99, "attempts": 110, "hedged_away": 4, "restarts": 3}


def test_a_worker_that_is_gone_has_no_series_and_one_that_is_started_again_has() -> None:
    gone = worker_view(1, state="down", local=False)
    looping = worker_view(2, state="down", local=True, restarts=5)
    snapshot = msgspec.structs.replace(full_snapshot(0), workers=(gone, looping))
    told = samples(exposed(snapshot))
    assert ("rollcall_worker_restarts_total", (("worker", "w1"),)) not in told
    assert told["rollcall_worker_restarts_total", (("worker", "w2"),)] == 5
    assert told["rollcall_workers", (("state", "down"),)] == 2


def test_labels_are_escaped() -> None:
    name = 'a "b"\\\nc'
    snapshot = full_snapshot(machines=(machine_view(name),), dataset=name)
    assert value_of(snapshot, "rollcall_machine_reachable", machine=name) == 1
    [info] = exposed(snapshot)["rollcall_catalog_info"].samples
    assert info.labels["dataset"] == name


def test_however_many_workers_there_are_the_series_are_bounded() -> None:
    assert lines(256) < 256 * 16 + 300
    assert lines(MAX_WORKER_SERIES + 100) == lines(MAX_WORKER_SERIES)


def test_a_scrape_of_256_workers_is_quick() -> None:
    snapshot = full_snapshot(256)
    took = []
    for _ in range(20):
        began = time.thread_time()
        "".join(exposition(snapshot))
        took.append(time.thread_time() - began)
    assert min(took) < MAX_SCRAPE_S
