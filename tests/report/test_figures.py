"""A report's figures: counted once, whatever became of master, clock and files meanwhile."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from nodes.errors import DataError
from nodes.report.columns import Grid, Ranges, step_for
from nodes.report.figures import build_report
from nodes.report.growth import Growth, Growths
from nodes.report.redaction import redacted
from nodes.report.timeline import MAX_STRETCHES, Timeline
from nodes.report.worker_tally import MAX_WORKERS
from nodes.wire import ClusterSnapshot
from tests.console.fakes import NOON, machine_view
from tests.report.kit import (
    RATE,
    durations,
    event,
    material,
    report_of,
    seconds_of,
    slow_lookup,
    snapshot,
    worker,
)

MINUTE = [snapshot(n) for n in range(61)]


# -- counters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "total"),
    [
        ([(-1, 100), (1, 130), (2, 150)], 50),
        ([(1, 130), (2, 150)], 20),
        ([(-1, 100), (1, 130), (2, 7), (3, 9)], 39),
        ([(-5, 3), (-1, 100)], 0),
        ([(-1, 100), (3, 160), (1, 130), (2, 150), (4, 170)], 0),
    ],
    ids=["before it", "no more is known", "began anew", "all before", "out of order"],
)
def test_a_counter_grows_by_what_was_counted(samples: list[tuple[int, int]], total: int) -> None:
    growth = Growth(0.0)
    for at, value in samples:
        growth.add(at, value)
    if total:
        assert growth.total == total


def test_a_counter_that_began_within_the_time_began_with_zero() -> None:
    growth = Growth(0.0)
    growth.add(3.0, 40, began=1.0)
    growth.add(9.0, 50, began=5.0)
    assert growth.total == 90, "the second has counted 50 by itself, though that is more"


def test_a_name_that_appears_later_began_with_zero() -> None:
    growths = Growths(0.0)
    growths.add(-1.0, {"deadline": 5}, -9.0)
    growths.add(2.0, {"deadline": 5, "no_workers": 3}, -9.0)
    assert growths.totals() == {"no_workers": 3}


# -- columns -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span_s", "step_s"), [(0, 1), (600, 1), (601, 2), (3600, 10), (86400, 300), (7 * 86400, 1800)]
)
def test_there_are_never_more_columns_than_there_may_be(span_s: int, step_s: int) -> None:
    assert step_for(span_s, 600) == step_s
    assert 1 <= Grid(0.0, span_s, 600).count <= 600


def test_a_single_bad_second_of_a_day_stays_visible() -> None:
    grid = Grid(0.0, 86400.0, 600)
    ranges = Ranges(grid)
    for second in range(0, 86400, 4):
        ranges.add(second - 4, second, 900.0 if second == 40_000 else 2.0)
    series = ranges.series()
    assert series.peak is not None and (series.peak.at, series.peak.value) == (40_000, 900.0)
    columns = [one for one in series.columns if one is not None]
    assert [high for _, _, high in columns if high > 2.0] == [900.0]
    assert all(low == 2.0 for low, _, _ in columns)
    assert len(columns) == grid.count


def test_samples_a_little_more_than_a_second_apart_leave_no_hole_and_a_gap_stays_one() -> None:
    ranges = Ranges(Grid(0.0, 60.0, 600))
    times = [n * 1.04 for n in range(30)]
    for since, at in itertools.pairwise([*times, 50.0]):
        ranges.add(since, at, 1.0)
    known = [one is not None for one in ranges.series().columns]
    assert known == [False, *[True] * 30, *[False] * 19, True, *[False] * 9]


# -- the verdict ---------------------------------------------------------------------------


def test_the_time_of_each_level_adds_up_and_what_was_said_is_kept() -> None:
    timeline = Timeline(Grid(0.0, 100.0, 600), 100.0)
    for at in range(1, 61):
        bad = 20 < at <= 30
        timeline.add(at, "DEGRADED" if bad else "HEALTHY", f"w1 slow, {at}" if bad else "")
    found = timeline.figures()
    assert found.seconds == {"DEGRADED": 10.0, "HEALTHY": 50.0}
    assert found.unknown_s == 40.0
    [stretch] = found.stretches
    assert (stretch.begin, stretch.end) == (20, 30)
    assert (stretch.first_words, stretch.last_words) == ("w1 slow, 21", "w1 slow, 30")
    levels = timeline.levels()
    assert (levels[5], levels[25], levels[80]) == ("HEALTHY", "DEGRADED", "")


def test_of_many_stretches_the_gravest_are_kept() -> None:
    timeline = Timeline(Grid(0.0, 2000.0, 600), 2000.0)
    for at in range(1, 2001):
        outage = at in (500, 501, 1500)
        timeline.add(at, "OUTAGE" if outage else "DEGRADED" if at % 2 else "HEALTHY", "")
    found = timeline.figures()
    assert len(found.stretches) == MAX_STRETCHES
    assert sum(one.level == "OUTAGE" for one in found.stretches) == 2
    assert len(found.stretches) + found.left_out == 999 + 2


# -- all of it -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["recording", "journal", "both"])
def test_what_was_counted_is_told_once(source: str) -> None:
    journal = seconds_of(MINUTE) if source != "recording" else []
    recording = MINUTE if source != "journal" else []
    report = report_of(material(recording, journal, [event(0, "started", "")]))
    assert report.totals.answered == 60 * RATE
    assert report.verdict.seconds == {"HEALTHY": 60.0}
    assert report.charts.lookups_per_s.peak is not None
    assert report.charts.lookups_per_s.peak.value == RATE
    if recording:
        assert [one.served for one in report.workers] == [30 * RATE, 30 * RATE]
    else:
        assert "nothing was recorded" in report.notes[0]


def test_seconds_that_were_not_recorded_are_told() -> None:
    found = material(MINUTE[:20] + MINUTE[40:], seconds_of(MINUTE))
    [note] = report_of(found).notes
    assert note.startswith("of 20s only the totals are known")
    assert not report_of(material(MINUTE[::10], seconds_of(MINUTE), snapshot_every_s=10.0)).notes


def test_that_its_master_could_not_be_asked_is_told_of_a_report_up_to_now() -> None:
    found = material(MINUTE, seconds_of(MINUTE))
    [note] = build_report(found, first=NOON, last=NOON + 60, made_at=NOON + 60).notes
    assert note.startswith("the master could not be asked")
    asked = found._replace(now_at=NOON + 60)
    assert not build_report(asked, first=NOON, last=NOON + 60, made_at=NOON + 60).notes


def test_a_last_word_a_moment_after_the_last_second_is_no_rate() -> None:
    now = msgspec.structs.replace(MINUTE[60], taken_at=NOON + 60.02, answered=61 * RATE)
    report = report_of(material([*MINUTE, now], seconds_of(MINUTE)), 0, 60.05)
    *_, last = filter(None, report.charts.lookups_per_s.columns)
    assert last == (RATE, RATE, RATE)


def test_of_a_part_of_the_time_only_what_was_counted_in_it_is_told() -> None:
    report = report_of(material(MINUTE, seconds_of(MINUTE)), 20, 40)
    assert report.totals.answered == 20 * RATE
    assert [one.served for one in report.workers] == [10 * RATE, 10 * RATE]


def test_seconds_that_were_left_out_cost_no_counts() -> None:
    found = material(MINUTE[::10], seconds_of(MINUTE), snapshot_every_s=10.0)
    report = report_of(found)
    assert report.totals.answered == 60 * RATE
    assert [one.served for one in report.workers] == [30 * RATE, 30 * RATE]


def test_a_master_that_was_restarted_and_a_worker_that_died_count_on() -> None:
    second = [
        msgspec.structs.replace(
            snapshot(n, workers=(worker(1, n * 40, generation=1), worker(2, n * 60))),
            taken_at=NOON + 70 + n,
        )
        for n in range(1, 31)
    ]
    starts = [event(0, "started", ""), event(70, "started", "")]
    report = report_of(material([*MINUTE, *second], events=starts), 0, 100)
    assert report.totals.answered == 60 * RATE + 30 * RATE
    assert sum(one.served for one in report.workers) == 90 * RATE
    assert report.verdict.unknown_s == pytest.approx(10.0, abs=1.0), "no master ran"


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    later = [msgspec.structs.replace(one, taken_at=one.taken_at - 40) for one in MINUTE[50:]]
    seconds = [*seconds_of(MINUTE[:50]), *seconds_of(later)]
    report = report_of(material(seconds=seconds, events=[event(0, "started", "")]))
    assert report.totals.answered == 60 * RATE


def test_nothing_of_that_time_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing was written down"):
        report_of(material(MINUTE), 100, 200)


def test_lookups_are_told_by_name_by_code_and_the_slowest_once() -> None:
    slow = (slow_lookup(request_id="a"), slow_lookup(NOON + 2, ms=300.0, request_id="b"))
    failed = slow_lookup(NOON + 3, code="deadline", why="", request_id="c")
    before = slow_lookup(NOON - 3, request_id="d")
    taken = [
        snapshot(
            n,
            slow=(failed, *slow, before),
            errors=3 if n > 30 else 0,
            errors_by_code={"deadline": 2, "no_workers": 1} if n > 30 else {},
        )
        for n in range(61)
    ]
    report = report_of(material(taken))
    assert report.totals.errors_by_code == {"deadline": 2, "no_workers": 1}
    assert report.totals.errors == 3
    assert [one.request_id for one in report.slow] == ["b", "a"]
    assert [one.request_id for one in report.failed] == ["c"]
    hidden = report_of(material(taken), with_arguments=False)
    assert {one.arguments for one in (*hidden.slow, *hidden.failed)} == {""}


def test_how_long_all_lookups_of_the_time_took_is_told_whatever_the_master_went_through() -> None:
    """A master that counts on, and one after it, of which the last second is two names'."""
    first = [snapshot(n, durations=(durations("getbyname", 90 * n, 10 * n),)) for n in range(31)]
    second = [
        snapshot(
            30 + n,
            uptime_s=float(n),
            durations=(durations("getbyname", 95 * n, 0), durations("in batches", 0, 5 * n)),
        )
        for n in range(1, 31)
    ]
    taken = [*first[:1], *first[5::5], *second[4::5]]
    starts = [event(0, "started", ""), event(30.5, "started", "")]
    report = report_of(material(taken, events=starts, snapshot_every_s=5.0), 20, 50)
    counts = dict(report.latencies)
    assert (counts[1.0], counts[250.0]) == (10 * 90 + 20 * 95, 10 * 10 + 20 * 5)
    assert sum(counts.values()) == 30 * RATE
    assert report.totals.p99_ms == (100.0, 250.0)
    assert report_of(material(MINUTE)).totals.p99_ms is None, "by an older version"


def test_an_event_is_a_mark_with_the_gravest_first() -> None:
    events = [event(10, "spawned", "w3"), event(10, "lost", "w1"), event(10, "proved", "w3")]
    report = report_of(material(MINUTE, events=events))
    [mark] = report.events.marks
    assert (mark.letter, mark.bad, mark.count) == ("x", True, 2)
    assert mark.text.startswith("w1 lost")
    assert report.events.counts == {"lost": 1, "proved": 1, "spawned": 1}
    assert len(report.events.shown) == 3


def test_more_workers_than_are_told_of_are_counted() -> None:
    crowd = tuple(worker(n, served=n) for n in range(1, MAX_WORKERS + 11))
    report = report_of(material([snapshot(1, workers=crowd), snapshot(2, workers=crowd)]))
    assert (len(report.workers), report.workers_left_out) == (MAX_WORKERS, 10)


@pytest.mark.parametrize(
    ("given", "told"),
    [(("--watch", "--require-token"), "--watch, --require-token"), ((), "none"), (None, None)],
    ids=["two", "none", "an older version"],
)
def test_how_the_cluster_was_started_is_told(
    given: tuple[str, ...] | None, told: str | None
) -> None:
    assert report_of(material([snapshot(1, options=given)])).configuration.get("options") == told


# -- secrets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("the journal /home/ann/.local/state/j cannot", "the journal ~/.local/state/j cannot"),
        ("'/Users/ann lee' and /root/x, /root", "'~ lee' and ~/x, ~"),
        ("postgresql://ann:s3:cret@db:5432/people", "postgresql://...@db:5432/people"),
        ("postgresql://ann:s3@cret@db/people", "postgresql://...@db/people"),
        ("/srv/home/ann and a/root/b", "/srv/home/ann and a/root/b"),
        ("w1@north 12:30", "w1@north 12:30"),
    ],
)
def test_homes_and_passwords_are_left_out(text: str, left: str) -> None:
    assert redacted(text) == left


def test_they_are_left_out_of_every_text() -> None:
    private = "/home/ann/x"
    taken: list[ClusterSnapshot] = [
        snapshot(
            n,
            journal_trouble=f"{private} cannot be written",
            workers=(worker(1, state="suspect", why=private, machine=private),),
            machines=(machine_view(lost=private),),
            dataset=private,
        )
        for n in range(3)
    ]
    found = material(taken, events=[event(1, text=private)], missing=lambda: [private])
    assert b"/ann" not in msgspec.json.encode(report_of(found))
