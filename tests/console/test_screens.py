"""The console over a prepared cluster: hostile text, the kill that must hit, frozen screens.

The frozen screens are SVGs in the folder `frozen`. After a change that is meant to be seen,
write them anew with `ROLLCALL_FREEZE=1 python -m pytest tests/console/test_screens.py`, and look
at them before they are committed.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from textual.events import Key

from console.commands import CLUSTER_COMMANDS, COMMANDS
from console.lines import Tone
from console.messages import LookupAnswered, LookupRefused
from console.screens.confirm import ConfirmScreen, MessageScreen
from console.screens.help import HelpScreen, help_lines
from console.screens.worker import WorkerScreen
from console.text import ASCII, UNICODE, Glyphs
from console.widgets.table import LiveTable
from nodes.errors import MasterLost, NotPossible
from nodes.wire import ClusterSnapshot
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
from tests.console.scenes import machines_cluster, show_scene, watched_cluster
from tests.kit import PATIENCE

FROZEN = Path(__file__).parent / "frozen"

SORTS = ["ID", "STATE", "SHARE", "/S", "P99"]

HOSTILE = [
    "[/foo]",
    "[bold red]x[/]",
    "[@click=app.quit]x[/]",
    "a\x1b[31mb\x07\r\n\tc\x00",
    "\u202egnp.exe",
    "x" * 10_000,
    "\U0001f4a9 \u0645\u0631\u062d\u0628\u0627 e\u0301",
    "\\",
    "$primary {x}",
]


@pytest.fixture(autouse=True)
def _noon_is_noon() -> Iterator[None]:
    """Times of day are those of UTC, wherever this runs."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def key(console: Shown, name: str) -> None:
    """Presses a key without waiting for what it does."""
    console.app.post_message(Key(name, name if len(name) == 1 else None))


async def soon(condition: Callable[[], object]) -> None:
    """Waits until `condition()` is true, without waiting for the screen to come to rest: here
    it never does.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


# -- the kill that must hit ------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.long)])
def test_a_kill_hits_the_worker_that_was_named_however_the_table_moves(kills: int) -> None:
    async def test() -> None:
        random = Random(20)
        cluster = FakeCluster(cluster_snapshot([worker_view(n) for n in range(1, 13)]))

        def moved(snapshot: ClusterSnapshot) -> ClusterSnapshot:
            workers = [
                msgspec.structs.replace(
                    one,
                    served=random.randrange(1000),
                    lookups_per_s=random.uniform(0, 99),
                    state=random.choice(["up", "suspect", "draining"]),
                )
                for one in snapshot.workers
            ]
            random.shuffle(workers)
            return msgspec.structs.replace(snapshot, workers=tuple(workers))

        cluster.then = moved
        async with shown(cluster, poll_interval_s=0.05, size=(80, 24)) as console:
            named: list[str] = []
            for _ in range(kills):
                console.table.sort_by(random.choice(SORTS), descending=random.random() < 0.5)
                console.table.action_move(random.choice([-12, -1, 1, 12]))
                selected = console.table.cursor
                polls = cluster.polls
                await soon(lambda now=polls: cluster.polls > now)  # type: ignore[misc]
                assert console.table.cursor == selected
                key(console, "K")
                await soon(lambda: getattr(console.app.focused, "id", "") == "no")
                assert console.open_question == f"Kill {selected}?"
                named.append(selected)
                console.table.sort_by(random.choice(SORTS))
                key(console, "y")
                await soon(lambda: len(cluster.killed) == len(named))
                await soon(lambda: console.app.screen is console.app.main)
            assert cluster.killed == named
            assert len(set(named)) > min(8, kills // 4)

    run(test)


def test_a_worker_that_is_gone_is_no_longer_selected_and_another_is() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        async with shown(cluster) as console:
            assert console.table.cursor == "w1"  # there is a cursor from the start
            await console.press("j")
            assert console.table.cursor == "w2"
            await console.show_snapshot(cluster_snapshot([worker_view(1)]))
            assert console.table.cursor == "w1"
            await console.show_snapshot(cluster_snapshot())
            assert console.table.cursor == ""
            await console.press("K")
            assert not console.open_question
            assert "no worker under the cursor" in console.message
            assert cluster.requests == []

    run(test)


def test_a_look_with_nothing_new_draws_nothing() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(n) for n in range(1, 4)]))
        async with shown(cluster, poll_interval_s=0.05) as console:
            tables = [console.table, console.app.main.events]
            before = [table.draws for table in tables]
            polls = cluster.polls
            await console.until(lambda: cluster.polls > polls + 20)
            await console.pilot.pause()
            assert [table.draws for table in tables] == before

    run(test)


# -- hostile text ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=str(n), marks=pytest.mark.long if n % 6 else ())
        for n, text in enumerate(HOSTILE)
    ],
)
def test_text_from_outside_is_drawn_as_text(text: str) -> None:
    async def test() -> None:
        worker = worker_view(1, id=text, state="down", why=text, address=text, catalog=text)
        workers = [worker, worker_view(2)]
        cluster = FakeCluster(cluster_snapshot(workers), [event(1, "lost", text, text)])
        cluster.text = f"{text}\n{text}\n"
        cluster.values = [text]
        cluster.answer = envelope({text: text, "n": 1, "deep": {"a": [text]}}, files=(text,))
        async with shown(cluster) as console:
            app = console.app
            await console.show_snapshot(
                cluster_snapshot(workers, dataset=text, catalogs=(text, "b")),
                [event(2, "suspect", text, text)],
            )
            app.action_line(text)
            await console.press("a")
            app.main.prompt.value = text[: app.main.prompt.max_length]
            await console.press("enter")
            app.front.driver.look_up(["getbyname", text])
            await console.until(lambda: app.main.answers.records)
            app.post_message(LookupRefused(["x"], text))
            app.post_message(LookupAnswered(["x", text], envelope(), 1.0, [text], more=False))
            app.main.open_line("/", text[:100])
            await console.pilot.pause()
            await console.press("escape")
            app.main.table.select(text)
            app.actions.show_details(text)
            await console.until(lambda: isinstance(app.screen, WorkerScreen))
            await console.until(
                lambda: [t.total > 1 for t in app.screen.query(LiveTable)][1:] == [True]
            )
            await console.press("escape")
            await console.until(lambda: app.screen is app.main)
            app.push_screen(MessageScreen(text, text))
            await console.pilot.pause()
            await console.press("escape")
            app.push_screen(ConfirmScreen(text, text))
            await console.pilot.pause()
            lines = console.lines()
            await console.press("n")
            lines += console.lines()
            assert [line for line in lines if not line.isprintable()] == []
            assert app.is_running

    run(test)


def test_markup_is_seen_and_not_obeyed() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1, state="down", why="[/foo] [b]x")]))
        async with shown(cluster) as console:
            assert "[/foo] [b]x" in console.text()

    run(test)


# -- what is refused, and what is gone -------------------------------------------------


def test_a_refused_command_is_explained_at_the_bottom_and_whole_on_demand() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        why = f"the master is gone: [/foo] {'and more ' * 20}"
        cluster.refusal = MasterLost(why)
        async with shown(cluster, size=(80, 24)) as console:
            await console.press("s")
            await console.until(lambda: "Spawn: not done: the master is gone" in console.message)
            assert "! shows all" in console.lines()[-2]
            await console.press("exclamation_mark")
            await console.until(lambda: isinstance(console.app.screen, MessageScreen))
            assert why.strip() in console.static_text("#effect")

    run(test)


def test_why_a_cluster_was_never_seen_is_told_whole_on_demand() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        why = f"[/foo] an older master {'and more ' * 40}"
        cluster.poll_error = NotPossible(why)
        async with shown(cluster, size=(80, 24), attached=True) as console:
            await console.until(lambda: "not reached: [/foo] an older master" in console.head)
            assert "! shows all" in console.head
            await console.press("exclamation_mark")
            await console.until(lambda: isinstance(console.app.screen, MessageScreen))
            assert why.strip() in console.static_text("#effect")

    run(test)


def test_a_cluster_that_cannot_be_seen_is_said_not_to_be() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1, lookups_per_s=50.0)]))
        async with shown(cluster, poll_interval_s=0.1, attached=True) as console:
            assert [row.tone for row in console.table.rows] == [Tone.PLAIN]
            cluster.poll_error = MasterLost("connection refused")
            await console.until(lambda: "MASTER LOST" in console.head)
            assert "connection refused, trying again" in console.head
            await console.until(lambda: [row.tone for row in console.table.rows] == [Tone.FAINT])
            assert "figures of" in console.lines()[1]
            await console.press("q")
            await console.until(lambda: console.open_question == "Quit?")
            assert "runs on" not in console.static_text("#effect")
            await console.press("n")
            cluster.poll_error = None
            await console.until(lambda: "MASTER LOST" not in console.head)
            assert [row.tone for row in console.table.rows] == [Tone.PLAIN]

    run(test)


@pytest.mark.long
def test_figures_that_nobody_renews_are_old_even_while_nobody_says_why() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster, poll_interval_s=0.2) as console:
            held = threading.Event()

            def hold(now: ClusterSnapshot) -> ClusterSnapshot:
                held.wait(PATIENCE)
                return now

            cluster.then = hold
            await console.until(lambda: "figures of" in console.lines()[1])
            await console.until(lambda: "MASTER LOST" in console.head)
            held.set()
            await console.until(lambda: "HEALTHY" in console.head)

    run(test)


def test_a_journal_that_cannot_be_written_is_told_until_it_can() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster) as console:
            trouble = "the journal j.sqlite3 cannot be written: disk full"
            await console.show_snapshot(cluster_snapshot([worker_view(1)], journal_trouble=trouble))
            assert trouble in console.head
            await console.show_snapshot(cluster_snapshot([worker_view(1)]))
            assert "journal" not in console.head

    run(test)


def test_read_only_takes_everything_away_that_steers() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster, read_only=True) as console:
            palette = {one.title for one in console.app.get_system_commands(console.app.screen)}
            help_text = "\n".join(help_lines(read_only=True))
            for command in CLUSTER_COMMANDS:
                await console.press(*([command.key] if command.key else []))
                console.app.action_command(command.name)
                console.app.action_line(f"{command.name} 3")
                assert command.label not in palette
                assert f":{command.name} " not in help_text
                assert not console.app.main.query(f"#do-{command.name}")
            await console.pilot.pause()
            await console.press("t")
            assert not console.app.front.traffic.running
            assert cluster.requests == []
            assert not console.open_question
            assert "read-only" in console.head

    run(test)


def test_a_console_becomes_read_only_where_its_token_only_shows() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster, attached=True) as console:

            def offered() -> bool:
                return bool(console.app.main.query_one("#do-kill").display)

            assert offered()
            cluster.only_shown = True
            await console.show_snapshot(cluster_snapshot([worker_view(1)]))
            assert "read-only: the token found for this cluster" in console.message
            assert "read-only" in console.head
            assert not offered()
            await console.press("K")
            console.app.action_line("kill w1")
            await console.pilot.pause()
            assert cluster.requests == []
            assert not console.open_question
            assert "read-only" in console.message
            cluster.only_shown = False
            await console.show_snapshot(cluster_snapshot([worker_view(1)]))
            assert offered()
            assert "read-only" not in console.head

    run(test)


def test_help_lists_every_key_and_command() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(1)]))
        async with shown(cluster, size=(120, 50)) as console:
            await console.press("question_mark")
            await console.until(lambda: isinstance(console.app.screen, HelpScreen))
            for command in COMMANDS:
                assert f":{command.name}" in console.text()
            await console.press("escape")
            assert console.app.screen is console.app.main

    run(test)


def test_enter_on_an_event_shows_all_of_it() -> None:
    async def test() -> None:
        events = [event(1, worker="w1"), event(2, "proved", "w2", "x" * 300)]
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]), events)
        async with shown(cluster) as console:
            await console.press("3", "enter")
            await console.until(lambda: isinstance(console.app.screen, MessageScreen))
            assert "x" * 300 in console.static_text("#effect")

    run(test)


# -- frozen screens --------------------------------------------------------------------


def busy_cluster() -> FakeCluster:
    """Five workers, each in another state, and some events."""
    workers = [
        worker_view(1, served=5210, in_flight=2, lookups_per_s=81.4, p50_ms=0.41, p99_ms=3.2),
        worker_view(2, served=5198, in_flight=1, lookups_per_s=80.9, p50_ms=0.44, p99_ms=4.1),
        worker_view(3, state="down", why="killed by SIGKILL", state_since=NOON - 5, served=901),
        worker_view(4, state="suspect", why="no answer within 1.0 s", frozen=True, served=44),
        worker_view(10, state="starting", served=0, restarts=2),
    ]
    events = [
        event(1, "spawned", "w1", "log: logs/w1.log"),
        event(2, "registered", "w1", "at 127.0.0.1:23101, pid 4001"),
        event(3, "proved", "w1", "answers probes"),
        event(4, "lost", "w3", "killed by SIGKILL"),
        event(5, "suspect", "w4", "no answer within 1.0 s"),
    ]
    snapshot = cluster_snapshot(workers, p50_ms=0.42, p99_ms=4.0, reroutes=7)
    return FakeCluster(snapshot, events)


@pytest.mark.parametrize(
    ("size", "glyphs"), [((120, 36), UNICODE), ((80, 24), ASCII)], ids=["120x36", "ascii"]
)
def test_the_main_screen_looks_as_it_did(size: tuple[int, int], glyphs: Glyphs) -> None:
    async def test() -> None:
        cluster = busy_cluster()
        cluster.answer = envelope(
            {"record_id": 5, "name": "carrie", "location": "Los Angeles", "year": 2004}
        )
        async with shown(cluster, size=size, glyphs=glyphs) as console:
            console.app.main.table.select("w3")
            console.app.main.prompt.value = "getbyname carrie"
            answer = LookupAnswered(["getbyname", "carrie"], cluster.answer, 0.8, [], more=False)
            console.app.post_message(answer)
            await console.until(lambda: console.app.main.answers.records)
            await console.pilot.pause()
            assert "killed by SIGKILL" in console.text()
            for state in ("up", "down", "frozen", "starting"):
                assert state in console.text()
            if glyphs.ascii:
                assert console.text().isascii()
            name = "ascii" if glyphs.ascii else f"{size[0]}x{size[1]}"
            compare(f"main-{name}", console.app.export_screenshot(title="rollcall"))

    run(test)


DARK, LIGHT = "textual-dark", "textual-light"

WATCHED = [
    ((120, 36), 3, False, DARK),
    ((80, 24), 3, True, LIGHT),
    *(
        pytest.param(*scene, marks=pytest.mark.long)
        for scene in (
            ((60, 16), 3, False, LIGHT),
            ((60, 16), 30, True, DARK),
            ((80, 24), 3, False, DARK),
            ((80, 24), 30, True, DARK),
            ((80, 24), 30, False, LIGHT),
            ((120, 36), 3, True, DARK),
            ((120, 36), 30, False, DARK),
            ((120, 36), 30, True, LIGHT),
            ((200, 60), 3, True, LIGHT),
            ((200, 60), 30, False, DARK),
        )
    ),
]


@pytest.mark.parametrize(("size", "workers", "outage", "theme"), WATCHED)
def test_a_cluster_that_was_watched_for_minutes_looks_as_it_did(
    size: tuple[int, int], workers: int, outage: bool, theme: str
) -> None:
    async def test() -> None:
        cluster, past = watched_cluster(workers, outage=outage)
        async with shown(cluster, size=size) as console:
            console.app.theme = theme
            await show_scene(console, past, asked=not outage)
            health = "outage" if outage else "healthy"
            assert health.upper() in console.head
            name = f"{size[0]}x{size[1]}-{workers}-{health}-{theme.removeprefix('textual-')}"
            compare(name, await still(console))

    run(test)


def empty_cells(console: Shown) -> float:
    """The part of the screen on which nothing is: no sign, and no ground but the screen's own. A
    single space between two words is a part of the text.
    """
    ground = console.app.screen.rich_style.bgcolor
    empty = 0
    for strip in console.app.screen._compositor.render_strips():
        cells = "".join(
            char if segment.style is None or segment.style.bgcolor == ground else "#"
            for segment in strip
            for char in segment.text
        )
        empty += cells.count(" ") - len(re.findall(r"(?<=\S) (?=\S)", cells))
    width, height = console.app.size
    return empty / (width * height)


def test_three_workers_under_load_fill_the_screen() -> None:
    async def test() -> None:
        cluster, past = watched_cluster(3)
        async with shown(cluster, size=(120, 36)) as console:
            await show_scene(console, past, asked=True)
            assert empty_cells(console) < 0.25

    run(test)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_the_screen_of_several_clusters_looks_as_it_did(size: tuple[int, int]) -> None:
    async def test() -> None:
        well = FakeCluster(
            cluster_snapshot(
                [worker_view(1, lookups_per_s=40.0, p99_ms=1.9), worker_view(2)], p99_ms=1.9
            ),
            [event(2, "registered", "w1"), event(3, "proved", "w1", "answers probes")],
        )
        clusters = {":23000": well, ":23001": busy_cluster(), ":23002": FakeCluster(well.now)}
        clusters[":23002"].poll_error = MasterLost("nothing answers at 127.0.0.1:23002")
        async with shown(well, several=clusters, attached=True, size=size) as console:
            await console.until(lambda: "not reached" in console.head)
            await console.until(lambda: console.table.select("w3 of :23001"))
            await console.until(lambda: "cluster :23001" in console.text())
            compare(f"several-{size[0]}x{size[1]}", await still(console))

    run(test)


def test_the_screen_of_several_machines_looks_as_it_did() -> None:
    async def test() -> None:
        async with shown(machines_cluster(), size=(120, 36)) as console:
            await console.press("m", "j")
            assert "machine m2 lost 12s ago" in console.head
            compare("machines-120x36", await still(console))

    run(test)


def test_the_other_screens_look_as_they_did() -> None:
    async def test() -> None:
        cluster = busy_cluster()
        cluster.text = "ready: w1 at 127.0.0.1:23101, registered with 127.0.0.1:23000\n"
        async with shown(cluster, size=(100, 30)) as console:
            console.app.main.table.select("w1")
            await console.press("K")
            await console.until(lambda: getattr(console.app.focused, "id", "") == "no")
            compare("confirm", await still(console))
            await console.press("n", "enter")
            await console.until(lambda: isinstance(console.app.screen, WorkerScreen))
            await console.until(lambda: "ready: w1" in console.text())
            await console.pilot.pause()
            compare("worker", console.app.export_screenshot(title="rollcall"))

    run(test)


async def still(console: Shown) -> str:
    """A picture of the screen, once it has come to rest."""
    picture = ""
    for _ in range(50):
        console.table.refresh()
        await console.pilot.pause(0.1)
        before, picture = picture, console.app.export_screenshot(title="rollcall")
        if _normal(before) == _normal(picture):
            break
    return picture


def _normal(svg: str) -> str:
    """A picture without the only thing in it that is not of the screen: a number that makes its
    ids unique.
    """
    return re.sub(r"terminal-\d+", "terminal", svg)


def compare(name: str, svg: str) -> None:
    """Compares a screen with the one that is kept, or keeps it."""
    normal = _normal(svg)
    path = FROZEN / f"{name}.svg"
    if os.environ.get("ROLLCALL_FREEZE"):
        FROZEN.mkdir(exist_ok=True)
        path.write_text(normal)
    assert path.exists(), "no such screen is kept; see this module's docstring"
    assert normal == path.read_text(), f"{path.name} differs; see this module's docstring"
