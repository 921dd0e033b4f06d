"""Prepared clusters as an operator would see them: minutes of history, healthy and in an outage.

Every figure follows from the number of a second, so that the screens are the same in every run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from console.messages import LookupAnswered
from nodes.master.durations import LATENCY_BOUNDS_MS
from nodes.wire import ClusterSnapshot, Event, LookupView, SlowLookup, WorkerView
from tests.console.fakes import (
    NOON,
    FakeCluster,
    Shown,
    cluster_snapshot,
    envelope,
    event,
    machine_view,
    worker_view,
)

PAST_S = 180
"""Seconds that have been watched."""

STALL_S = range(-90, -75)
"""Seconds before now in which the second worker was frozen."""

OUTAGE_S = 20
"""Seconds for which every lookup has failed, in an outage."""

FULL_PER_S = 240.0

NAMES = ("xander", "carrie", "alina", "mateo", "nadia", "oskar", "freya", "tomas")
CITIES = ("New Orleans", "Los Angeles", "Kansas City", "Minsk", "Oslo", "Auckland")


def wave(at: float, *, period_s: float = 40.0, depth: float = 0.12) -> float:
    """A factor about 1 that goes up and down."""
    return 1.0 + depth * math.sin(2 * math.pi * at / period_s) + depth / 3 * math.sin(at * 2.1)


def worker_at(number: int, at: int, count: int, *, outage: bool) -> WorkerView:
    """A worker at a second, counted back from now."""
    frozen, per_s = number == 2 and at in STALL_S, FULL_PER_S / count
    rising = min(1.0, (PAST_S + at) / 12)
    rate = 0.0 if frozen else per_s * rising * wave(at + 7 * number, depth=0.08)
    p99 = 2.1 * wave(at * 3 + 11 * number, depth=0.3)
    if frozen:
        p99 = 50.0 * (1 + at - STALL_S.start)
    gone = outage and at > -OUTAGE_S
    served = int(per_s * (PAST_S + min(at, -OUTAGE_S if outage else at)) * (1 + number / 90))
    hedged = 17 if number == 2 and STALL_S.start < at < STALL_S.start + 60 else 0
    view = worker_view(
        number,
        served=served,
        attempts=served + hedged,
        in_flight=0 if gone else (number + at) % 3,
        lookups_per_s=0.0 if gone else round(rate, 1),
        p50_ms=None if gone else 0.27 + number % 5 / 100,
        p99_ms=None if gone else round(p99, 2),
        cpu_percent=0.0 if gone else 3.0 + (number + at) % 4,
        memory_bytes=0 if gone else (31 + number % 3) * 2**20,
        uptime_s=0.0 if gone else float(PAST_S + at),
        slow=frozen and not gone,
        hedged_last_minute=0 if gone else hedged,
        hedged_away=hedged,
    )
    if not gone:
        return view
    return msgspec.structs.replace(
        view, state="down", why="killed by an operator", state_since=NOON - OUTAGE_S
    )


def snapshot_at(at: int, count: int, *, outage: bool) -> ClusterSnapshot:
    """The cluster at a second, counted back from now."""
    workers = [worker_at(n, at, count, outage=outage) for n in range(1, count + 1)]
    gone = outage and at > -OUTAGE_S
    rate = sum(one.lookups_per_s for one in workers)
    failed = 0 if not gone else int(200 * (OUTAGE_S + at))
    stalled = at in STALL_S
    hedges = 17 if at >= STALL_S.start + 2 else 8 if at >= STALL_S.start else 0
    errors = {"no_workers": failed} if failed else {}
    return cluster_snapshot(
        workers,
        taken_at=NOON + at,
        uptime_s=float(PAST_S + at),
        records=257,
        wanted_workers=0 if gone else count,
        lookups_per_s=rate,
        mean_lookups_per_s=rate * 0.99,
        errors_per_s=200.0 if gone else 0.0,
        p50_ms=None if gone else 0.29,
        p99_ms=None if gone else 55.0 if stalled else round(2.3 * wave(at * 3, depth=0.3), 2),
        answered=sum(one.served for one in workers),
        errors=failed,
        errors_by_code=errors,
        recent_errors_by_code=errors,
        hedges=hedges,
        latencies=tuple(zip(LATENCY_BOUNDS_MS, _LATENCIES, strict=True)),
        lookups=_lookups(rate, failed),
        slow=_slow(at, failed),
    )


_LATENCIES = (8120, 4340, 910, 600, 205, 48, 17, 9, 0, 0)


def _lookups(rate: float, failed: int) -> tuple[LookupView, ...]:
    parts = (
        ("getbyname", 0.5, 0.26, 1.9),
        ("getbylocation", 0.3, 0.41, 2.6),
        ("getbyyear", 0.2, 0.31, 2.2),
    )
    return tuple(
        LookupView(
            name=name,
            per_s=round(rate * part),
            p50_ms=p50 if rate else None,
            p99_ms=p99 if rate else None,
            answered=int(41_000 * part),
            empty=int(3_100 * part),
            errors=int(failed * part),
        )
        for name, part, p50, p99 in parts
    )


def _slow(at: int, failed: int) -> tuple[SlowLookup, ...]:
    failures = [
        SlowLookup(NOON + at - n / 5, "getbyname", NAMES[n % 8], 0.1, 0, "", "", "no_workers")
        for n in range(min(failed, 6))
    ]
    hedged = [
        SlowLookup(
            at=NOON + STALL_S.start + n,
            name="getbylocation" if n % 2 else "getbyname",
            arguments=f"'{CITIES[n % 6]}'" if n % 2 else NAMES[n % 8],
            ms=61.0 - n * 0.7,
            attempts=2,
            worker=f"w{1 + 2 * (n % 2)}",
            why="hedged",
            code="",
        )
        for n in range(10)
    ]
    return (*failures, *hedged)


def events_of(count: int, *, outage: bool) -> list[Event]:
    """What happened meanwhile."""
    told: list[tuple[float, str, str, str]] = [(-PAST_S, "started", "", "master 127.0.0.1:23000")]
    for n in range(1, count + 1):
        told.append(
            (1 - PAST_S, "registered", f"w{n}", f"at 127.0.0.1:{23100 + n}, pid {4000 + n}")
        )
        told.append((1 - PAST_S, "proved", f"w{n}", "answers probes"))
    told += [
        (STALL_S.start, "frozen", "w2", "by an operator"),
        (STALL_S.start + 2, "suspect", "w2", "no answer within 0.750 s"),
        (STALL_S.stop, "thawed", "w2", "by an operator"),
        (STALL_S.stop + 1, "recovered", "w2", "answers probes"),
        (-50, "reload", "", "by an operator"),
        (-49, "reloaded", "", "5f2c91d0a3b4: 257 records, nothing has changed"),
    ]
    if outage:
        told += [
            (-OUTAGE_S, kind, f"w{n}", text)
            for n in range(1, count + 1)
            for kind, text in (("killed", "by an operator"), ("left", "killed by an operator"))
        ]
    return [Event(n, NOON + at, *rest) for n, (at, *rest) in enumerate(told, 1)]


def watched_cluster(
    count: int, *, outage: bool = False
) -> tuple[FakeCluster, list[ClusterSnapshot]]:
    """A cluster of so many workers, and what was seen of it until now."""
    past = [snapshot_at(at, count, outage=outage) for at in range(-PAST_S, 1)]
    cluster = FakeCluster(past[0], events_of(count, outage=outage))
    people = [
        {"record_id": 40 + n, "name": name, "location": CITIES[0], "year": 1994 + n}
        for n, name in enumerate(NAMES)
    ]
    cluster.answer = envelope(*people, elapsed_ms=0.41)
    return cluster, past


def machines_cluster() -> FakeCluster:
    """Three machines, of which one was lost: two of its workers run elsewhere, one waits."""
    places = ("m1", "m1", "m1", "m1", "m3", "m3", "m3", "m3")
    workers = [
        worker_view(
            n,
            machine=machine,
            served=4000 + 31 * n,
            lookups_per_s=30.0 * wave(7 * n, depth=0.08),
            p50_ms=0.31,
            p99_ms=2.1 * wave(11 * n, depth=0.3),
            restarts=int(n in (4, 8)),
            uptime_s=9.0 if n in (4, 8) else float(PAST_S),
        )
        for n, machine in enumerate(places, 1)
    ]
    why = "waiting for room: no machine that can be reached has room"
    workers.append(worker_view(9, state="starting", why=why, served=0, restarts=1, uptime_s=0.0))
    machines = (
        machine_view("m1", room=4, workers=4),
        machine_view("m2", lost="ssh: no route to host", since=NOON - 12, workers=0, away=2),
        machine_view("m3", room=4, workers=4),
    )
    text = "m2: ssh: no route to host; its workers: w4, w8, w9"
    told = [event(48, "machine_lost", "", text)]
    told += [event(49 + n, "lost", one, "machine lost") for n, one in enumerate(("w4", "w8"))]
    told += [event(51 + n, "proved", one) for n, one in enumerate(("w4", "w8"))]
    abilities = ("freeze", "log", "place", "spawn")
    snapshot = cluster_snapshot(
        workers, machines=machines, abilities=abilities, p50_ms=0.31, p99_ms=2.8
    )
    return FakeCluster(snapshot, told)


async def show_scene(
    console: Shown, past: Sequence[ClusterSnapshot], *, asked: bool = False
) -> None:
    """Has a console have seen all of it, and perhaps an answer."""
    for snapshot in past[:-1]:
        console.app.front.history.add(snapshot)
    await console.show_snapshot(past[-1])
    if asked:
        main, words = console.app.main, ["getbylocation", "New Orleans"]
        main.prompt.value = 'getbylocation "New Orleans"'
        answer = LookupAnswered(words, console.cluster.answer, 0.8, [], more=False)
        console.app.post_message(answer)
        await console.until(lambda: main.answers.records)
    await console.pilot.pause()
