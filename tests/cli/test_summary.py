"""What `ps` says of the cluster, above its table of workers."""

from __future__ import annotations

from nodes.cli.steer import summary
from tests.console.fakes import cluster_snapshot, worker_view


def test_a_healthy_cluster_is_three_lines() -> None:
    said, cluster, figures = summary(
        cluster_snapshot(
            [worker_view(1), worker_view(2, state="down", local=False)], wanted_workers=1
        )
    )
    assert said.startswith("HEALTHY")
    assert cluster.startswith("master 127.0.0.1:23000  up 1m15s  dataset people (5f2c91d0a3b4)")
    assert cluster.endswith("workers 1 up of 2")
    assert "answered 300" in figures


def test_what_is_wrong_comes_first_with_the_command_that_helps() -> None:
    assert summary(cluster_snapshot())[0] == "OUTAGE  no workers ('rollcall-nodes spawn')"
    one = [worker_view(1)]
    lines = summary(
        cluster_snapshot(one, activity="reload: 1 of 3", journal_trouble="lost\x1b[31m")
    )
    assert lines[0] == "DEGRADED  lost\\x1b[31m  reload: 1 of 3"
