"""Mixed faults and reloads for a long time: memory and descriptors stay flat.

`python -m pytest -m soak -n 0 -s tests/faults` runs it for ten minutes; `ROLLCALL_SOAK` names
other seconds.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import statistics
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import psutil
import pytest

from nodes import Client
from nodes.cluster import HostedCluster
from nodes.errors import LookupFailed
from nodes.support.paths import cache_dir
from nodes.wire import WorkerView, is_crash_looping
from tests.faults.scenarios import SetClock
from tests.kit import (
    ClientResults,
    FrozenProcess,
    hosted,
    kill_process,
    load_from_threads,
    poll_for,
    up,
)

SECONDS = float(os.environ.get("ROLLCALL_SOAK", "600"))
SAMPLES = 40


WORKERS = 4
FULL_BYTES = 1024
"""No file grows beyond this where the disk is full."""

PEOPLE: list[dict[str, object]] = [
    {"name": f"p{n}", "location": "Oslo", "year": 2000} for n in range(50)
]
"""What the clients ask for; one more record changes."""


class Soak:
    """What goes wrong, one thing after the other, with one worker of four left alone at least.

    Args:
        cluster: with all its workers up whenever something begins to go wrong.
        data: the folder of its records.
        clock: its clock of the wall.
    """

    def __init__(self, cluster: HostedCluster, data: Path, clock: SetClock) -> None:
        self.cluster = cluster
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.results: list[ClientResults] = []
        self._data = data
        self._clock = clock
        self._random = Random(7)
        self._versions = itertools.count(2001)

    def run(self) -> None:
        """Until it is over."""
        hurts = (
            self._kill,
            self._kill_together,
            self._freeze,
            self._restart,
            self._reload,
            self._retype,
            self._remove_cache,
            self._fill_disk,
            self._set_clock,
            self._ask_in_bulk,
        )
        while not self.over.wait(self._random.uniform(0.2, 1.0)):
            self.restart_those_that_died_often()
            if len(up(self.cluster)) == WORKERS:
                hurt = self._random.choice(hurts)
                hurt()
                self.done[hurt.__name__.strip("_")] += 1

    def restart_those_that_died_often(self) -> None:
        """As an operator does, who does not wait for minutes until they are tried again."""
        for worker in self.cluster.snapshot().workers:
            if is_crash_looping(worker):
                self.cluster.restart(worker.id)

    def _victims(self, count: int = 1) -> list[WorkerView]:
        workers = [one for one in self.cluster.snapshot().workers if one.state == "up"]
        return self._random.sample(workers, count)

    def _kill(self) -> None:
        for victim in self._victims():
            kill_process(victim.pid)

    def _kill_together(self) -> None:
        for victim in self._victims(WORKERS - 1):
            kill_process(victim.pid)

    def _freeze(self) -> None:
        [victim] = self._victims()
        with FrozenProcess(victim.pid):
            self.over.wait(self._random.uniform(0.1, 4.0))

    def _restart(self) -> None:
        self.cluster.restart(self._victims()[0].id)

    def _reload(self) -> None:
        write_people(self._data, next(self._versions))
        self.cluster.reload()

    def _retype(self) -> None:
        write_people(self._data, f"in {next(self._versions)}")
        self.cluster.reload()

    def _remove_cache(self) -> None:
        shutil.rmtree(cache_dir(), ignore_errors=True)
        self._kill()

    def _fill_disk(self) -> None:
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, usual[1]))
        try:
            self._kill()
            self.over.wait(2.0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    def _set_clock(self) -> None:
        for step in (-2 * 3600.0, 400 * 86400.0, 0.0):
            self._clock.ahead_s = step
            self.over.wait(0.5)

    def _ask_in_bulk(self) -> None:
        result = ClientResults()
        self.results.append(result)
        with Client(self.cluster.address, timeout=5.0) as client:
            found = client.lookup_many(
                [("getbyname", str(person["name"])) for person in PEOPLE] * 20
            )
        for person, records in zip(itertools.cycle(PEOPLE), found, strict=False):
            result.answers += 1
            if isinstance(records, LookupFailed):
                result.errors.append(str(records))
            elif list(records) != [person]:
                result.wrong.append(str(person))


def write_people(folder: Path, year: object) -> None:
    """A version of the records, written in one step."""
    fresh = folder / "people.new"
    fresh.write_text(json.dumps([*PEOPLE, {"name": "v", "location": "Rome", "year": year}]))
    fresh.replace(folder / "people.json")


def slope(values: list[float]) -> float:
    """How much the second half of the samples is above the first, a sample."""
    return statistics.linear_regression(range(len(values)), values).slope


@pytest.mark.soak
@pytest.mark.timeout(SECONDS * 2 + 120)
def test_nothing_grows(tmp_path: Path) -> None:
    write_people(tmp_path, 2000)
    clock = SetClock()
    me = psutil.Process()
    memory: list[float] = []
    descriptors: list[float] = []
    results: list[ClientResults] = []
    with hosted(WORKERS, data=tmp_path, clock=clock) as cluster:
        soak = Soak(cluster, tmp_path, clock)
        thread = threading.Thread(target=soak.run, name="soak")
        thread.start()
        try:
            began = time.monotonic()
            while (spent := time.monotonic() - began) < SECONDS:
                results += load_from_threads(
                    cluster.address, clients=4, lookups=100, records=PEOPLE
                )
                if spent > len(memory) * SECONDS / SAMPLES:
                    memory.append(me.memory_info().rss / 1e6)
                    descriptors.append(me.num_fds())
        finally:
            soak.over.set()
            thread.join(60.0)
        soak.restart_those_that_died_often()
        poll_for(lambda: len(up(cluster)) == WORKERS, 30.0)
        poll_for(lambda: cluster.snapshot().in_flight == 0)
    results += soak.results
    # What is filled once (the events, the windows of figures) is full after a third.
    late = len(memory) // 3
    grown, opened = slope(memory[late:]) * SAMPLES, slope(descriptors[late:]) * SAMPLES
    print(
        f"\n{SECONDS:g} s, {sum(t.answers for t in results)} lookups, slowest "
        f"{max(t.slowest for t in results) * 1000:.0f} ms; memory {memory[0]:.0f} to "
        f"{memory[-1]:.0f} MB, slope {grown:+.2f} MB, descriptors {descriptors[0]:.0f} to "
        f"{descriptors[-1]:.0f}, slope {opened:+.2f}, each over the whole time; "
        + ", ".join(f"{count} {what}" for what, count in soak.done.most_common())
    )
    assert [error for result in results for error in result.errors] == []
    assert [wrong for result in results for wrong in result.wrong] == []
    assert grown < 20.0
    assert opened < 20.0
