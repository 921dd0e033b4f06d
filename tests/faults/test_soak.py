"""Mixed faults and reloads for a long time: memory and descriptors stay flat.

`python -m pytest -m soak -n 0 -s tests/faults` runs it for ten minutes; `ROLLCALL_SOAK` names
other seconds.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from pathlib import Path
from random import Random

import psutil
import pytest

from nodes.cluster import HostedCluster
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


def write_people(file: Path, year: int) -> list[dict[str, object]]:
    """A version of the records, written in one step."""
    people: list[dict[str, object]] = [
        {"name": f"p{n}", "location": "Oslo", "year": 2000} for n in range(50)
    ]
    fresh = file.with_suffix(".new")
    fresh.write_text(
        str([*people, {"name": "v", "location": "Rome", "year": year}]).replace("'", '"')
    )
    fresh.replace(file)
    return people


def trouble(cluster: HostedCluster, file: Path, over: threading.Event) -> None:
    """One thing after the other goes wrong, with two workers left alone."""
    random = Random(7)
    year = 2000
    while not over.wait(random.uniform(0.2, 1.0)):
        workers = [w for w in cluster.snapshot().workers if w.state == "up"]
        if len(workers) < 3:
            continue
        victim = random.choice(workers)
        match random.randrange(4):
            case 0:
                kill_process(victim.pid)
            case 1:
                with FrozenProcess(victim.pid):
                    over.wait(random.uniform(0.1, 4.0))
            case 2:
                cluster.restart(victim.id)
            case 3:
                year += 1
                write_people(file, year)
                if "reload" not in [event.kind for event in cluster.events()[-2:]]:
                    cluster.reload()
                    poll_for(lambda: "reloaded" in [e.kind for e in cluster.events()[-20:]], 60.0)


def slope(values: list[float]) -> float:
    """How much the second half of the samples is above the first, a sample."""
    return statistics.linear_regression(range(len(values)), values).slope


@pytest.mark.soak
@pytest.mark.timeout(SECONDS * 2 + 120)
def test_nothing_grows(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    records = write_people(file, 2000)
    me = psutil.Process()
    memory: list[float] = []
    descriptors: list[float] = []
    results: list[ClientResults] = []
    over = threading.Event()
    with hosted(3, data=tmp_path) as cluster:
        thread = threading.Thread(target=trouble, args=(cluster, file, over))
        thread.start()
        try:
            began = time.monotonic()
            while (spent := time.monotonic() - began) < SECONDS:
                results += load_from_threads(
                    cluster.address, clients=4, lookups=100, records=records
                )
                if spent > len(memory) * SECONDS / SAMPLES:
                    memory.append(me.memory_info().rss / 1e6)
                    descriptors.append(me.num_fds())
        finally:
            over.set()
            thread.join(60.0)
        poll_for(lambda: len(up(cluster)) == 3, 30.0)
        poll_for(lambda: cluster.snapshot().in_flight == 0)
    # What is filled once (the events, the windows of figures) is full after a third.
    late = len(memory) // 3
    grown, opened = slope(memory[late:]) * SAMPLES, slope(descriptors[late:]) * SAMPLES
    print(
        f"\n{SECONDS:g} s, {sum(t.answers for t in results)} lookups, slowest "
        f"{max(t.slowest for t in results) * 1000:.0f} ms; memory {memory[0]:.0f} to "
        f"{memory[-1]:.0f} MB, slope {grown:+.2f} MB, descriptors {descriptors[0]:.0f} to "
        f"{descriptors[-1]:.0f}, slope {opened:+.2f}, each over the whole time"
    )
    assert [error for result in results for error in result.errors] == []
    assert [wrong for result in results for wrong in result.wrong] == []
    assert grown < 20.0
    assert opened < 20.0
