"""What `ps` says of the cluster, above its table of workers."""

from __future__ import annotations

import pytest

from nodes.cli.steer import WORKER_COLUMNS, summary, worker_row
from tests.console.fakes import NOON, cluster_snapshot, machine_view, worker_view


@pytest.mark.parametrize(
    ("state", "slow", "shown"),
    [("up", False, "up"), ("up", True, "slow"), ("suspect", True, "suspect")],
)
def test_a_worker_s_trouble_is_in_its_row(state: str, slow: bool, shown: str) -> None:
    view = worker_view(1, state=state, slow=slow, hedged_away=18, errors=3, p99_ms=152.0)
    cells = dict(zip(WORKER_COLUMNS, worker_row(view, NOON), strict=True))
    assert cells["STATE"] == shown
    assert (cells["HEDGED"], cells["ERR"], cells["P99"]) == ("18", "3", "152 ms")


def test_each_of_several_machines_has_a_line_and_a_single_one_only_if_it_is_lost() -> None:
    lost = machine_view("m10", lost="no route to host\x1b", since=NOON - 12, workers=0, away=1)
    workers = [
        worker_view(1, machine="m1"),
        worker_view(2, machine="m1", state="starting", why="waiting for room: none has any"),
        worker_view(3, machine="db7", local=False),
    ]
    lines = summary(cluster_snapshot(workers, machines=(lost, machine_view())))
    assert lines[-3:] == [
        "machine db7  1 up  not of this fleet",
        "machine m1   1 up, 1 waiting  room for 2 more",
        "machine m10  no workers  lost 12s ago, 1 worker elsewhere: no route to host\\x1b",
    ]
    assert len(summary(cluster_snapshot(workers[:1], machines=(machine_view(),)))) == 4
    assert "machine m10" in summary(cluster_snapshot(machines=(lost,)))[-1]


def test_a_worker_s_machine_and_its_wait_are_in_its_row() -> None:
    view = worker_view(1, machine="m1", state="starting", why="waiting for room: none has any")
    cells = dict(zip(WORKER_COLUMNS, worker_row(view, NOON), strict=True))
    assert (cells["MACHINE"], cells["STATE"]) == ("m1", "waiting")


def test_a_healthy_cluster_is_four_lines() -> None:
    workers = [worker_view(1), worker_view(2, state="down", local=False)]
    said, cluster, figures, counts = summary(cluster_snapshot(workers, wanted_workers=1))
    assert said.startswith("HEALTHY")
    assert cluster.startswith("master 127.0.0.1:23000  up 1m15s  dataset people (5f2c91d0a3b4)")
    assert cluster.endswith("workers up 1 of 1")
    assert figures.startswith("0.0 lookups/s (mean 0.0)  p50 - ")
    assert counts.startswith("answered 300  errors 0  reroutes 0")


def test_rates_say_what_they_are_of_and_errors_have_their_codes() -> None:
    _, _, figures, counts = summary(
        cluster_snapshot(
            lookups_per_s=200.0,
            mean_lookups_per_s=198.0,
            errors_per_s=3.0,
            in_flight=2,
            waiting=7,
            errors=12,
            errors_by_code={"no_workers": 2, "deadline": 10},
        )
    )
    assert figures.startswith("200.0 lookups/s (mean 198.0)")
    assert figures.endswith("errors/s 3.0  in flight 2  waiting 7")
    assert "errors 12 (deadline 10, no_workers 2)" in counts


def test_what_is_wrong_comes_first_with_the_command_that_helps() -> None:
    assert summary(cluster_snapshot())[0] == "OUTAGE  no workers ('rollcall-nodes spawn')"
    busy = summary(cluster_snapshot(busy=True))[0]
    assert busy == "OUTAGE  no workers ('rollcall-nodes spawn')  busy machine"
    one = [worker_view(1)]
    lines = summary(
        cluster_snapshot(one, activity="reload: 1 of 3", journal_trouble="lost\x1b[31m")
    )
    assert lines[0] == "DEGRADED  lost\\x1b[31m  reload: 1 of 3"
