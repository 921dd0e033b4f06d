"""Steering: keys act where the footer says, on workers that are on the screen and were named."""

from __future__ import annotations

import pytest

from console.plan import Part
from console.screens.confirm import ConfirmScreen
from console.widgets.worker_table import GONE_KEY
from nodes.errors import NotPossible
from tests.console.fakes import (
    FakeCluster,
    Shown,
    cluster_snapshot,
    event,
    run,
    shown,
    worker_view,
)

STEERING = ("s", "K", "d", "r", "f", "plus", "minus", "R", "t")


def three(**changes: object) -> FakeCluster:
    """A cluster of three workers."""
    return FakeCluster(
        cluster_snapshot([worker_view(n) for n in (1, 2, 3)], **changes),
        [event(1, "proved", "w1", "answers probes")],
    )


def nothing_happened(console: Shown) -> bool:
    """Whether no command was given, asked for, or begun."""
    return (
        not console.cluster.requests
        and not console.open_question
        and not console.app.front.traffic.running
    )


# -- where keys act ------------------------------------------------------------------


@pytest.mark.parametrize("panel", ["2", "3", "4", "5", "6"])
def test_keys_that_steer_do_nothing_elsewhere_than_in_the_worker_list(panel: str) -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press(panel)
            assert console.app.focused is not console.table
            for key in STEERING:
                await console.press(key)
            assert nothing_happened(console)
            assert "kill" not in console.lines()[-1]

    run(test)


def test_the_line_of_keys_tells_what_acts_where_the_focus_is() -> None:
    async def test() -> None:
        async with shown(three(), size=(140, 36)) as console:
            keys = console.lines()[-1]
            for told in ("jk move", "SPC mark", "K kill", "d drain", "s spawn", ": command"):
                assert told in keys
            await console.press("3")
            keys = console.lines()[-1]
            assert "v bad only" in keys
            assert "kill" not in keys
            await console.press("2")
            assert console.lines()[-1].split() == ["TAB", "complete", "ESC", "leave"]

    run(test)


def test_tab_does_not_leave_a_half_typed_line() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press("a", *"zzz", "tab", *"stK")
            assert console.app.main.prompt.value == "zzzstK"
            assert console.app.focused is console.app.main.prompt
            assert "nothing to complete" in console.message
            assert nothing_happened(console)

    run(test)


def test_a_click_anywhere_in_a_panel_gives_it_the_focus() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            main = console.app.main
            plan = main.board.plan
            for part, focused in (
                (Part.ANSWER, main.prompt),
                (Part.LEFT_TABS, main.prompt),
                (Part.EVENTS, main.events),
                (Part.WORKERS, main.table),
                (Part.RIGHT_TABS, main.events),
                (Part.HINT, main.prompt),
            ):
                region = plan[part]
                await console.pilot.click(offset=(region.right - 2, region.bottom - 1))
                await console.pilot.pause()
                assert console.app.focused is focused, part
            assert nothing_happened(console)

    run(test)


def test_ask_selects_the_old_text_so_that_typing_replaces_it() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press("a", *"old", "escape", "a", *"new")
            assert console.app.main.prompt.value == "new"

    run(test)


def test_a_pasted_text_of_several_lines_is_one_line_with_all_of_it() -> None:
    async def test() -> None:
        from textual.events import Paste

        async with shown(three()) as console:
            await console.press("a")
            console.app.main.prompt.post_message(Paste("getbyname\nxander\r\n"))
            await console.until(lambda: console.app.main.prompt.value == "getbyname xander")

    run(test)


# -- on whom -----------------------------------------------------------------------------


def test_what_a_filter_hides_is_neither_selected_nor_acted_on_nor_counted() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press("slash", *"w3", "enter")
            assert [row.key for row in console.table.rows] == ["w3"]
            assert console.table.cursor == "w3"
            assert console.table.footer is None
            await console.press("K", "y")
            await console.until(lambda: console.cluster.requests)
            assert console.cluster.requests == [("kill", "w3")]

    run(test)


def test_those_that_are_folded_away_are_not_in_the_total() -> None:
    async def test() -> None:
        gone = [worker_view(n, state="down", local=False, errors=50) for n in range(4, 9)]
        workers = [worker_view(n, errors=1) for n in (1, 2, 3)]
        async with shown(FakeCluster(cluster_snapshot([*workers, *gone]))) as console:
            assert "5 gone" in console.text()
            assert console.table.footer is not None
            assert "3" in console.table.footer.cells
            console.table.select(GONE_KEY)
            await console.press("enter")
            assert "253" in console.table.footer.cells

    run(test)


def test_marked_workers_are_acted_on_together_and_named() -> None:
    async def test() -> None:
        cluster = three()
        async with shown(cluster) as console:
            await console.press("space", "j", "space")
            assert console.table.marked == {"w1", "w3"}
            assert "2 marked" in console.text()
            await console.press("d")
            await console.until(lambda: console.open_question == "Drain w1, w3?")
            await console.press("y")
            await console.until(lambda: len(cluster.requests) == 2)
            await console.until(lambda: console.message == "drain w1; drain w3")
            await console.press("escape")
            assert not console.table.marked

    run(test)


@pytest.mark.long
def test_of_several_each_outcome_is_told() -> None:
    class OneRefuses(FakeCluster):
        def kill(self, worker_id: str) -> str:
            if worker_id == "w2":
                raise NotPossible("w2 is held")
            return super().kill(worker_id)

    async def test() -> None:
        cluster = OneRefuses(three().now)
        async with shown(cluster) as console:
            await console.press("space", "space", "space", "K")
            await console.until(lambda: console.open_question == "Kill w1, w2, w3?")
            await console.press("y")
            told = "Kill w2: not done: w2 is held; kill w1; kill w3"
            await console.until(lambda: console.message == told)

    run(test)


@pytest.mark.long
def test_a_mark_that_a_filter_hides_does_not_count() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press("space", "slash", *"w2", "enter", "K")
            await console.until(lambda: console.open_question == "Kill w2?")

    run(test)


def test_what_is_not_possible_is_said_and_not_asked() -> None:
    async def test() -> None:
        workers = [
            worker_view(1),
            worker_view(2, state="down", local=False, why="killed by SIGKILL"),
            worker_view(3, local=False),
        ]
        async with shown(FakeCluster(cluster_snapshot(workers))) as console:
            console.table.select("w2")
            for key in ("K", "d", "r", "f"):
                await console.press(key)
                assert nothing_happened(console)
                assert "w2 is down" in console.message
            console.table.select("w3")
            await console.press("K")
            assert "runs elsewhere: only drain reaches it" in console.message
            assert nothing_happened(console)
            console.table.select("w1")
            await console.press("space")
            console.table.marked.add("w2")
            await console.press("K")
            await console.until(lambda: console.open_question == "Kill w1?")
            assert "Left out: w2 is down" in console.static_text("#effect")

    run(test)


@pytest.mark.long
def test_fewer_workers_are_named_before_they_leave() -> None:
    async def test() -> None:
        workers = [worker_view(n, uptime_s=100.0 - n) for n in (1, 2, 3)]
        async with shown(FakeCluster(cluster_snapshot(workers))) as console:
            await console.press("minus")
            await console.until(lambda: console.open_question == "Drain w3?")
            await console.press("n", "colon", *"scale", "space", "0", "enter")
            await console.until(lambda: console.open_question == "Drain w1, w2, w3?")
            assert "every lookup will fail" in console.static_text("#effect")
            await console.press("n")
            assert console.cluster.requests == []

    run(test)


def test_a_key_that_is_held_down_starts_one_worker_and_asks_before_the_next() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            await console.press(*["s"] * 20)
            await console.until(lambda: console.cluster.requests)
            assert console.cluster.requests == [("spawn", "1")]
            assert console.open_question == "Spawn: one more worker?"
            assert "1 worker started" in console.static_text("#effect")
            await console.press("y")
            await console.until(lambda: len(console.cluster.requests) == 2)

    run(test)


def test_buttons_are_there_at_every_size_and_act_on_the_cursor() -> None:
    async def test() -> None:
        for size in ((60, 16), (120, 36)):
            async with shown(three(), size=size) as console:
                assert "[+ Spawn] [Kill]" in console.text()
                await console.press("j")
                await console.pilot.click("#do-kill")
                await console.until(lambda c=console: c.open_question == "Kill w2?")  # type: ignore[misc]
                await console.press("n")
                assert console.app.focused is console.table

    run(test)


# -- screens that are too small ------------------------------------------------------------


def test_on_a_screen_that_is_too_small_no_key_does_anything_but_quit() -> None:
    async def test() -> None:
        async with shown(three(), size=(40, 10)) as console:
            assert "Rollcall needs 60x16" in console.text()
            for key in (*STEERING, "a", "colon", "slash", "z", "3"):
                await console.press(key)
            assert nothing_happened(console)
            assert console.app.screen is console.app.main
            assert console.app.main.zoomed is None
            await console.press("q")
            await console.until(lambda: console.open_question == "Quit?")

    run(test)


@pytest.mark.parametrize("size", [(40, 10), (20, 5)])
def test_a_question_that_cannot_be_read_is_not_answered_with_yes(size: tuple[int, int]) -> None:
    async def test() -> None:
        async with shown(three(), size=size) as console:
            answers: list[bool | None] = []
            console.app.push_screen(
                ConfirmScreen("Kill w1?", "It has 2 lookups in flight."), answers.append
            )
            await console.pilot.pause()
            readable = size == (40, 10)
            assert ("y Yes" in console.text()) == ("Kill w1?" in console.text()) == readable
            await console.press("y")
            await console.pilot.pause()
            assert answers == ([True] if readable else [])
            if not readable:
                await console.press("n")
                await console.until(lambda: answers == [False])

    run(test)


def test_the_worker_under_the_cursor_stays_on_a_screen_that_becomes_smaller() -> None:
    async def test() -> None:
        cluster = FakeCluster(cluster_snapshot([worker_view(n) for n in range(1, 10)]))
        async with shown(cluster) as console:
            await console.press("G")
            await console.pilot.resize_terminal(60, 16)
            await console.until(lambda: "▌ w9" in console.text())

    run(test)
