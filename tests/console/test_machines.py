"""Several machines on the screen: where workers are, where the next start, what is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from console.charts_view import heat_lines
from console.columns import MACHINE, WORKER_COLUMNS
from console.commands import COMMANDS
from console.history import History
from console.lines import line_text
from console.machine_rows import machine_members
from console.notifications import notification
from console.placing import Choice, choices
from console.screens.help import help_lines
from console.screens.where import WhereScreen
from console.screens.worker import WorkerScreen
from console.seen import Seen, alone
from console.text import UNICODE
from console.worker_rows import choose
from nodes.fleet.machine import Ability
from nodes.wire import ClusterSnapshot, MachineView, by_room, machine_names, machine_text
from tests.console.fakes import (
    NOON,
    FakeCluster,
    Shown,
    cluster_snapshot,
    event,
    machine_view,
    run,
    shown,
    worker_view,
)

ALL = ("freeze", "log", "place", "spawn")

LOST = machine_view("m2", lost="no route to host", since=NOON - 12, workers=0, away=1)


def machines(**changes: Any) -> ClusterSnapshot:
    """Three machines of which one is lost; four workers, of which one waits for room."""
    workers = [
        worker_view(1, machine="m1"),
        worker_view(2, machine="m10"),
        worker_view(3, machine="m1"),
        worker_view(4, state="starting", why="waiting for room: none has any", uptime_s=0.0),
    ]
    there = (machine_view("m1", workers=3), LOST, machine_view("m10", workers=1))
    snapshot = cluster_snapshot(workers, machines=there, abilities=ALL)
    return msgspec.structs.replace(snapshot, **changes)


def placed(console: Shown) -> list[tuple[str, ...]]:
    """What was asked to be started."""
    return [one for one in console.cluster.requests if one[0] == "spawn"]


# -- what is said of them: pure -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m1", "2 up  room for 1 more"),
        ("m2", "no workers  lost 12s ago, 1 worker elsewhere: no route to host"),
        ("m10", "1 up  room for 3 more"),
        ("", "1 waiting"),
    ],
)
def test_a_machine_is_told_with_its_workers_and_its_room(name: str, text: str) -> None:
    assert machine_text(machines(), name) == text


def test_states_stand_in_one_order_and_others_machines_have_no_room_to_tell() -> None:
    workers = [
        worker_view(1, machine="db", state="down"),
        worker_view(2, machine="db", frozen=True),
        worker_view(3, machine="db"),
    ]
    snapshot = cluster_snapshot(workers, machines=(machine_view(workers=9),))
    assert machine_text(snapshot, "db") == "1 up, 1 frozen, 1 down  not of this fleet"
    assert machine_text(snapshot, "m1") == "no workers  no room"


def test_machines_stand_in_the_order_of_their_numbers() -> None:
    assert machine_names(machines()) == ["m1", "m2", "m10"]
    assert machine_names(cluster_snapshot([worker_view(1)])) == []


def test_the_next_worker_starts_where_most_room_is() -> None:
    assert [one.name for one in by_room(machines().machines)] == ["m10", "m1", "m2"]


@pytest.mark.parametrize(
    ("snapshot", "count", "found"),
    [
        (None, 1, []),
        (machines(machines=(machine_view(),)), 1, []),
        (machines(abilities=("spawn",)), 1, []),
        (machines(), 1, [("m10", False), ("m1", False), ("m2", True)]),
        (machines(), 2, [("", False), ("m10", False), ("m1", True), ("m2", True)]),
        (machines(), 5, [("m10", True), ("m1", True), ("m2", True)]),
    ],
)
def test_there_is_a_choice_for_each_machine(
    snapshot: ClusterSnapshot | None, count: int, found: Sequence[tuple[str, bool]]
) -> None:
    assert [(one.where, one.refused) for one in choices(snapshot, count)] == found


def test_a_choice_tells_the_room_and_who_is_there() -> None:
    first, _, last = choices(machines(), 1)
    assert first == Choice("m10", "m10  room for 3 more    1 worker there")
    assert last == Choice("m2", "m2   lost 12s ago       0 workers there", refused=True)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_machine_has_a_column_at_every_width_where_there_are_several(width: int) -> None:
    titles = [one.column.title for one in choose(width, ["w1"], machines=["m1", "m2"])]
    assert titles[:3] == ["ID", MACHINE, "STATE"]
    assert MACHINE not in [one.column.title for one in choose(width, ["w1"])]
    wanted = [column for column in WORKER_COLUMNS if column.title in ("ID", "STATE")]
    titles = [one.column.title for one in choose(width, ["w1"], columns=wanted, machines=["m1"])]
    assert titles == ["ID", MACHINE, "STATE"]


def test_a_lost_machine_is_told_before_what_follows_from_it() -> None:
    lost = [event(number, "lost", f"w{number}") for number in (2, 3)]
    told = notification([event(1, "machine_lost", "", "m2: no route"), *lost])
    assert told == "machine-lost: m2: no route (and 2 more)"


def test_what_commands_need_a_fleet_may_be_able_to_do() -> None:
    needed = {command.needs for command in COMMANDS if command.needs}
    assert needed == {Ability.SPAWN, Ability.FREEZE}
    text = "\n".join(help_lines(read_only=False, able=lambda command: not command.needs))
    assert ":drain ID" in text
    for command in COMMANDS:
        assert (f":{command.name} " in text) == (not command.needs)


# -- on the screen -------------------------------------------------------------------------


def test_one_machine_is_not_told() -> None:
    async def test() -> None:
        snapshot = machines(machines=(machine_view(),), workers=(worker_view(1, machine="m1"),))
        async with shown(FakeCluster(snapshot)) as console:
            assert MACHINE not in console.text()
            assert "m group" not in console.text()
            await console.press("m")
            assert console.table.sort_column == "ID"
            console.app.action_line("group")
            assert "nothing to group" in console.message
            await console.press("s")
            await console.until(lambda: placed(console) == [("spawn", "1")])

    run(test)


def test_workers_are_grouped_by_machine_and_marked_by_it() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines()), size=(140, 36)) as console:
            console.table.select("w3")
            await console.press("m")
            keys = ["*on m1", "w1", "w3", "*on m2", "*on m10", "w2", "*on ", "w4"]
            assert console.table.keys == keys
            assert console.table.cursor == "w3"
            lines = console.text()
            assert "m2  no workers  lost 12s ago, 1 worker elsewhere: no route to host" in lines
            await console.press("O")
            assert console.table.keys == [*keys[6:], *keys[4:6], *keys[3:4], *keys[:3]]
            await console.press("O", "g")
            assert console.app.targets == []
            await console.press("space", "d")
            await console.until(lambda: console.open_question == "Drain w1, w3?")
            await console.press("n", "space")
            assert not console.table.marked
            await console.press("enter", "m")
            assert console.app.screen is console.app.main
            assert console.table.keys == ["w1", "w2", "w3", "w4"]

    run(test)


def test_a_filter_finds_a_machine_and_its_line_stays_above_what_it_finds() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines())) as console:
            console.table.group()
            console.table.set_filter("m10")
            assert console.table.keys == ["*on m10", "w2"]
            console.table.set_filter("w3")
            assert console.table.keys == ["*on m1", "w3"]
            await console.press("space", "d")
            await console.until(lambda: console.open_question == "Drain w3?")

    run(test)


@pytest.mark.long
def test_machines_of_several_clusters_have_lines_of_their_own() -> None:
    async def test() -> None:
        clusters = {":1": FakeCluster(machines()), ":2": FakeCluster(machines())}
        async with shown(clusters[":1"], several=clusters, size=(140, 50)) as console:
            await console.press("m")
            at = console.table.keys.index
            assert at("*on m1 of :1") < at("w1 of :1") < at("*on m1 of :2") < at("w1 of :2")
            console.table.select("*on m1 of :2")
            assert console.app.front.name == ":2"
            members = machine_members("*on m1 of :2", list(console.table._scenes.values()))
            assert members == {"w1 of :2", "w3 of :2"}
            await console.press("s")
            await console.until(lambda: "Spawn in :2 one more worker: where?" in console.text())
            await console.press("enter")
            await console.until(lambda: clusters[":2"].requests == [("spawn", "1", "m10")])
            assert clusters[":1"].requests == []

    run(test)


def test_the_machine_is_in_the_heat_map() -> None:
    history = History()
    for at in (-3, -2, -1, 0):
        workers = [worker_view(n, machine=f"m{n}", p99_ms=2.0) for n in (1, 2)]
        snapshot = cluster_snapshot(workers, taken_at=NOON + at)
        history.add(snapshot)
    lines = heat_lines(alone(Seen(snapshot, history, ())), (60, 10), UNICODE)
    assert [line_text(line).split()[:2] for line in lines[1:]] == [["w1", "m1"], ["w2", "m2"]]


def test_the_machine_is_on_the_worker_s_screen() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines())) as console:
            await console.press("enter")
            await console.until(lambda: isinstance(console.app.screen, WorkerScreen))
            await console.until(lambda: " on m1 " in console.text())

    run(test)


# -- where the next ones start ---------------------------------------------------------------


def test_spawn_asks_where_and_enter_takes_the_one_with_most_room() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines())) as console:
            await console.press(*["s"] * 10)
            await console.until(lambda: isinstance(console.app.screen, WhereScreen))
            assert len(console.app.screen_stack) == 3
            await console.press("enter")
            await console.until(lambda: placed(console) == [("spawn", "1", "m10")])
            await console.until(lambda: console.message == "started new0 on m10")
            await console.press("s", "j", "enter")
            await console.until(lambda: placed(console)[1:] == [("spawn", "1", "m1")])
            # The lost one is passed over: below the last is the first.
            await console.press("s", "j", "j", "enter")
            await console.until(lambda: placed(console)[2:] == [("spawn", "1", "m10")])
            await console.press("s", "escape")
            assert console.app.screen is console.app.main
            assert len(placed(console)) == 3

    run(test)


def test_what_is_typed_is_not_asked_unless_it_names_no_machine() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines())) as console:
            console.app.action_line("spawn 2 m10")
            await console.until(lambda: placed(console) == [("spawn", "2", "m10")])
            console.app.action_line("spawn 2")
            await console.until(lambda: "Spawn 2 more workers: where?" in console.text())
            await console.press("enter")
            await console.until(lambda: placed(console)[1:] == [("spawn", "2")])

    run(test)


def test_without_room_nothing_is_asked_and_a_button_asks_as_the_key_does() -> None:
    async def test() -> None:
        full: tuple[MachineView, ...] = (machine_view("m1", workers=4), LOST)
        async with shown(FakeCluster(machines(machines=full))) as console:
            await console.press("s")
            assert console.message == "Spawn: no machine has room for one more worker"
            assert console.app.screen is console.app.main
            await console.show_snapshot(machines())
            await console.pilot.click("#do-spawn")
            await console.until(lambda: isinstance(console.app.screen, WhereScreen))
            await console.until(lambda: "m1   room for 1 more" in console.text())
            await console.pilot.click("#choices", offset=(3, 1))
            await console.until(lambda: placed(console) == [("spawn", "1", "m1")])

    run(test)


@pytest.mark.long
def test_a_choice_that_cannot_be_read_starts_nothing() -> None:
    async def test() -> None:
        async with shown(FakeCluster(machines())) as console:
            await console.press("s")
            await console.until(lambda: isinstance(console.app.screen, WhereScreen))
            await console.pilot.resize_terminal(20, 5)
            await console.press("enter")
            assert isinstance(console.app.screen, WhereScreen)
            await console.press("escape")
            assert not placed(console)

    run(test)


# -- what a fleet cannot do --------------------------------------------------------------------


@pytest.mark.long
def test_what_the_fleet_cannot_do_is_not_offered_and_said_to_who_asks_for_it() -> None:
    async def test() -> None:
        alone = [worker_view(n, local=False, machine="db") for n in (1, 2)]
        snapshot = cluster_snapshot(alone, abilities=(), wanted_workers=None)
        async with shown(FakeCluster(snapshot), size=(160, 36)) as console:
            keys = console.lines()[-1]
            assert "d drain" in keys
            for label in ("s spawn", "K kill", "r restart", "f freeze", "+ grow", "R reload"):
                assert label not in keys
            await console.press("s", "K", "f", "plus")
            assert not console.cluster.requests
            assert not console.open_question
            palette = {one.title for one in console.app.get_system_commands(console.app.screen)}
            assert "Spawn" not in palette
            assert "Drain" in palette
            for line in ("spawn", "spawn 2 db", "scale 4", "kill w1", "reload"):
                console.app.action_line(line)
                assert "starts no workers" in console.message
            console.app.action_line("freeze w1")
            assert "cannot be frozen" in console.message
            await console.pilot.click("#do-spawn")
            assert "starts no workers" in console.message
            await console.press("d", "y")
            await console.until(lambda: console.cluster.requests == [("drain", "w1")])
            await console.press("enter")
            await console.until(lambda: "has no logs" in console.text())
            assert "follow the log" not in console.lines()[-1]

    run(test)


def test_without_a_fleet_an_empty_list_says_what_would_fill_it() -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot(abilities=()))) as console:
            assert "No workers: 'rollcall-nodes worker' starts one" in console.text()
            assert "s spawns" not in console.text()
            await console.show_snapshot(cluster_snapshot())
            assert "No workers: s spawns one" in console.text()

    run(test)
