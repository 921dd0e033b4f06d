"""What `ps` says of the cluster, above its table of workers."""

from __future__ import annotations

from nodes.cli.steer import summary
from tests.console.fakes import cluster_snapshot, worker_view


def test_a_healthy_cluster_is_two_lines() -> None:
    cluster, figures = summary(cluster_snapshot([worker_view(1), worker_view(2, state="down")]))
    assert cluster.startswith("master 127.0.0.1:23000  up 1m15s  dataset people (5f2c91d0a3b4)")
    assert cluster.endswith("workers 1 up of 2")
    assert "answered 300" in figures


def test_what_lasts_has_a_line_each() -> None:
    lines = summary(cluster_snapshot(activity="reload: 1 of 3", journal_trouble="lost\x1b[31m"))
    assert lines[2:] == ["reload: 1 of 3", "lost\\x1b[31m"]
