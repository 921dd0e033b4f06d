"""What is typed in one burst: each key goes to whoever the key before it gave the focus to."""

from __future__ import annotations

import pytest
from textual.events import Key, MouseDown, MouseEvent, MouseUp, Paste

from tests.console.fakes import FakeCluster, Shown, cluster_snapshot, run, shown, worker_view

NAMES = {"\r": "enter", "\x1b": "escape", ":": "colon", "/": "slash", " ": "space"}


def burst(console: Shown, text: str) -> None:
    """Types a text as a terminal does that has all of it at once: nothing is done in between."""
    for char in text:
        key = NAMES.get(char, char)
        console.app.post_message(Key(key, char if char.isprintable() else None))


def three() -> FakeCluster:
    """Three workers, the first of them frozen."""
    return FakeCluster(
        cluster_snapshot([worker_view(1, frozen=True), worker_view(2), worker_view(3)])
    )


@pytest.mark.parametrize("times", [1, 3])
def test_a_command_that_arrives_at_once_is_that_command_and_no_key(times: int) -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, ":thaw w1\r" * times)
            await console.until(lambda: len(console.cluster.requests) >= times)
            await console.pilot.pause()
            assert console.cluster.requests == [("thaw", "w1")] * times
            assert not console.app.front.traffic.running
            assert not console.open_question
            assert console.app.focused is console.table
            assert console.app.main.line.history == ["thaw w1"]

    run(test)


def test_a_filter_acts_before_the_key_after_it() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, "/w2\rK")
            await console.until(lambda: console.open_question)
            assert console.open_question == "Kill w2?"
            assert console.table.keys == ["w2"]

    run(test)


def test_keys_before_a_line_are_done_before_it_opens() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, "jj:kill\r")
            await console.until(lambda: console.open_question)
            assert console.open_question == "Kill w3?"

    run(test)


def test_a_line_that_is_left_takes_nothing_more() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, ":ki\x1bj:\x1bd")
            await console.until(lambda: console.open_question)
            assert console.open_question == "Drain w2?"

    run(test)


def test_a_query_that_arrives_at_once_is_asked() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, "agetbyname frosty\r")
            await console.until(lambda: console.cluster.requests)
            await console.pilot.pause()
            assert console.cluster.requests == [("page", "getbyname", "frosty")]
            assert not console.open_question
            assert not console.app.front.traffic.running

    run(test)


def test_what_is_pasted_behind_the_key_that_opens_a_line_is_for_it() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            burst(console, ":")
            console.app.post_message(Paste("thaw w1"))
            burst(console, "\r")
            await console.until(lambda: console.cluster.requests)
            assert console.cluster.requests == [("thaw", "w1")]

    run(test)


def test_a_click_does_not_overtake_the_keys_before_it() -> None:
    async def test() -> None:
        async with shown(three()) as console:
            y = next(n for n, line in enumerate(console.lines()) if "w3" in line)
            burst(console, "aKdrfs")
            console.app.post_message(mouse(MouseDown, 10, y))
            console.app.post_message(mouse(MouseUp, 10, y))
            await console.until(lambda: console.table.cursor == "w3")
            assert console.app.main.prompt.value == "Kdrfs"
            assert not console.open_question
            assert not console.cluster.requests

    run(test)


def mouse(kind: type[MouseEvent], x: int, y: int) -> MouseEvent:
    """What a terminal sends of a click."""
    return kind(
        widget=None,
        x=x,
        y=y,
        delta_x=0,
        delta_y=0,
        button=1,
        shift=False,
        meta=False,
        ctrl=False,
    )
