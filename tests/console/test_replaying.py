"""Back in time on the screen: what is shown, which keys act, and how one returns to now."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import Key

from console.messages import ClusterLost
from console.recorded_file import RecordedFile
from console.screens.worker import WorkerScreen
from console.text import clock
from nodes.errors import MasterLost
from tests.console.fakes import (
    NOON,
    FakeCluster,
    Shown,
    cluster_snapshot,
    event,
    run,
    shown,
    worker_view,
)
from tests.console.recordings import snapshot_at, snapshots, write
from tests.console.test_live import Console
from tests.console.test_live import console as live_console
from tests.kit import Node

BAD = [*range(-300, -290), *range(-120, -100)]
"""Seconds before noon with something wrong."""

EVENTS = [event(1, "registered", "w1"), event(59, "lost", "w9", "its connection ended")]


@pytest.fixture
def past(tmp_path: Path) -> FakeCluster:
    """A cluster that recorded ten minutes, but not yet the last seconds before noon."""
    cluster = FakeCluster(snapshot_at(0), EVENTS)
    cluster.recorded = write(tmp_path / "r.recording", snapshots(range(-600, -30), BAD))
    return cluster


def shows(console: Shown, second: float) -> bool:
    """Whether the screen shows that time, and says so first."""
    said = f"REPLAY {clock(NOON + second)}"
    return console.head.strip().startswith(said)


def shows_now(console: Shown) -> bool:
    """Whether the screen shows no other time."""
    return console.app.replaying.frame is None and "REPLAY" not in console.text()


async def go(console: Shown, second: float) -> None:
    """Goes to a time as an operator would."""
    console.app.action_line(f"at {NOON + second}")
    await console.until(lambda: shows(console, second))


def test_another_time_is_marked_and_steers_nothing(past: FakeCluster) -> None:
    async def test() -> None:
        async with shown(past) as console:
            assert "later" not in console.lines()[-1]
            await console.press("left_square_bracket")
            await console.until(lambda: shows(console, -31))
            keys = console.lines()[-1]
            for told in ("[ earlier", "] later", "{ -1 min", "p previous bad", "L live"):
                assert told in keys
            assert "kill" not in keys and "a ask" not in keys
            for key in ("s", "K", "d", "r", "f", "R", "t", "a"):
                console.app.say("")
                await console.press(key)
                assert f"this is {clock(NOON - 31)}, not now" in console.message
            for line in ("kill w1", "scale 1", "shrink", "thaw w1", "traffic 10", "ask x"):
                console.app.say("")
                console.app.action_line(line)
                assert "not now; ESC returns to now" in console.message
            console.app.say("")
            await console.press("2", "x", "enter")
            assert "not now" in console.message
            assert past.requests == [] and not console.open_question
            assert not console.app.front.traffic.running

    run(test)


def test_keys_return_to_now(past: FakeCluster) -> None:
    async def test() -> None:
        async with shown(past) as console:
            for key in ("escape", "right_square_bracket"):
                await console.press("left_square_bracket")
                await console.until(lambda: shows(console, -31))
                await console.press(key)
                await console.until(lambda: shows(console, 0) or shows_now(console))
                await console.press(key)
                await console.until(lambda: shows_now(console))
                assert "this is now" in console.message
                assert "K kill" in console.lines()[-1] and "] later" not in console.lines()[-1]
            await go(console, -200)
            console.table.set_filter("w2")
            await console.press("escape")  # takes one step back at a time
            assert console.table.filter_text == "" and shows(console, -200)
            await console.press("escape")
            await console.until(lambda: shows_now(console))
            await console.press("K")
            assert console.open_question == "Kill w2?"

    run(test)


@pytest.mark.long
def test_all_that_is_shown_is_of_that_time(past: FakeCluster) -> None:
    async def test() -> None:
        async with shown(past) as console:
            await go(console, -295)
            text = console.text()
            assert "DEGRADED  w2 slow" in text.replace("DEGRADED ", "DEGRADED")
            assert "now HEALTHY" in console.head
            assert "-295/s" in text  # the made rate of that second
            assert time_axis_ends(text, -295)
            assert "its connection ended" not in text  # it was lost later
            assert "Nothing was asked" in text
            await go(console, 0)
            assert "its connection ended" in console.text()
            await steps_large_and_small(console)
            await jumps_to_what_went_wrong(console)

    run(test)


def time_axis_ends(text: str, second: float) -> bool:
    """Whether the charts end at that time, and none of them now."""
    return clock(NOON + second).split()[-1] in text and " now " not in text.split("\n", 1)[1]


async def steps_large_and_small(console: Shown) -> None:
    await go(console, -200)
    for name, second in (
        ("left_square_bracket", -201),
        ("left_curly_bracket", -261),
        ("right_square_bracket", -260),
        ("right_curly_bracket", -200),
    ):
        await console.press(name)
        await console.until(lambda second=second: shows(console, second))  # type: ignore[misc]
    for _ in range(30):  # a key that is held down
        console.app.post_message(Key("left_square_bracket", "["))
    await console.until(lambda: shows(console, -230))
    await go(console, -600)
    await console.press("left_square_bracket")
    await console.until(lambda: "nothing is known before" in console.message)
    assert shows(console, -600)


async def jumps_to_what_went_wrong(console: Shown) -> None:
    await console.press("L", "n")
    await console.until(lambda: "this is now: [" in console.message)
    for name, second in (("p", -120), ("p", -300), ("n", -120)):
        await console.press(name)
        await console.until(lambda second=second: shows(console, second))  # type: ignore[misc]
        assert "DEGRADED" in console.head
    await console.until(lambda: console.message == "")
    await console.press("n")
    await console.until(lambda: "nothing went wrong after" in console.message)
    assert shows(console, -120)


@pytest.mark.long
def test_when_nothing_was_wrong_it_stays_now(past: FakeCluster, tmp_path: Path) -> None:
    write(tmp_path / "r.recording", snapshots(range(-600, -30)))

    async def test() -> None:
        async with shown(past) as console:
            await console.press("p")
            await console.until(lambda: "nothing was wrong before" in console.message)
            assert shows_now(console)

    run(test)


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("at noon", "'noon' is no time"),
        ("at 25:00", "is no time"),
        ("at nan", "is no time"),
        ("time 2001-01-01", "nothing is known before"),
        (f"at {NOON + 99}", "this is now"),
        ("now", "this is now"),
    ],
)
def test_times_that_are_typed(line: str, said: str, past: FakeCluster) -> None:
    async def test() -> None:
        async with shown(past) as console:
            console.app.action_line(line)
            await console.until(lambda: said in console.message)

    run(test)


def test_now_goes_on_and_is_told(past: FakeCluster) -> None:
    async def test() -> None:
        async with shown(past) as console:
            await go(console, -200)
            lost = worker_view(1, state="down", why="killed by signal 9")
            console.post_snapshot(
                cluster_snapshot([lost], taken_at=NOON + 1, uptime_s=99.0),
                [event(61, "lost", "w1", "its connection ended")],
            )
            await console.until(lambda: "now OUTAGE" in console.head)
            assert shows(console, -200) and console.message.startswith("now: w1 lost")
            assert [row.cells[1].split()[-1] for row in console.table.rows] == ["up", "up"]
            # What was read, and what was seen here, stays when the master is lost.
            past.poll_error = MasterLost("connection refused")
            console.app.post_message(ClusterLost("connection refused", NOON))
            await console.until(lambda: "now MASTER LOST" in console.head)
            await console.press("left_curly_bracket")
            await console.until(lambda: shows(console, -260))
            await console.press("L")
            await console.until(lambda: console.head.strip().startswith("MASTER LOST"))
            await console.press("left_square_bracket")
            await console.until(lambda: shows(console, 0))

    run(test)


@pytest.mark.long
def test_where_nothing_is_recorded_what_was_seen_here_is_shown() -> None:
    async def test() -> None:
        cluster = FakeCluster(snapshot_at(0))
        async with shown(cluster) as console:
            for second in range(1, 8):
                await console.show_snapshot(snapshot_at(second))
            await console.press("left_square_bracket")
            await console.until(lambda: shows(console, 6))
            await console.press("left_curly_bracket")
            await console.until(lambda: shows(console, 0))

    run(test)


def test_a_worker_is_shown_as_it_was_without_a_log(past: FakeCluster) -> None:
    async def test() -> None:
        past.text = "what is said now\n"
        async with shown(past) as console:
            await console.press("enter")
            await console.until(lambda: "what is said now" in console.text())
            await console.press("left_square_bracket")
            await console.until(lambda: shows(console, -31))
            assert "logs are not recorded" in console.text()
            assert "what is said now" not in console.text()
            assert "-31" in next(line for line in console.lines() if "lookups/s" in line)
            await console.press("K")
            assert "not now" in console.message and not console.open_question
            await console.press("L")
            await console.until(lambda: "what is said now" in console.text())
            assert isinstance(console.app.screen, WorkerScreen) and shows_now(console)

    run(test)


# -- a recording in the place of a cluster ---------------------------------------------------


def test_a_file_is_replayed_without_a_cluster(tmp_path: Path) -> None:
    path = write(tmp_path / "r.recording", snapshots(range(-600, 1), BAD))
    cluster = FakeCluster(snapshot_at(0))

    async def test() -> None:
        async with shown(cluster, recorded=RecordedFile(str(path)), read_only=True) as console:
            await console.until(lambda: shows(console, 0))
            assert cluster.polls == 0
            assert "recorded from 127.0.0.1:23000" in console.head and "now" not in console.head
            await console.press("p")
            await console.until(lambda: shows(console, -120))
            for line in ("kill w1", "ask getbyname x", "traffic"):
                console.app.action_line(line)
                assert "this is a recording" in console.message
            assert "L live" not in console.lines()[-1] and "K kill" not in console.lines()[-1]
            await console.press("escape", "L")
            assert shows(console, -120)
            for _ in range(3):
                await console.press("right_curly_bracket")
            await console.until(lambda: "the recording ends at" in console.message)
            await console.press("q")
            await console.until(lambda: not console.app.is_running)

    run(test)


@pytest.mark.long
def test_a_master_that_ended_is_replayed_with_its_events() -> None:
    with Node("up", "--workers", "1", "--port", "0", "--json") as node:
        port = str(node.ready["master"]).rpartition(":")[2]

    async def test() -> None:
        recorded = RecordedFile(port)
        async with shown(FakeCluster(snapshot_at(0)), recorded=recorded) as console:
            await console.until(lambda: "REPLAY" in console.head)
            assert "w1" in [row.key for row in console.table.rows]
            assert "stopped" in console.text() and "started" in console.text()

    run(test)


@pytest.mark.long
def test_a_real_cluster_as_it_was_a_moment_ago() -> None:
    async def test(address: str) -> None:
        async with live_console(attach=address) as console:
            await console.all_up("w1")
            pid = console.worker("w1").pid
            # From then on there are seconds of which the master has written nothing yet.
            await console.until(lambda: uptime_s(console) > 3)
            console.app.action_line("spawn")
            await console.all_up("w1", "w2")
            while "w2" in console.states():
                at = shown_at(console)
                await console.press("left_square_bracket")
                await console.until(lambda at=at: shown_at(console) < at)  # type: ignore[misc]
            assert is_replay(console) and console.worker("w1").pid == pid
            await console.press("escape")
            await console.until(lambda: not is_replay(console))
            assert set(console.states()) == {"w1", "w2"}

    with Node("up", "--workers", "1", "--port", "0", "--json") as node:
        run(lambda: test(str(node.ready["master"])))


def uptime_s(console: Console) -> float:
    """How long the master has been up."""
    return console.app.snapshot.uptime_s if console.app.snapshot is not None else 0.0


def shown_at(console: Console) -> float:
    """The time that is shown."""
    seen = console.app.seen
    assert seen is not None
    return seen.front.snapshot.taken_at


def is_replay(console: Console) -> bool:
    """Whether another time than now is shown."""
    return console.lines()[0].split()[0] == "REPLAY"
