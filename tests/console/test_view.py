"""What the console draws of a snapshot: rows, totals, and the two lines at the top."""

from __future__ import annotations

from console.text import ASCII, UNICODE
from console.view import header, load_rows, totals_row, worker_row
from tests.console.fakes import NOON, cluster_snapshot, worker_view


def test_no_state_is_told_by_colour_alone() -> None:
    for state in ("up", "starting", "suspect", "draining", "down"):
        for glyphs in (UNICODE, ASCII):
            assert state in worker_row(worker_view(state=state), NOON, glyphs).cells[1]
    assert "frozen" in worker_row(worker_view(frozen=True), NOON, UNICODE).cells[1]


def test_totals_are_sums() -> None:
    workers = [worker_view(n, served=n, in_flight=1, errors=2) for n in range(1, 5)]
    cells = totals_row(cluster_snapshot(workers)).cells
    assert (cells[1], cells[2], cells[3], cells[7]) == ("4 up/4", "10", "4", "8")


def test_versions_that_differ_are_said_to() -> None:
    what, _how = header(cluster_snapshot(catalogs=("a", "b")), read_only=True, attached=True)
    assert "a, b (versions differ)" in what
    assert "READ-ONLY" in what
    assert "attached to" in what


def test_load_is_of_those_that_are_there() -> None:
    workers = [
        worker_view(1, lookups_per_s=30.0),
        worker_view(2, lookups_per_s=10.0),
        worker_view(3, state="down", lookups_per_s=99.0),
    ]
    rows = load_rows(workers, {}, 44, ASCII)
    assert [row.key for row in rows] == ["w1", "w2"]
    assert "75%" in rows[0].cells[0]
    assert "25%" in rows[1].cells[0]
