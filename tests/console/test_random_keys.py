"""Whatever is pressed: no command hits anybody who was not named, and no figure is untrue."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from textual.events import Key

from console.screens.worker import WorkerScreen
from console.text import number
from nodes.wire import WorkerView
from tests.console.fakes import (
    FakeCluster,
    Shown,
    cluster_snapshot,
    envelope,
    run,
    shown,
    worker_view,
)
from tests.kit import PATIENCE

KEYS = (
    *("j", "k", "down", "up", "g", "G", "space", "enter", "escape", "tab", "shift+tab"),
    *("K", "d", "r", "f", "K", "d", "s", "minus", "R", "o", "O", "z", "v"),
    *("1", "2", "3", "4", "5", "6", "y", "y", "n", "slash", "w", "2", "backspace"),
)

NAMING = {"Kill", "Drain", "Restart", "Freeze"}
ON_A_WORKER = ("kill", "drain", "restart", "freeze", "thaw")
"""Questions that name workers, and the requests that are about one."""

WIDE = (240, 60)
"""A screen with room for every column."""

COUNTED = ("SERVED", "FAIL", "HEDGE/M")
SUMMED = (*COUNTED, "/S", "INFL")
"""Columns that clients can count, and those that have a total."""


# -- a cluster whose lookups are counted by those who ask -------------------------------


class Outcome(NamedTuple):
    """What became of a lookup at a worker."""

    answered: bool
    hedged: bool


class Tally:
    """What clients counted, apart from whatever the cluster says of itself.

    Attributes:
        answered, failed: lookups, since the beginning.
        at: each registration of a worker, what became of lookups there.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.at: dict[int, Counter[Outcome]] = {}

    def note(self, generation: int, outcome: Outcome) -> None:
        """A lookup came to an end at that registration."""
        self.at.setdefault(generation, Counter())[outcome] += 1
        self.answered += outcome.answered
        self.failed += not outcome.answered

    def cells(self, generation: int) -> dict[str, str]:
        """What the counted columns of that registration should say."""
        ends = self.at.get(generation, Counter())
        counts = (
            sum(times for one, times in ends.items() if one.answered),
            sum(times for one, times in ends.items() if not one.answered),
            sum(times for one, times in ends.items() if one.hedged),
        )
        return dict(zip(COUNTED, map(str, counts), strict=True))


class BusyCluster(FakeCluster):
    """Workers that come, go, return under the same id, and answer the lookups of clients who
    tally them.
    """

    def __init__(self, random: Random, tally: Tally) -> None:
        super().__init__(cluster_snapshot([worker_view(n, served=0) for n in range(1, 6)]))
        self.answer = envelope({"record_id": 1, "name": "xander"})
        self._random = random
        self._tally = tally
        self._generations = 5

    def turn(self) -> None:
        """A second passes."""
        random, before = self._random, self.now
        workers = [self._serve(one) for one in before.workers if random.random() > 0.05]
        if random.random() < 0.3 and len(workers) < 9:
            taken = {one.id for one in workers}
            free = next(n for n in range(1, 99) if f"w{n}" not in taken)
            self._generations += 1
            workers.append(worker_view(free, generation=self._generations, served=0))
        random.shuffle(workers)
        self.now = msgspec.structs.replace(
            before,
            taken_at=before.taken_at + 1.0,
            workers=tuple(workers),
            answered=self._tally.answered,
            errors=self._tally.failed,
            lookups_per_s=sum(one.lookups_per_s for one in workers),
            in_flight=sum(one.in_flight for one in workers),
        )

    def _serve(self, worker: WorkerView) -> WorkerView:
        random = self._random
        state = random.choice(["up", "up", "up", "suspect", "draining", "down"])
        asked = 0 if state == "down" else random.randrange(10)
        outcomes = [Outcome(random.random() < 0.9, random.random() < 0.1) for _ in range(asked)]
        for one in outcomes:
            self._tally.note(worker.generation, one)
        answered = sum(one.answered for one in outcomes)
        return msgspec.structs.replace(
            worker,
            state=state,
            served=worker.served + answered,
            errors=worker.errors + asked - answered,
            hedged_last_minute=worker.hedged_last_minute + sum(one.hedged for one in outcomes),
            lookups_per_s=float(answered),
            in_flight=0 if state == "down" else random.randrange(5),
        )


# -- what is on the screen, read as a person reads it ------------------------------------


def table_on(console: Shown) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The rows of the worker list by id, and its total: what stands below each title."""
    lines = console.lines()
    top = next(n for n, line in enumerate(lines) if " SERVED" in line and " STATE" in line)
    ends = {title: re.search(rf" {title}(?= |$)", lines[top]) for title in SUMMED}
    rows: dict[str, dict[str, str]] = {}
    for line in lines[top + 1 :]:
        cells = {title: line[: end.end()].split()[-1:] for title, end in ends.items() if end}
        texts = {title: "".join(cell) for title, cell in cells.items()}
        if row := re.match(r"..(w\d+) ", line):
            rows[row[1]] = texts
        elif re.match(r" *\d+ up", line):
            return rows, texts
        elif "gone (ENTER" not in line:
            return rows, {}
    raise AssertionError("the list has no end")


def check_figures(console: Shown, tally: Tally) -> None:
    """Holds the screen against the clients' tally, and its total against its rows."""
    seen = console.app.snapshot
    assert seen is not None
    figures = console.lines()[1]
    assert f"  answered {tally.answered}  " in figures
    assert (f"  failed {number(tally.failed)}  " in figures) == bool(tally.failed)
    rows, total = table_on(console)
    assert list(rows) == [key for key in console.table.keys if not key.startswith("*")]
    generations = {one.id: one.generation for one in seen.workers}
    for worker_id, cells in rows.items():
        told = {title: cells[title] for title in COUNTED}
        assert told == tally.cells(generations[worker_id]), worker_id
    if len(rows) > 1:
        sums = {title: str(sum(int(cells[title]) for cells in rows.values())) for title in SUMMED}
        assert total == sums


async def to_the_workers(console: Shown) -> None:
    """Whatever is open is closed, on a screen with room for all columns."""
    while console.app.screen is not console.app.main:
        await console.press("n" if console.open_question else "escape")
    main = console.app.main
    if main.zoomed is not None:
        main.action_zoom()
    main.table.set_filter("")
    main.table.sort_by("ID", descending=False)
    await console.pilot.resize_terminal(*WIDE)
    await console.pilot.pause()


# -- the test ------------------------------------------------------------------------------


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sequences", [40, pytest.param(500, marks=pytest.mark.long)])
def test_no_command_hits_who_was_not_named_and_the_figures_are_those_of_clients(
    sequences: int,
) -> None:
    random, tally = Random(15), Tally()
    cluster = BusyCluster(random, tally)

    async def test() -> None:
        async with shown(cluster, size=(100, 30)) as console:
            operator = Operator(console, random)
            for _ in range(sequences):
                cluster.turn()
                console.post_snapshot(cluster.now)
                for _ in range(6):
                    await operator.act()
            await console.pilot.pause(0.3)
            for one in cluster.requests:
                assert one[0] not in ON_A_WORKER or one in operator.allowed
            await to_the_workers(console)
            assert tally.answered > sequences
            assert tally.failed
            for text in ("", "up", "w2", "w"):
                console.table.set_filter(text)
                await console.pilot.pause()
                check_figures(console, tally)

    run(test)


class Operator:
    """Presses keys and clicks, at random, and remembers what that may lead to.

    Attributes:
        allowed: requests about workers that were on the screen, and named.
    """

    def __init__(self, console: Shown, random: Random) -> None:
        self.allowed: set[tuple[str, ...]] = set()
        self._console = console
        self._random = random
        self._asked_about: set[tuple[str, ...]] = set()

    async def act(self) -> None:
        """Presses a key, or clicks somewhere."""
        console, random = self._console, self._random
        key, question, before = random.choice(KEYS), console.open_question, on_screen(console)
        if question:
            self.allowed |= self._asked_about
        elif key == "f":
            # Thawing is not asked for: it acts on what the cursor or the marks show.
            self.allowed |= {("thaw", one) for one in console.app.targets}
        if random.random() < 0.1:
            width, height = console.app.size
            await console.pilot.click(offset=(random.randrange(width), random.randrange(height)))
        else:
            console.app.post_message(Key(key, key if len(key) == 1 else None))
        await settled(console)
        asked = console.open_question
        if asked and asked != question:
            verb, _, names = asked.rstrip("?").partition(" ")
            named = set(names.split(", ")) if verb in NAMING else set()
            await console.until(lambda: all(one in console.text() for one in named))
            seen = before | on_screen(console)
            self._asked_about = {(verb.lower(), one) for one in named & seen}


def on_screen(console: Shown) -> set[str]:
    """The workers that can be seen: the one that has a screen, or else the rows of the list."""
    screens = console.app.screen_stack
    opened = [screen.worker_id for screen in screens if isinstance(screen, WorkerScreen)]
    return {opened[-1]} if opened else {row.key for row in console.table.rows}


async def settled(console: Shown) -> None:
    """Waits until the keys pressed so far have done what they do."""
    for node in (console.app, console.app.screen, console.app.focused or console.app):
        done = asyncio.Event()
        node.call_later(done.set)
        await asyncio.wait_for(done.wait(), PATIENCE)
    await asyncio.sleep(0.002)
