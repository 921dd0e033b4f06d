"""Whatever is pressed: no command hits anybody who was not named, and no figure is untrue."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from textual.events import Key

from console.cluster_names import worker_key
from console.screens.worker import WorkerScreen
from console.text import number
from nodes.wire import WorkerView
from tests.console.fakes import (
    FakeCluster,
    Shown,
    cluster_snapshot,
    envelope,
    machine_view,
    run,
    shown,
    worker_view,
)
from tests.kit import PATIENCE

KEYS = (
    *("j", "k", "down", "up", "g", "G", "space", "enter", "escape", "tab", "shift+tab"),
    *("K", "d", "r", "f", "K", "d", "s", "minus", "R", "o", "O", "z", "v"),
    *("m", "1", "2", "3", "4", "5", "6", "y", "y", "n", "slash", "w", "2", "backspace"),
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

    Attributes:
        tally: what they counted.
    """

    def __init__(self, random: Random, machines: Sequence[str]) -> None:
        self._machines = machines
        workers = [worker_view(n, served=0, machine=machines[0]) for n in range(1, 6)]
        there = tuple(machine_view(name) for name in machines if name)
        abilities = ("freeze", "log", "place", "spawn")
        super().__init__(cluster_snapshot(workers, machines=there, abilities=abilities))
        self.answer = envelope({"record_id": 1, "name": "xander"})
        self._random = random
        self.tally = Tally()
        self._generations = 5

    def turn(self) -> None:
        """A second passes."""
        random, before = self._random, self.now
        workers = [self._serve(one) for one in before.workers if random.random() > 0.05]
        if random.random() < 0.3 and len(workers) < 9:
            taken = {one.id for one in workers}
            free = next(n for n in range(1, 99) if f"w{n}" not in taken)
            self._generations += 1
            place = {"generation": self._generations, "machine": random.choice(self._machines)}
            workers.append(worker_view(free, served=0, **place))
        random.shuffle(workers)
        self.now = msgspec.structs.replace(
            before,
            taken_at=before.taken_at + 1.0,
            workers=tuple(workers),
            answered=self.tally.answered,
            errors=self.tally.failed,
            lookups_per_s=sum(one.lookups_per_s for one in workers),
            in_flight=sum(one.in_flight for one in workers),
        )

    def _serve(self, worker: WorkerView) -> WorkerView:
        random = self._random
        state = random.choice(["up", "up", "up", "suspect", "draining", "down"])
        asked = 0 if state == "down" else random.randrange(10)
        outcomes = [Outcome(random.random() < 0.9, random.random() < 0.1) for _ in range(asked)]
        for one in outcomes:
            self.tally.note(worker.generation, one)
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
    """The rows of the worker list by key, and its total: what stands below each title."""
    lines = console.lines()
    top = next(n for n, line in enumerate(lines) if " SERVED" in line and " STATE" in line)
    ends = {title: re.search(rf" {title}(?= |$)", lines[top]) for title in SUMMED}
    rows: dict[str, dict[str, str]] = {}
    for line in lines[top + 1 :]:
        cells = {title: line[: end.end()].split()[-1:] for title, end in ends.items() if end}
        texts = {title: "".join(cell) for title, cell in cells.items()}
        if row := re.match(r"..(w\d+) +(:\d)?", line):
            rows[worker_key(row[2] or "", row[1])] = texts
        elif re.match(r" *\d+ up", line):
            return rows, texts
        elif "gone (ENTER" not in line and "has no workers" not in line:
            return rows, {}
    raise AssertionError("the list has no end")


def check_figures(console: Shown, clusters: Mapping[str, BusyCluster]) -> None:
    """Holds the screen against the clients' tallies, and its total against its rows."""
    figures = console.lines()[1]
    answered = sum(one.tally.answered for one in clusters.values())
    failed = sum(one.tally.failed for one in clusters.values())
    assert f"  answered {answered}  " in figures
    assert (f"  failed {number(failed)}  " in figures) == bool(failed)
    rows, total = table_on(console)
    assert list(rows) == [key for key in console.table.keys if not key.startswith("*")]
    counted = {
        worker_key(name, one.id): cluster.tally.cells(one.generation)
        for name, cluster in clusters.items()
        for one in cluster.now.workers
    }
    for key, cells in rows.items():
        assert {title: cells[title] for title in COUNTED} == counted[key], key
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


@pytest.mark.timeout(900)  # also when so many keys never did enough
@pytest.mark.parametrize(
    ("sequences", "names", "machines"),
    [
        (10, [""], [""]),
        pytest.param(500, [""], [""], marks=pytest.mark.long),
        pytest.param(300, [":1", ":2"], [""], marks=pytest.mark.long),
        pytest.param(300, [""], ["m1", "m2"], marks=pytest.mark.long),
    ],
)
def test_no_command_hits_who_was_not_named_and_the_figures_are_those_of_clients(
    sequences: int, names: Sequence[str], machines: Sequence[str]
) -> None:
    random = Random(15)
    clusters = {name: BusyCluster(random, machines) for name in names}

    async def test() -> None:
        async with shown(clusters[names[0]], several=clusters, size=(100, 30)) as console:
            operator = Operator(console, random)
            played = 0
            # What a key meets depends on when it comes: some runs need more of them than others.
            while played < sequences or not enough(steered(clusters), played, names):
                for name, cluster in clusters.items():
                    cluster.turn()
                    console.post_snapshot(cluster.now, cluster=name)
                for _ in range(6):
                    await operator.act()
                played += 1
            await console.pilot.pause(0.3)
            assert set(steered(clusters)) <= operator.allowed
            await to_the_workers(console)
            assert all(one.tally.answered > sequences for one in clusters.values())
            assert all(one.tally.failed for one in clusters.values())
            for text in ("", "up", "w2", "w"):
                console.table.set_filter(text)
                await console.pilot.pause()
                check_figures(console, clusters)

    run(test)


def enough(done: Sequence[tuple[str, str]], played: int, names: Sequence[str]) -> bool:
    """Whether what was done to workers, in all clusters, is worth being held against anything."""
    return (
        len(done) >= played // 10
        and {verb for verb, _ in done} >= {"kill", "drain", "freeze"}
        and {key.partition(" of ")[2] for _, key in done} == set(names)
    )


def steered(clusters: Mapping[str, BusyCluster]) -> list[tuple[str, str]]:
    """What was done to workers, each by its key."""
    return [
        (one[0], worker_key(name, one[1]))
        for name, cluster in clusters.items()
        for one in cluster.requests
        if one[0] in ON_A_WORKER
    ]


class Operator:
    """Presses keys and clicks, at random, and remembers what that may lead to.

    Attributes:
        allowed: requests about workers that were on the screen, and named.
    """

    def __init__(self, console: Shown, random: Random) -> None:
        self.allowed: set[tuple[str, str]] = set()
        self._console = console
        self._random = random
        self._asked_about: set[tuple[str, str]] = set()

    async def act(self) -> None:
        """Presses a key, or clicks somewhere. Every other question is answered with yes."""
        console, random = self._console, self._random
        key, question, before = random.choice(KEYS), console.open_question, on_screen(console)
        if question:
            key = random.choice(("y", key))
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
            verb, _, text = asked.rstrip("?").partition(" ")
            named = keys_named(text) if verb in NAMING else set()
            ids = {key.partition(" of ")[0] for key in named}
            await console.until(lambda: all(one in console.text() for one in ids))
            seen = before | on_screen(console)
            if key == "minus":  # whom it drains is told by the question alone
                seen.update(console.app.clusters.worker_keys)
            self._asked_about = {(verb.lower(), one) for one in named & seen}


def keys_named(text: str) -> set[str]:
    """The keys of the workers that a question names: "w1, w2 of :1; w1 of :2"."""
    keys = set()
    for some in text.split("; "):
        ids, _, cluster = some.partition(" of ")
        keys |= {worker_key(cluster, one) for one in ids.split(", ")}
    return keys


def on_screen(console: Shown) -> set[str]:
    """The workers that can be seen: the one that has a screen, or else the rows of the list."""
    screens = console.app.screen_stack
    opened = [screen.key for screen in screens if isinstance(screen, WorkerScreen)]
    return {opened[-1]} if opened else {row.key for row in console.table.rows}


async def settled(console: Shown) -> None:
    """Waits until the keys pressed so far have done what they do."""
    for node in (console.app, console.app.screen, console.app.focused or console.app):
        done = asyncio.Event()
        node.call_later(done.set)
        await asyncio.wait_for(done.wait(), PATIENCE)
    await asyncio.sleep(0.002)
