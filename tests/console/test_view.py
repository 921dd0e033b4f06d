"""What the console draws of what is seen: the head, worker rows, events, and the other panels."""

from __future__ import annotations

from typing import Any

import pytest

from console.events_view import event_rows, fold
from console.history import History
from console.lines import Tone, line_text, line_width
from console.lookups_view import lookup_columns, lookup_rows, slow_rows
from console.seen import Seen, alone
from console.states import STATES
from console.text import ASCII, UNICODE
from console.view import head_lines
from console.widgets.rows import Row
from console.worker_rows import choose, make_scene, total_row, worker_row
from nodes.wire import ClusterSnapshot, LookupView, SlowLookup, WorkerView
from nodes.wire.conditions import up_text
from tests.console.fakes import NOON, cluster_snapshot, event, worker_view


def seen(snapshot: ClusterSnapshot, **changes: Any) -> Seen:
    """What is seen of a snapshot."""
    history = History()
    history.add(snapshot)
    return Seen(snapshot, history, (), **changes)


def head(snapshot: ClusterSnapshot, width: int = 200, **changes: Any) -> list[str]:
    """The two lines at the top, as text."""
    return [
        line_text(line) for line in head_lines(alone(seen(snapshot, **changes)), width, UNICODE)
    ]


# -- the head ----------------------------------------------------------------------

BUSY = cluster_snapshot(
    [worker_view(1, frozen=True, state="suspect"), worker_view(2)],
    lookups_per_s=200.4,
    mean_lookups_per_s=198.0,
    p50_ms=0.27,
    p99_ms=2.3,
    busy=True,
    catalogs=("efa7e74a35e2",),
)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_head_never_wraps_and_health_and_figures_are_the_last_to_go(width: int) -> None:
    lines = head_lines(alone(seen(BUSY)), width, UNICODE)
    assert [line_width(line) for line in lines] == [width, width]
    said, figures = map(line_text, lines)
    assert said.startswith("  HEALTHY   frozen w1, busy machine")
    for part in ("200/s", "p99 2.3 ms", "err 0/s", "up 1 of 2"):
        assert part in figures


@pytest.mark.parametrize(
    ("workers", "wanted", "told"),
    [
        ([worker_view(1), worker_view(2)], 2, "up 2 of 2"),
        ([worker_view(1), worker_view(2, frozen=True)], 2, "up 1 of 2"),
        ([worker_view(1), worker_view(2, local=False)], 3, "up 1 of 3 + 1 elsewhere"),
        ([worker_view(1), worker_view(2)], 1, "up 2 of 1"),
        ([worker_view(1, local=False)], None, "up 1"),
    ],
)
def test_those_that_are_wanted_here_are_told_from_those_that_run_elsewhere(
    workers: list[WorkerView], wanted: int | None, told: str
) -> None:
    assert up_text(cluster_snapshot(workers, wanted_workers=wanted)) == told


def test_a_frozen_cluster_can_be_thawed_by_key() -> None:
    frozen = cluster_snapshot([worker_view(1, frozen=True)])
    assert "(f thaws)" in head(frozen)[0]


def test_failures_are_no_rate() -> None:
    failing = cluster_snapshot([], errors_per_s=200.0, errors=802)
    said, figures = head(failing)
    assert said.startswith("  OUTAGE   every lookup fails: no workers  (s spawns)")
    assert figures.startswith(" 0/s ")
    assert "p50 -" in figures
    assert "err 200/s" in figures


def test_old_figures_are_grey_and_say_how_old() -> None:
    lines = head_lines(alone(seen(BUSY, lost="refused", age_s=18.2)), 120, UNICODE)
    assert line_text(lines[0]).startswith("  MASTER LOST   18s ago: refused, trying again")
    assert line_text(lines[1]).startswith(" figures of 18s ago  200/s")
    assert {run.tone for run in lines[1] if run.text.strip()} == {Tone.FAINT}


def test_what_is_on_purpose_is_said_as_well() -> None:
    said, _ = head(cluster_snapshot([worker_view(1)]), read_only=True, traffic_per_s=50)
    assert "HEALTHY" in said
    assert "traffic 50/s, read-only" in said
    assert "attached to" in head(BUSY, attached=True)[0]


def test_a_key_that_helps_is_not_offered_to_who_may_not_use_it() -> None:
    assert "(s spawns)" not in head(cluster_snapshot(), read_only=True)[0]


# -- workers -----------------------------------------------------------------------


def rows(workers: list[WorkerView], width: int = 120, **changes: Any) -> tuple[list[Row], Row]:
    """The rows of workers, and the total."""
    chosen = choose(width, [worker.id for worker in workers])
    drawn = make_scene(seen(cluster_snapshot(workers), **changes), workers, UNICODE)
    return [worker_row(one, chosen, drawn) for one in workers], total_row(chosen, [drawn])


def test_no_state_is_told_by_colour_alone() -> None:
    signs = set()
    for state in ("up", "starting", "suspect", "unready", "draining", "down"):
        for glyphs in (UNICODE, ASCII):
            assert state in glyphs.states
        [row], _ = rows([worker_view(state=state)])
        assert state in row.cells[1]
        signs.add(row.cells[1])
    waiting = {"state": "starting", "why": "waiting for room: no machine has any"}
    for changes in ({"frozen": True}, {"slow": True}, {"breaker_open": True}, waiting):
        [row], _ = rows([worker_view(**changes)])
        signs.add(row.cells[1])
    assert len(signs) == len(STATES)


def test_trouble_stands_in_the_row_of_the_worker_that_has_it() -> None:
    [row], _ = rows([worker_view(slow=True, p99_ms=152.0, errors=3)])
    assert row.cells[1] == "◐ slow"
    assert "152!" in row.cells
    assert row.tones[1] is Tone.WARNING
    assert Tone.BAD in row.tones


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "40%"),
        ({"state": "draining"}, "40%"),
        ({"state": "suspect"}, "-"),
        ({"frozen": True}, "-"),
        ({"state": "starting"}, "-"),
        ({"state": "down"}, "-"),
    ],
)
def test_what_a_process_uses_is_told_while_it_answers(changes: dict[str, Any], told: str) -> None:
    sick = worker_view(1, cpu_percent=40.0, memory_bytes=0, **changes)
    [row, _], total = rows([sick, worker_view(2, cpu_percent=7.0)])
    assert told in row.cells
    assert ("47%" if told == "40%" else "7%") in total.cells


def test_of_a_lost_master_nothing_is_green() -> None:
    [row], _ = rows([worker_view()], lost="refused")
    assert row.tone is Tone.FAINT
    assert row.tones == ()


def test_totals_are_of_what_is_shown() -> None:
    workers = [worker_view(n, served=n, in_flight=1, errors=2) for n in range(1, 5)]
    _, total = rows(workers, 200)
    assert total.cells[1] == "4 up"
    assert {"4", "8", "10"} <= set(total.cells)


def test_each_worker_is_counted_in_one_state() -> None:
    workers = [
        worker_view(1),
        worker_view(2, frozen=True, state="suspect"),
        worker_view(3, slow=True),
    ]
    shown, total = rows(workers)
    assert [row.cells[1].split()[1] for row in shown] == ["up", "frozen", "slow"]
    assert total.cells[1] == "2 up of 3"


@pytest.mark.parametrize("width", [60, 80, 120, 200, 300])
def test_the_columns_fit_and_the_state_is_always_there(width: int) -> None:
    chosen = choose(width, ["w1", "w2"])
    assert sum(cells + 1 for _, cells in chosen) + 1 <= width
    assert {"ID", "STATE", "/S", "P99"} <= {column.title for column, _ in chosen}


def test_long_ids_are_told_apart() -> None:
    ids = [f"worker-eu-west-1{zone}-{n}" for zone in "abc" for n in range(4)]
    for width in (80, 120, 300):
        workers = [worker_view(1, id=one) for one in ids]
        shown, _ = rows(workers, width)
        assert len({row.cells[0] for row in shown}) == len(ids)


# -- events ------------------------------------------------------------------------


def test_like_events_are_one_line() -> None:
    events = [
        event(1, "proved", "w1"),
        event(2, "proved", "w2"),
        event(3, "proved", "w3"),
        event(4, "lost", "w1", "killed by SIGKILL"),
        event(30, "lost", "w1", "killed by SIGKILL"),
    ]
    assert [len(one.events) for one in fold(events)] == [3, 1, 1]
    first, second, third = event_rows({"": events})
    assert (first.key, second.key, third.key) == ("30", "4", "3")
    assert third.cells[1:] == ("3", "proved", "w1, w2, w3")
    assert second.cells[1:] == ("w1", "lost", "killed by SIGKILL")
    assert second.tones[2] is Tone.BAD


# -- lookups -----------------------------------------------------------------------


def test_slow_lookups_say_what_became_of_them() -> None:
    slow = [
        SlowLookup(NOON, "getbyname", "xander", 152.0, 2, "w1", "hedged", ""),
        SlowLookup(NOON, "getbyname", "\x1b[31m", 2000.0, 0, "", "", "timeout"),
    ]
    one, other = slow_rows(slow)
    assert one.cells[1:] == ("152", "2", "w1", "hedged", "getbyname xander")
    assert other.cells[1:] == ("2.00s", "0", "-", "timeout", "getbyname \\x1b[31m")
    assert other.tones[4] is Tone.BAD


def test_lookups_by_name() -> None:
    lookups = (LookupView("getbyname", 12.5, 0.2, None, 900, 40, 3),)
    for width, trends in ((58, ()), (70, ("        █",))):
        columns = lookup_columns(width)
        [row] = lookup_rows(seen(cluster_snapshot(lookups=lookups)), columns, UNICODE)
        told = tuple(cell for cell, _ in zip(row.cells, columns, strict=False))
        assert told[:7] == ("getbyname", "12", "0.20", "-", "860", "40", "3")
        assert [cell.strip() for cell in told[7:]] == [cell.strip() for cell in trends]
