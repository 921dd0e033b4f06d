"""The panels: what they show, what they say when they are empty, and where a key leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.charts_view import chart_lines, heat_lines
from console.export import export
from console.history import History
from console.lines import Tone, line_text
from console.messages import LookupAnswered, LookupRefused
from console.plan import Part
from console.query import correction
from console.screens.confirm import MessageScreen
from console.screens.worker import WorkerScreen
from console.seen import Seen, alone
from console.text import UNICODE
from nodes.errors import BadRequest
from nodes.wire import LookupView, Second, SlowLookup
from tests.console.fakes import (
    NOON,
    SHAPES,
    FakeCluster,
    cluster_snapshot,
    envelope,
    event,
    run,
    shown,
    worker_view,
)


def second(at: float, rate: float, hedges: int = 0, errors: int = 0) -> Second:
    """What a journal has of a second."""
    return Second(at, rate, 0.3, 2.0, 1, 100, errors, 0, hedges, 3)


# -- charts ------------------------------------------------------------------------------


def test_a_console_that_is_opened_later_shows_what_was_before() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        cluster.seconds = [second(NOON - 200 + n, 500.0, hedges=n // 50) for n in range(180)]
        async with shown(cluster) as console:
            await console.until(lambda: len(console.app.front.history.cluster) > 150)
            await console.until(lambda: "500" in console.text())
            assert "█" in console.lines()[5]
            axis = next(line for line in console.lines() if "-4m" in line)
            assert axis.count("h") >= 2

    run(test)


def test_what_the_journal_has_is_older_than_what_was_seen() -> None:
    history = History()
    history.add(cluster_snapshot([], lookups_per_s=7.0))
    history.seed([second(NOON - 2, 5.0), second(NOON - 1, 6.0, errors=4), second(NOON + 1, 9.0)])
    samples = history.cluster
    assert [sample.lookups_per_s for sample in samples] == [5.0, 6.0, 7.0]
    assert samples[1].errors_per_s == 4.0
    assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)


def test_errors_are_marked_whether_or_not_that_second_was_looked_at() -> None:
    history = History()
    for at, errors in enumerate((0, 0, 7, 7, 2, 3)):  # at the fifth, another master began
        history.add(cluster_snapshot(taken_at=NOON + at, errors=errors))
    assert [mark.at - NOON for mark in history.error_marks()] == [2.0, 5.0]


def test_what_fails_stands_on_top_of_what_is_answered_and_is_no_throughput() -> None:
    history = History()
    for at in range(90):
        failed = 100.0 if at > 60 else 0.0
        now = cluster_snapshot(
            taken_at=NOON + at,
            lookups_per_s=100.0 - failed,
            errors_per_s=failed,
            errors=100 * max(0, at - 60),
        )
        history.add(now)
    lines = chart_lines(Seen(now, history, ()), (80, 6), UNICODE)
    bad = "".join(run.text for line in lines for run in line if run.tone is Tone.BAD)
    good = "".join(run.text for line in lines for run in line if run.tone is Tone.BAR)
    assert bad.count("█") == pytest.approx(good.count("█"), rel=0.2)
    assert "E" in bad, "and not by its colour alone"


def test_a_panel_that_has_a_place_only_now_shows_what_is_so_now() -> None:
    async def test() -> None:
        many = [worker_view(n) for n in range(1, 31)]
        lookups = (LookupView("getbyname", 12.0, 0.2, 1.0, 900, 40, 0),)
        async with shown(FakeCluster(cluster_snapshot(many, lookups=lookups))) as console:
            assert "FOUND" not in console.text()
            few = (LookupView("getbyname", 0.0, None, None, 900, 40, 77),)
            await console.show_snapshot(cluster_snapshot(many[:2], lookups=few))
            await console.until(lambda: "FOUND" in console.text())
            row = next(line for line in console.lines() if "getbyname" in line and "860" in line)
            assert "77" in row

    run(test)


def test_where_all_is_well_the_heat_map_is_cool() -> None:
    history = History()
    workers = [worker_view(n, p99_ms=2.0 + n / 10) for n in (1, 2, 3)]
    for at in range(30):
        history.add(cluster_snapshot(workers, taken_at=NOON + at))
    _, *lines = heat_lines(alone(Seen(cluster_snapshot(workers), history, ())), (60, 6), UNICODE)
    assert {run.tone for line in lines for run in line[1:]} == {Tone.FAINT}
    digits = {char for line in lines for run in line[1:] for char in run.text if char.isdigit()}
    assert digits == {"1"}


def test_the_heat_map_has_the_sickest_on_top_and_is_told_by_digits() -> None:
    history = History()
    workers = [worker_view(1, p99_ms=2.0), worker_view(2, p99_ms=150.0, slow=True)]
    for at in range(30):
        history.add(cluster_snapshot(workers, taken_at=NOON + at))
    seen = Seen(cluster_snapshot(workers, taken_at=NOON + 30), history, ())
    head, sick, well = heat_lines(alone(seen), (60, 6), UNICODE)
    assert "9 is 150 ms" in line_text(head)
    assert line_text(sick).split()[0] == "w2"
    assert "9" in line_text(sick) and "9" not in line_text(well)
    assert {run.tone for run in sick} & {Tone.BAD, Tone.WARNING}


# -- where keys lead -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [(80, 24), *(pytest.param(size, marks=pytest.mark.long) for size in ((120, 30), (120, 36)))],
)
def test_each_digit_leads_to_its_panel_and_z_gives_it_the_screen(size: tuple[int, int]) -> None:
    async def test() -> None:
        snapshot = cluster_snapshot(
            [worker_view(1)],
            lookups=(LookupView("getbyname", 12.0, 0.2, 1.0, 90, 4, 0),),
            slow=(SlowLookup(NOON, "getbyname", "xander", 152.0, 2, "w1", "hedged", ""),),
        )
        cluster = FakeCluster(snapshot, [event(1, "proved", "w1", "answers probes")])
        async with shown(cluster, size=size) as console:
            for digit, part, said in (
                ("3", Part.EVENTS, "answers probes"),
                ("4", Part.SLOW, "getbyname xander"),
                ("5", Part.LOOKUPS, "FOUND"),
                ("6", Part.HEAT, "No latencies of late"),
                ("1", Part.WORKERS, "w1"),
            ):
                await console.press(digit)
                assert console.app.focused is not None
                assert console.app.focused.id == part
                assert said in console.text(), part
                before = console.app.main.board.plan[part].height
                await console.press("z")
                assert console.app.main.board.plan[part].height > before
                assert said in console.text(), part
                await console.press("escape")
                assert console.app.main.zoomed is None

    run(test)


def test_empty_panels_say_what_would_fill_them() -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot())) as console:
            text = console.text()
            assert "No workers: s spawns one" in text
            assert "Nothing asked yet: a asks, t sends sample traffic" in text
            assert "Nothing has happened yet" in text
            await console.press("4")
            assert "No lookup was slow, and none failed" in console.text()

    run(test)


def test_empty_panels_of_a_read_only_console_name_no_key_that_it_has_not() -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot()), read_only=True) as console:
            text = console.text()
            assert "No workers: 'rollcall-nodes worker' starts one" in text
            assert "Nothing asked yet: a asks" in text
            assert "none in 60 s" in text
            assert "traffic" not in text

    run(test)


def test_many_that_are_gone_are_one_line_until_they_are_opened() -> None:
    async def test() -> None:
        gone = [
            worker_view(n, state="down", local=False, why="killed by SIGKILL") for n in range(2, 9)
        ]
        async with shown(
            FakeCluster(cluster_snapshot([worker_view(1), *gone], wanted_workers=1))
        ) as console:
            assert "7 gone" in console.text()
            assert len(console.table.rows) == 2
            await console.press("G", "K")
            assert not console.open_question
            await console.press("enter")
            assert len(console.table.rows) == 8
            assert console.table.keys[0] == "w1"
            console.table.select("w5")
            await console.press("A")
            await console.until(lambda: ("again", "w5") in console.cluster.requests)
            console.table.select("w1")
            await console.press("A")
            assert "w1 is not gone" in console.message
            assert "A again" in console.lines()[-1] and "c clear" in console.lines()[-1]
            await console.press("c")
            await console.until(lambda: ("clear",) in console.cluster.requests)
            assert console.cluster.requests == [("again", "w5"), ("clear",)]
            assert console.cluster.acts[1] == "clear by the console that hosts it"
            await console.until(lambda: console.table.keys == ["w1"])
            await console.until(lambda: "again" not in console.lines()[-1])

    run(test)


def test_the_worker_s_screen_has_the_keys_of_the_list() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        async with shown(cluster) as console:
            await console.press("j", "enter")
            await console.until(lambda: isinstance(console.app.screen, WorkerScreen))
            await console.until(lambda: "Workers > w2" in console.text())
            await console.until(lambda: "K kill" in console.lines()[-1])
            await console.press("K")
            await console.until(lambda: console.open_question == "Kill w2?")
            await console.press("y")
            await console.until(lambda: cluster.killed == ["w2"])
            await console.until(lambda: "kill w2" in console.lines()[-2])
            await console.press("slash", "K", "escape")
            assert not console.open_question

    run(test)


# -- answers -------------------------------------------------------------------------------


def test_old_records_do_not_stay_below_a_new_error() -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot([worker_view(1)]))) as console:
            app = console.app
            answer = envelope({"name": "xander"}, {"name": "carrie"})
            app.post_message(LookupAnswered(["getbyname", "x"], answer, 0.5, [], more=False))
            await console.until(lambda: "carrie" in console.text())
            app.post_message(LookupRefused(["x"], "no worker is registered"))
            await console.until(lambda: "no worker is registered" in console.text())
            assert "carrie" not in console.text()

    run(test)


def test_what_was_meant_is_offered_and_tab_takes_it() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        cluster.refusal = BadRequest("getbylocation takes 1 argument: location")
        async with shown(cluster) as console:
            meant = 'getbylocation "New York City"'
            refusal = LookupRefused(["getbylocation", "New", "York", "City"], "takes 1", meant)
            await console.press("a", *"getbylocation")
            console.app.post_message(refusal)
            await console.until(lambda: f"did you mean {meant}?" in console.app.main.answers.text)
            await console.press("tab")
            assert console.app.main.prompt.value == meant

    run(test)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("getbylocation New York City", 'getbylocation "New York City"'),
        ("getbyyear New York City 2002", 'getbyyear "New York City" 2002'),
        ("getbynam xander", "getbyname xander"),
        ("getbyname xander", ""),
        ("getbyyear Miami", ""),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_what_is_meant(line: str, meant: str) -> None:
    assert correction(line.split(), SHAPES) == meant


def test_records_are_exported_as_they_are_sorted_and_a_file_is_replaced_if_wanted(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot([worker_view(1)]))) as console:
            app = console.app
            answer = envelope({"n": 2}, {"n": 3}, {"n": 1})
            app.post_message(LookupAnswered(["x"], answer, 0.5, [], more=False))
            await console.until(lambda: app.main.answers.records)
            app.main.answers.results.sort_by("n", descending=True)
            target = str(tmp_path / "found.csv")
            export([{"n": 9}], target)
            app.action_line(f"export {target}")
            await console.until(lambda: console.open_question == f"Replace {target}?")
            await console.press("y")
            await console.until(lambda: "3 records in" in console.message)
            assert Path(target).read_text().split() == ["n", "3", "2", "1"]

    run(test)


# -- what is told --------------------------------------------------------------------------


def test_nothing_floats_and_bad_news_is_told_at_the_bottom() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        async with shown(cluster, size=(80, 24)) as console:
            news = [event(n, "lost", "w2", "its connection ended") for n in range(5, 9)]
            await console.show_snapshot(cluster.now, news)
            assert console.message == "w2 lost: its connection ended (and 3 more)"
            assert not console.app.screen.query("Toast")
            assert not isinstance(console.app.screen, MessageScreen)
            console.app.notify("of Textual's own", severity="error")
            assert console.message == "of Textual's own"

    run(test)


def test_a_command_that_there_is_not_is_told_with_the_one_that_was_meant() -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot([worker_view(1)]))) as console:
            await console.press("colon", *"kil", "space", *"w1", "enter")
            await console.until(lambda: "did you mean :kill?" in console.message)
            await console.press("colon", "q", "enter")
            await console.until(lambda: console.open_question == "Quit?")

    run(test)
