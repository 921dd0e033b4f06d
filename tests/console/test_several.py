"""Several clusters on one screen: what each is called and said to be, and whose worker is hit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.app import RollcallApp
from console.charts_view import heat_lines
from console.cluster_names import cluster_names, named_workers, split_key, worker_key
from console.columns import CLUSTER, WORKER_COLUMNS
from console.events_view import event_rows
from console.history import History
from console.lines import Tone, line_text, line_width
from console.opening import OpenCluster
from console.screens.confirm import MessageScreen
from console.screens.worker import WorkerScreen
from console.seen import Overview, Seen, Unseen
from console.settings import Settings
from console.text import UNICODE
from console.view import head_lines, summed
from console.worker_rows import choose
from nodes.errors import BadRequest, MasterLost, StartError
from nodes.wire import ClusterSnapshot
from nodes.wire.conditions import up_text
from tests.console.fakes import (
    NOON,
    FakeCluster,
    Shown,
    cluster_snapshot,
    envelope,
    event,
    run,
    shown,
    worker_view,
)
from tests.console.recordings import write

# -- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (["127.0.0.1:23000"], [""]),
        (["127.0.0.1:23000", "127.0.0.1:23001"], [":23000", ":23001"]),
        (["127.0.0.1", "127.0.0.1:23001"], [":23000", ":23001"]),
        (["db1:23000", "db2:23000"], ["db1", "db2"]),
        (["db1.example.org:23000", "db2.example.org:1"], ["db1", "db2"]),
        (["db.a.org:23000", "db.b.org:23000"], ["db.a.org", "db.b.org"]),
        (["10.0.0.1:23000", "10.0.0.2:23000"], ["10.0.0.1", "10.0.0.2"]),
        (["db1:1", "db1:2", "db2:1"], ["db1:1", "db1:2", "db2:1"]),
        (["[::1]:1", "[::1]:2", "db:1"], ["[::1]:1", "[::1]:2", "db:1"]),
    ],
)
def test_clusters_have_the_shortest_names_that_tell_them_apart(
    addresses: list[str], names: list[str]
) -> None:
    assert cluster_names(addresses) == names


@pytest.mark.parametrize(
    "addresses",
    [["db:23000", "db:23000"], ["db", "db:23000"], ["db:1", "db:2", "DB:1"]],
)
def test_the_same_address_twice_is_refused_in_words(addresses: list[str]) -> None:
    with pytest.raises(BadRequest, match="given twice: give each --attach an address of its own"):
        cluster_names(addresses)


def test_a_key_is_of_one_worker_of_one_cluster_and_is_what_is_said() -> None:
    names = ["", ":23000", ":23001"]
    assert worker_key("", "w1") == "w1"
    assert worker_key(":23001", "w1") == "w1 of :23001"
    for cluster in names:
        assert split_key(worker_key(cluster, "w1"), names) == (cluster, "w1")
    assert split_key("w1 of :9", names) == ("", "w1 of :9")
    assert named_workers({"": ["w1", "w2"]}) == "w1, w2"
    named = named_workers({":23000": ["w1", "w2"], ":23001": ["w1"]})
    assert named == "w1, w2 of :23000; w1 of :23001"


# -- the head --------------------------------------------------------------------------


def seen(name: str, *states: str, **changes: Any) -> Seen:
    """A cluster of workers in these states."""
    age_s, lost = changes.pop("age_s", 0.0), changes.pop("lost", "")
    workers = [worker_view(n, state=state) for n, state in enumerate(states, 1)]
    snapshot = cluster_snapshot(workers, **changes)
    history = History()
    history.add(snapshot)
    return Seen(snapshot, history, (), age_s, lost, attached=True, name=name)


WELL, ALSO_WELL = seen(":23000", "up", "up"), seen(":23001", "up")
SICK = seen(":23002", "suspect", "up")
EMPTY = seen(":23003")
LOST = seen(":23004", "up", lost="refused", age_s=18.0)
AWAITED, MISSED = Unseen(":23005", ""), Unseen(":23006", "refused")
FAILED = Unseen(":23007", "no certificates", failed=True)


def said(width: int, *clusters: Seen | Unseen, front: Seen = WELL) -> str:
    """The first line."""
    there = tuple(one for one in clusters if isinstance(one, Seen))
    unseen = tuple(one for one in clusters if isinstance(one, Unseen))
    lines = head_lines(Overview(there, front, unseen), width, UNICODE)
    assert [line_width(line) for line in lines] == [width, width]
    return " ".join(line_text(lines[0]).split())


@pytest.mark.parametrize(
    ("clusters", "width", "begins"),
    [
        ([WELL, ALSO_WELL], 120, ":23000 HEALTHY :23001 HEALTHY"),
        ([WELL, SICK], 120, ":23002 DEGRADED w1 silent :23000 HEALTHY"),
        ([WELL, SICK, EMPTY], 120, ":23003 OUTAGE no workers :23002 DEGRADED w1 silent :23000"),
        ([SICK, LOST], 120, ":23004 MASTER LOST 18s ago: refused, trying again :23002 DEGRADED"),
        ([WELL, MISSED], 120, ":23006 MASTER LOST not reached: refused, trying again :23000"),
        ([WELL, FAILED], 120, ":23007 MASTER LOST not reached: no certificates :23000"),
        ([WELL, AWAITED], 120, ":23005 STARTING connecting :23000 HEALTHY"),
        # With little room the others are counted, and the worst is still said in full.
        ([WELL, ALSO_WELL, SICK, EMPTY], 60, ":23003 OUTAGE no workers 1 DEGRADED 2 HEALTHY"),
        ([WELL, ALSO_WELL, LOST], 60, ":23004 MASTER LOST 18s ago: refused, try~ 2 HEALTHY"),
    ],
)
def test_the_worst_cluster_comes_first_and_none_is_left_out(
    clusters: list[Seen | Unseen], width: int, begins: str
) -> None:
    assert said(width, *clusters).startswith(begins)


def test_a_key_that_helps_is_told_of_the_cluster_that_it_would_help() -> None:
    assert "(s spawns)" not in said(120, WELL, EMPTY)
    assert "OUTAGE no workers (s spawns)" in said(120, WELL, EMPTY, front=EMPTY)


def figures(*clusters: Seen) -> str:
    """The second line."""
    line = head_lines(Overview(clusters, clusters[0]), 200, UNICODE)[1]
    return line_text(line).strip()


def test_figures_are_sums_and_a_percentile_is_of_the_cluster_that_has_it() -> None:
    one = seen(":1", "up", "up", lookups_per_s=20.0, p50_ms=0.2, p99_ms=2.0, in_flight=1, errors=2)
    other = seen(":2", "up", "down", lookups_per_s=30.0, p50_ms=0.5, p99_ms=9.0, in_flight=2)
    line = figures(one, other)
    for part in ("50/s", "p99 9.0 ms of :2", "in flight 3", "up 3 of 4", "failed 2"):
        assert part in line
    assert "p50" not in line
    assert "p50 0.20" in figures(one._replace(name=""))


def test_a_cluster_that_is_lost_adds_nothing_to_the_sums_and_is_named() -> None:
    live = seen(":1", "up", lookups_per_s=20.0)
    gone = seen(":2", "up", lookups_per_s=30.0, lost="refused", age_s=9.0)
    assert figures(live, gone).startswith("without :2  20/s")
    assert figures(gone).startswith("figures of 9s ago  30/s")


def test_a_worker_too_many_in_one_cluster_makes_up_for_none_in_another() -> None:
    more = cluster_snapshot([worker_view(n) for n in (1, 2, 3)], wanted_workers=2)
    less = cluster_snapshot([worker_view(1)], wanted_workers=2)
    assert up_text(summed([more, less])) == "up 4 of 5"
    without_fleet = msgspec.structs.replace(less, wanted_workers=None)
    assert up_text(summed([more, without_fleet])) == "up 4"
    assert summed([more]) is more


# -- rows ------------------------------------------------------------------------------


def test_rows_tell_their_cluster_at_every_size_where_there_are_several() -> None:
    for width in (60, 80, 120, 200):
        titles = [one.column.title for one in choose(width, ["w1"], clusters=[":1", ":2"])]
        assert titles[:3] == ["ID", CLUSTER, "STATE"]
        assert CLUSTER not in [one.column.title for one in choose(width, ["w1"])]


def test_a_choice_of_columns_that_leaves_the_cluster_out_has_it_where_it_is_needed() -> None:
    columns = [one for one in WORKER_COLUMNS if one.title in ("ID", "P99")]
    chosen = choose(120, ["w1"], columns=columns, clusters=[":1", ":2"])
    assert [one.column.title for one in chosen] == ["ID", CLUSTER, "P99"]
    moved = [*columns, *(one for one in WORKER_COLUMNS if one.title == CLUSTER)]
    chosen = choose(120, ["w1"], columns=moved, clusters=[":1", ":2"])
    assert [one.column.title for one in chosen] == ["ID", "P99", CLUSTER]
    assert [one.column.title for one in choose(120, ["w1"], columns=moved)] == ["ID", "P99"]


def test_events_of_two_clusters_are_never_joined() -> None:
    one = [event(1, "proved", "w1"), event(4, "lost", "w1", "killed")]
    other = [event(2, "proved", "w1"), event(4, "lost", "w1", "killed")]
    rows = event_rows({":1": one, ":2": other})
    assert [(row.cells[1], row.cells[2], row.cells[3]) for row in rows] == [
        (":2", "w1", "lost"),
        (":1", "w1", "lost"),
        (":2", "w1", "proved"),
        (":1", "w1", "proved"),
    ]
    assert len({row.key for row in rows}) == 4
    assert all(row.matches(":2") is (row.cells[1] == ":2") for row in rows)


def test_the_heat_map_has_the_workers_of_all_each_by_its_own_clock() -> None:
    clusters = []
    for name, ahead_s, p99_ms in ((":1", 0, 2.0), (":2", 5000, 150.0)):
        history = History()
        for at in range(20):
            snapshot = cluster_snapshot(
                [worker_view(1, p99_ms=p99_ms)], taken_at=NOON + ahead_s + at
            )
            history.add(snapshot)
        clusters.append(Seen(snapshot, history, (), name=name))
    _, one, other = heat_lines(Overview(tuple(clusters), clusters[0]), (80, 5), UNICODE)
    assert line_text(one).startswith("  w1 of :1 ")
    assert line_text(other).startswith("  w1 of :2 ")
    assert "9" in line_text(other)
    assert "0" in line_text(one)


# -- on the screen -----------------------------------------------------------------------

A, B = ":23000", ":23001"


def two(*, first: int = 2, second: int = 2) -> dict[str, FakeCluster]:
    """Two clusters whose workers have the same ids."""
    return {
        A: FakeCluster(cluster_snapshot([worker_view(n + 1) for n in range(first)])),
        B: FakeCluster(
            cluster_snapshot(
                [worker_view(n + 1) for n in range(second)], address="127.0.0.1:23001"
            ),
            [event(1, "proved", "w1", "answers probes")],
        ),
    }


def console_over(clusters: dict[str, FakeCluster], **options: Any) -> Any:
    """A console over them."""
    return shown(clusters[A], several=clusters, attached=True, **options)


async def confirmed(console: Shown) -> str:
    """Waits for a question, says yes, and returns the question."""
    await console.until(lambda: getattr(console.app.focused, "id", "") == "no")
    question = console.open_question
    await console.press("y")
    await console.until(lambda: not console.open_question)
    return question


def test_a_command_goes_to_the_row_s_own_cluster_and_says_so() -> None:
    async def test() -> None:
        clusters = two()
        a, b = clusters[A], clusters[B]
        async with console_over(clusters, size=(120, 36)) as console:
            assert console.table.keys == [worker_key(c, w) for c in (A, B) for w in ("w1", "w2")]
            await console.press("j", "j", "K")
            assert await confirmed(console) == f"Kill w1 of {B}?"
            await console.until(lambda: b.requests)
            assert (a.requests, b.requests) == ([], [("kill", "w1")])
            await console.until(lambda: console.message == f"{B}: kill w1")
            # The cluster in front follows the cursor at once, for what names no worker as well.
            await console.press("s")
            await console.until(lambda: len(b.requests) == 2)
            await console.press("g", "plus")
            assert await confirmed(console) == f"Grow in {A}: one more worker?"
            await console.until(lambda: a.requests)
            assert (a.requests[0], b.requests[1]) == (("scale", "3"), ("spawn", "1"))
            await console.press("R")
            assert await confirmed(console) == f"Reload in {A}?"
            await console.until(lambda: a.requests[-1] == ("reload",))
            # Marks are of one cluster's worker, never of the other's that is called so.
            a.requests.clear()
            b.requests.clear()
            await console.press("space", "j", "j", "space", "d")
            assert await confirmed(console) == f"Drain w1 of {A}; w2 of {B}?"
            await console.until(lambda: a.requests and b.requests)
            assert (a.requests, b.requests) == ([("drain", "w1")], [("drain", "w2")])
            await console.until(
                lambda: f"{A}: drain w1" in console.message and f"{B}: drain w2" in console.message
            )

    run(test)


def test_only_those_are_changed_whose_token_lets_them_be() -> None:
    async def test() -> None:
        clusters = two()
        a, b = clusters[A], clusters[B]
        b.only_shown = True
        async with console_over(clusters) as console:
            assert not console.app.read_only
            console.app.action_line(f"thaw w2 of {B}")
            assert f"{B}: the token found for this cluster" in console.message
            console.app.action_line(f"thaw w2 of {A}")
            await console.until(lambda: a.requests == [("thaw", "w2")])
            assert b.requests == []

    run(test)


def test_what_is_typed_means_the_cluster_in_front_or_the_one_that_is_named() -> None:
    async def test() -> None:
        clusters = two()
        a, b = clusters[A], clusters[B]
        async with console_over(clusters) as console:
            console.app.action_line("thaw w2")
            await console.until(lambda: a.requests == [("thaw", "w2")])
            console.app.action_line(f"thaw w2 of {B}")
            await console.until(lambda: b.requests == [("thaw", "w2")])
            console.app.action_line("kill w2 of :9")
            assert console.message == "there is no worker w2 of :9"
            assert console.app.asking.complete_command("kill w2 ") == [
                f"kill w2 of {A}",
                f"kill w2 of {B}",
            ]

    run(test)


def test_a_filter_leaves_one_cluster_and_its_totals() -> None:
    async def test() -> None:
        async with console_over(two(second=3)) as console:
            console.table.set_filter("23001")
            await console.pilot.pause()
            assert console.table.keys == [worker_key(B, w) for w in ("w1", "w2", "w3")]
            footer = console.table.footer
            assert footer is not None
            assert "3 up" in footer.cells
            assert console.app.front.name == B
            console.table.set_filter("")
            console.table.sort_by(CLUSTER, descending=True)
            assert [key[-1] for key in console.table.keys] == ["1", "1", "1", "0", "0"]

    run(test)


def test_a_cluster_without_workers_has_a_row_from_which_it_gets_one() -> None:
    async def test() -> None:
        clusters = two(second=0)
        async with console_over(clusters) as console:
            await console.press("j", "j")
            assert f"▌ {B} has no workers: s spawns one" in console.text()
            assert "OUTAGE   no workers  (s spawns)" in console.head
            await console.press("K")
            assert console.message == "there is no worker under the cursor"
            await console.press("space", "enter", "s")
            await console.until(lambda: clusters[B].requests == [("spawn", "1")])
            assert not console.table.marked
            assert clusters[A].requests == []

    run(test)


def test_workers_that_are_gone_are_folded_and_forgotten_in_each_cluster() -> None:
    async def test() -> None:
        clusters = two()
        for cluster in clusters.values():
            gone = [worker_view(n, state="down", why="it left") for n in range(10, 15)]
            cluster.now = cluster_snapshot([worker_view(1), *gone])
        async with console_over(clusters) as console:
            assert len(console.table.keys) == 4
            await console.press("G")
            assert f"{B}: 5 gone (ENTER shows them, c forgets them)" in console.text()
            await console.press("enter")
            await console.until(lambda: len(console.table.keys) == 8)
            await console.press("G", "c")
            await console.until(lambda: len(console.table.keys) == 3)
            assert f"{A}: 5 gone (ENTER shows them, c forgets them)" in console.text()
            assert (clusters[A].requests, clusters[B].requests) == ([], [("clear",)])

    run(test)


@pytest.mark.long
def test_one_that_is_lost_is_grey_and_the_other_goes_on() -> None:
    async def test() -> None:
        clusters = two()
        a, b = clusters[A], clusters[B]
        async with console_over(clusters, poll_interval_s=0.05) as console:
            a.poll_error = MasterLost("refused")
            await console.until(lambda: f"{A}   MASTER LOST" in console.head)
            assert f"{B}   HEALTHY" in console.head
            assert console.lines()[1].startswith(f" without {A}")
            rows = {row.key: row for row in console.table.rows}
            lost, live = rows[worker_key(A, "w1")], rows[worker_key(B, "w1")]
            assert (lost.tone, lost.cells[1].split()[-1]) == (Tone.FAINT, "ago")
            assert (live.tone, live.cells[1]) == (Tone.PLAIN, B)
            b.now = cluster_snapshot([worker_view(1), worker_view(2, state="suspect")])
            await console.until(lambda: f"{B}   DEGRADED   w2 silent" in console.head)
            await console.press("G", "K")
            assert await confirmed(console) == f"Kill w2 of {B}?"
            await console.until(lambda: b.requests == [("kill", "w2")])
            await console.press("q")
            await console.until(lambda: console.open_question == "Quit?")
            for told in (f"The cluster {B} runs on.", f"The cluster {A} is not seen now"):
                assert told in " ".join(console.static_text("#effect").split())
            a.poll_error = None
            await console.press("n")
            await console.until(lambda: "MASTER LOST" not in console.head)

    run(test)


def test_one_that_is_not_reached_at_start_is_awaited_and_the_others_are_shown() -> None:
    async def test() -> None:
        clusters = two()
        clusters[A].poll_error = MasterLost("refused")
        async with console_over(clusters, poll_interval_s=0.05) as console:
            await console.until(lambda: "not reached: refused, trying again" in console.head)
            assert console.table.keys == [worker_key(B, "w1"), worker_key(B, "w2")]
            await console.press("s")  # of those that are seen one is in front
            await console.until(lambda: clusters[B].requests == [("spawn", "1")])
            clusters[A].poll_error = None
            await console.until(lambda: len(console.table.keys) == 4)
            await console.until(lambda: f"{A}   HEALTHY" in console.head)

    run(test)


@pytest.mark.parametrize("all_fail", [False, True])
def test_the_console_ends_when_no_cluster_could_be_opened(all_fail: bool) -> None:
    async def test() -> None:
        def no(_progress: object) -> Any:
            raise StartError("there are no certificates in /x")

        cluster = two()[B]
        openings: dict[str, OpenCluster] = {A: no, B: no if all_fail else lambda _: cluster}
        app = RollcallApp(
            clusters=openings, settings=Settings(), glyphs=UNICODE, attached=True, poll_interval_s=9
        )
        async with app.run_test(size=(120, 30)) as pilot:
            console = Shown(app, cluster, pilot)
            if all_fail:
                await console.until(lambda: isinstance(app.screen, MessageScreen))
                assert "no certificates" in console.text()
                await console.press("escape")
            else:
                await console.until(lambda: f"{A}   MASTER LOST   not reached: " in console.head)
                assert f"{B}   HEALTHY" in console.head
        assert app.return_code == (2 if all_fail else None)
        await asyncio.to_thread(app.clusters.stop)

    run(test)


def test_lookups_go_to_the_cluster_in_front_and_the_next_page_to_the_one_that_answered() -> None:
    async def test() -> None:
        clusters = two()
        a, b = clusters[A], clusters[B]
        b.answer = envelope({"name": "carrie"}, after="next")
        async with console_over(clusters) as console:
            assert f"cluster {A}" in next(line for line in console.lines() if "2 Ask" in line)
            await console.press("G")
            assert f"cluster {B}" in next(line for line in console.lines() if "2 Ask" in line)
            assert f"Lookups/s of {B}" in console.text()
            console.app.asking.ask("getbyname carrie")
            await console.until(lambda: f"w1 of {B}" in console.app.main.answers.text)
            await console.press("g")
            console.app.main.answers.results.focus()
            await console.press("n")
            await console.until(lambda: len(b.requests) == 2)
            assert a.requests == []
            assert [one[0] for one in b.requests] == ["page", "page"]

    run(test)


def test_a_worker_s_screen_is_of_its_own_cluster() -> None:
    async def test() -> None:
        clusters = two()
        clusters[A].text, clusters[B].text = "log of A\n", "log of B\n"
        async with console_over(clusters) as console:
            await console.press("j", "j", "enter")
            await console.until(lambda: isinstance(console.app.screen, WorkerScreen))
            for told in ("log of B", f"Workers > w1 of {B}", "answers probes"):
                await console.until(lambda told=told: told in console.text())
            # Whatever the list behind it does, what acts on a cluster acts on this one.
            console.table.select(worker_key(A, "w1"))
            await console.press("s", "K")
            assert await confirmed(console) == f"Kill w1 of {B}?"
            await console.until(lambda: len(clusters[B].requests) == 2)
            assert clusters[A].requests == []

    run(test)


@pytest.mark.long
def test_quitting_lets_go_of_all_and_thaws_what_was_frozen_in_each() -> None:
    async def test() -> None:
        clusters = two()
        async with console_over(clusters) as console:
            await console.press("space", "j", "space", "f")
            assert await confirmed(console) == f"Freeze w1 of {A}; w1 of {B}?"
            await console.until(lambda: all(one.requests for one in clusters.values()))
            await console.press("q")
            await console.until(lambda: console.open_question == "Quit?")
            effect = " ".join(console.static_text("#effect").split())
            assert effect == "The clusters run on. Workers frozen here are thawed."
            await console.press("y")
            await console.until(lambda: not console.app.is_running)
            for one in clusters.values():
                assert one.requests == [("freeze", "w1"), ("thaw", "w1")]
                assert one.closed == 1

    run(test)


def test_what_the_operator_did_in_one_cluster_is_news_in_another() -> None:
    async def test() -> None:
        async with console_over(two()) as console:
            await console.press("K")
            await confirmed(console)
            await console.until(lambda: f"{A}: kill w1" in console.message)
            snapshot: ClusterSnapshot = console.cluster.now
            lost = [event(9, "lost", "w1", "killed by SIGKILL")]
            console.post_snapshot(snapshot, lost, A)
            console.post_snapshot(snapshot, lost, B)
            await console.until(lambda: console.message == f"{B}: w1 lost: killed by SIGKILL")

    run(test)


@pytest.mark.long
def test_another_time_is_of_the_cluster_in_front_alone(tmp_path: Path) -> None:
    async def test() -> None:
        clusters = two()
        recorded = {A: (1, 2), B: (3,)}
        for name, ids in recorded.items():
            workers = [worker_view(n) for n in ids]
            taken = [cluster_snapshot(workers, taken_at=NOON + s) for s in range(-60, -1)]
            clusters[name].recorded = write(tmp_path / f"{name}.recording", taken)
        async with console_over(clusters) as console:
            await console.press("G", "left_square_bracket")
            await console.until(lambda: "REPLAY" in console.head)
            await console.until(lambda: console.table.keys == [worker_key(B, "w3")])
            assert f"{B}   HEALTHY" in console.head
            assert f"Lookups/s of {B}" in console.text()
            await console.press("left_square_bracket", "escape")
            await console.until(lambda: len(console.table.keys) == 4)
            await console.press("g", "left_square_bracket")
            await console.until(lambda: "REPLAY" in console.head)
            await console.until(
                lambda: console.table.keys == [worker_key(A, w) for w in ("w1", "w2")]
            )
            assert clusters[A].requests == clusters[B].requests == []

    run(test)
