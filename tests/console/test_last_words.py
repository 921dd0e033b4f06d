"""How a worker ended, and what it said last."""

from __future__ import annotations

import pytest

from console.last_words import last_words, last_words_lines, meaning, run_before
from console.lines import Line
from console.screens.worker import WorkerScreen
from tests.console.fakes import FakeCluster, cluster_snapshot, run, shown, worker_view

START = "--- 2026-01-31 12:00:03 started ---"
KILLED = "--- 2026-01-31 12:04:10 killed by SIGKILL ---"
LOG = [START, "one", "--- 2026-01-31 12:03:00 exited with status 1 ---", START, *"abcd", KILLED]


@pytest.mark.parametrize(
    ("lines", "why", "expected"),
    [
        (
            LOG,
            "its connection ended",
            ("2026-01-31 12:04:10", "killed by SIGKILL", ["b", "c", "d"]),
        ),
        (LOG[:3], "", ("2026-01-31 12:03:00", "exited with status 1", ["one"])),
        ([*LOG, START, "new"], "missed 3 probes", ("", "missed 3 probes", ["new"])),
        (["no mark", " "], "killed by SIGKILL", ("", "killed by SIGKILL", ["no mark"])),
        ([], "it left, as it was to", ("", "it left, as it was to", [])),
    ],
)
def test_the_end_is_that_of_the_last_run(
    lines: list[str], why: str, expected: tuple[str, str, list[str]]
) -> None:
    assert last_words(lines, why) == expected


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("killed by SIGKILL", "by an operator"),
        ("killed by SIGSEGV", "it crashed"),
        ("exited with status 0", "it left in order"),
        ("exited with status 3", "by itself, on an error"),
        ("crash-looping: exited with status 3; its log ends: oh no", "by itself, on an error"),
        ("killed by SIGUSR2", ""),
        ("its connection ended", ""),
    ],
)
def test_an_ending_is_told_in_words(ended: str, words: str) -> None:
    assert meaning(ended).startswith(words)
    assert bool(meaning(ended)) == bool(words)


def test_the_run_before_is_found_from_any_line() -> None:
    assert [run_before(LOG, index) for index in (0, 2, 3, 5, len(LOG))] == [None, None, 0, 0, 0]
    assert run_before([], 0) is None


def _text(lines: list[Line]) -> str:
    return "\n".join("".join(run.text for run in line) for line in lines)


def test_what_comes_from_outside_moves_no_cursor() -> None:
    dead = worker_view(1, state="down", why="\x1b[2J")
    assert _text(last_words_lines(dead, [], 80)).split("\n") == [
        f"{' ' + chr(92) + 'x1b[2J':<80}",
        "   (it said nothing)",
    ]


@pytest.mark.long
def test_the_screen_of_a_dead_worker_tells_how_it_ended_and_leads_to_the_run_before() -> None:
    async def test() -> None:
        dead = worker_view(2, state="down", local=False, why="killed by SIGKILL")
        cluster = FakeCluster(cluster_snapshot([worker_view(1), worker_view(2)]))
        cluster.text = "\n".join(LOG) + "\n"
        async with shown(cluster) as console:
            await console.press("G", "enter")
            await console.until(lambda: "Workers > w2" in console.text())
            await console.until(lambda: KILLED in console.text())
            assert "Last words" not in console.text()
            assert "again" not in console.lines()[-1]
            await console.show_snapshot(cluster_snapshot([worker_view(1), dead]))
            await console.until(lambda: "Last words" in console.text())
            text = console.text()
            assert " killed by SIGKILL  by an operator, or for want of memory  at 12:04:10" in text
            assert "   b" in text and "   d" in text
            assert "A again" in console.lines()[-1]
            screen = console.app.screen
            assert isinstance(screen, WorkerScreen)
            await console.press("b")
            assert screen._log.cursor == "1"
            assert not screen.following
            await console.press("b")
            assert "no run before" in screen.message.text
            await console.press("A")
            await console.until(lambda: ("again", "w2") in cluster.requests)
            await console.pilot.click("#workers-head", offset=(4, 0))
            await console.until(lambda: console.app.screen is console.app.main)

    run(test)
