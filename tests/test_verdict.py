"""What the verdict says of each scene: one line must tell all of them apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nodes.wire import DAMAGED, STORE_DOWN, ClusterSnapshot, Level, Verdict, WorkerView, verdict
from nodes.wire.verdict import LOST_AFTER_S
from tests.console.fakes import NOON, cluster_snapshot, machine_view, worker_view


def three(*changed: WorkerView, **changes: Any) -> ClusterSnapshot:
    """Three workers, some of them changed, in a cluster that wants three."""
    workers = {one.id: one for one in (worker_view(n) for n in (1, 2, 3))}
    workers |= {one.id: one for one in changed}
    return cluster_snapshot(list(workers.values()), **{"wanted_workers": 3, **changes})


def gone(number: int, why: str, **changes: Any) -> WorkerView:
    """A worker that went five seconds ago."""
    return worker_view(
        number, **{"state": "down", "why": why, "state_since": NOON - 5, "local": False, **changes}
    )


STORELESS = f"{STORE_DOWN}: cannot be reached"

LOST = machine_view("m2", lost="ssh: no route to host", since=NOON - 12, workers=0)

WAITS = "waiting for room: no machine that can be reached has room"


def waiting(number: int) -> WorkerView:
    """A worker that no machine has room for."""
    return worker_view(number, state="starting", why=WAITS, uptime_s=0.0)


SCENES: dict[str, tuple[ClusterSnapshot, dict[str, Any], Level, str, str]] = {
    "all is well": (three(), {}, Level.HEALTHY, "", ""),
    "killed by an operator": (
        three(gone(3, "killed by an operator"), wanted_workers=2),
        {},
        Level.HEALTHY,
        "w3 killed 5s ago",
        "",
    ),
    "several killed, and one that left": (
        three(
            gone(3, "killed by an operator", state_since=NOON - 20),
            gone(4, "killed by an operator"),
            gone(5, "it left, as it was to"),
            wanted_workers=2,
        ),
        {},
        Level.HEALTHY,
        "w3, w4 killed 5s ago; w5 left 5s ago",
        "",
    ),
    "more killed than are named, and all restarted": (
        cluster_snapshot(
            [
                *(gone(n, "killed by an operator") for n in range(1, 6)),
                *(worker_view(n, restarts=1, uptime_s=float(n)) for n in (6, 7)),
            ],
            wanted_workers=2,
        ),
        {},
        Level.HEALTHY,
        "5 workers killed 5s ago; w6, w7 restarted 6s ago",
        "",
    ),
    "killed by somebody else": (
        three(gone(3, "killed by SIGKILL"), wanted_workers=2),
        {},
        Level.HEALTHY,
        "w3 killed by SIGKILL 5s ago",
        "",
    ),
    "killed by itself, restarting": (
        three(worker_view(3, state="starting", restarts=1, uptime_s=0.0)),
        {},
        Level.DEGRADED,
        "2 of 3 workers up: w3 starting",
        "",
    ),
    "killed by itself, restarted": (
        three(worker_view(3, restarts=1, deaths_last_minute=1, uptime_s=4.0)),
        {},
        Level.HEALTHY,
        "w3 died and was restarted 4s ago",
        "",
    ),
    "lost on another machine": (
        three(gone(3, "its connection ended"), wanted_workers=2),
        {},
        Level.DEGRADED,
        "w3 lost 5s ago: its connection ended",
        "",
    ),
    "frozen": (
        three(worker_view(2, state="suspect", frozen=True, why="no answer within 1.0 s")),
        {},
        Level.HEALTHY,
        "",
        "frozen w2",
    ),
    "frozen until it was given up": (
        three(worker_view(2, state="down", frozen=True, why="missed 6 probes", pid=9)),
        {},
        Level.HEALTHY,
        "",
        "frozen w2",
    ),
    "silent": (
        three(worker_view(2, state="suspect")),
        {},
        Level.DEGRADED,
        "w2 silent",
        "",
    ),
    "slow": (
        three(worker_view(2, slow=True, hedged_away=900, hedged_last_minute=18)),
        {},
        Level.DEGRADED,
        "w2 slow, 18 hedges/min",
        "",
    ),
    "flapping": (
        three(worker_view(3, restarts=90, deaths_last_minute=4, uptime_s=3.0)),
        {},
        Level.DEGRADED,
        "w3 keeps dying, 4 times in a minute",
        "",
    ),
    "restarted by an operator, again and again": (
        three(worker_view(3, restarts=4, uptime_s=3.0)),
        {},
        Level.HEALTHY,
        "w3 restarted 3s ago",
        "",
    ),
    "all frozen": (
        three(
            worker_view(1, state="suspect", frozen=True),
            worker_view(2, frozen=True),
            worker_view(3, state="down", frozen=True, why="missed 6 probes"),
            errors_per_s=4.0,
        ),
        {},
        Level.OUTAGE,
        "every lookup fails: no worker answers, all are frozen",
        "frozen w1, w2, w3",
    ),
    "all silent": (
        three(*(worker_view(n, state="suspect") for n in (1, 2, 3))),
        {},
        Level.OUTAGE,
        "no worker answers, w1, w2, w3 silent",
        "",
    ),
    "silent and missing": (
        three(worker_view(2, state="suspect"), worker_view(3, state="starting")),
        {},
        Level.DEGRADED,
        "w2 silent; 1 of 3 workers up: w3 starting",
        "",
    ),
    "slow until it is silent": (
        three(worker_view(2, state="suspect", slow=True)),
        {},
        Level.DEGRADED,
        "w2 silent",
        "",
    ),
    "crash loop": (
        three(gone(3, "crash-looping: exited with status 1", local=True, next_try_at=NOON + 179.5)),
        {},
        Level.DEGRADED,
        "w3 crash-looping, next try in 2m59s",
        "",
    ),
    "two crash loops": (
        three(
            gone(3, "crash-looping: x", local=True, next_try_at=NOON + 300),
            gone(4, "crash-looping: x", local=True, next_try_at=NOON + 20),
        ),
        {},
        Level.DEGRADED,
        "w3, w4 crash-looping, next try in 20s",
        "",
    ),
    "a crash loop of an older master": (
        three(gone(3, "crash-looping: exited with status 1", local=True)),
        {},
        Level.DEGRADED,
        "w3 crash-looping",
        "",
    ),
    "nothing is logged": (
        three(log_trouble="what workers print is dropped: the disk is full"),
        {},
        Level.DEGRADED,
        "what workers print is dropped: the disk is full",
        "",
    ),
    "a catalog that nobody can read": (
        three(worker_view(2, why=f"{DAMAGED}: x")),
        {},
        Level.DEGRADED,
        "records damaged: x, for w2",
        "",
    ),
    "breaker": (
        three(worker_view(1, breaker_open=True)),
        {},
        Level.DEGRADED,
        "w1 failing, not asked for a while",
        "",
    ),
    "all gone": (
        cluster_snapshot([], wanted_workers=0, errors_per_s=180.0),
        {},
        Level.OUTAGE,
        "every lookup fails: no workers",
        "",
    ),
    "all crash-looping": (
        cluster_snapshot([gone(1, "crash-looping: x", local=True, next_try_at=NOON + 600)]),
        {},
        Level.OUTAGE,
        "w1 died too often, next try in 10m00s",
        "",
    ),
    "all starting anew": (
        cluster_snapshot([worker_view(1, state="starting")], uptime_s=100.0),
        {},
        Level.OUTAGE,
        "no worker is up, 1 is starting",
        "",
    ),
    "first start": (
        cluster_snapshot([worker_view(1, state="starting")], uptime_s=1.0),
        {},
        Level.STARTING,
        "0 of 1 worker up",
        "",
    ),
    "every answer is an error": (
        three(
            errors_per_s=12.0,
            lookups_per_s=0.0,
            errors_by_code={"no_workers": 900, "deadline": 24},
            recent_errors_by_code={"no_workers": 3, "deadline": 24},
        ),
        {},
        Level.OUTAGE,
        "every lookup fails, 12/s: deadline",
        "",
    ),
    "few are asked, and all fail": (
        three(recent_errors_by_code={"deadline": 1}),
        {},
        Level.OUTAGE,
        "every lookup of the last 10 s failed: deadline",
        "",
    ),
    "some of the few fail": (
        three(recent_errors_by_code={"deadline": 1}, mean_lookups_per_s=0.1),
        {},
        Level.HEALTHY,
        "",
        "",
    ),
    "a store that answers nobody": (
        three(*(worker_view(n, why=STORELESS) for n in (1, 2, 3)), errors_per_s=4.0),
        {},
        Level.OUTAGE,
        f"{STORELESS}; every lookup fails",
        "",
    ),
    "a store that answers nobody, and nobody asks": (
        three(*(worker_view(n, why=STORELESS) for n in (1, 2, 3))),
        {},
        Level.OUTAGE,
        STORELESS,
        "",
    ),
    "a store that one worker does not reach": (
        three(worker_view(2, why=STORELESS)),
        {},
        Level.DEGRADED,
        f"{STORELESS}, for w2",
        "",
    ),
    "busy machine": (three(busy=True), {}, Level.HEALTHY, "", "busy machine"),
    "master lost": (
        three(),
        {"age_s": 18.4, "lost": "connection refused"},
        Level.MASTER_LOST,
        "18s ago: connection refused, trying again",
        "",
    ),
    "mixed catalogs": (
        three(catalogs=("a", "b")),
        {},
        Level.DEGRADED,
        "2 versions of the records are served",
        "",
    ),
    "a worker with other records": (
        three(worker_view(2, state="unready")),
        {},
        Level.DEGRADED,
        "w2 with other records, not asked",
        "",
    ),
    "draining": (
        three(worker_view(1, state="draining"), wanted_workers=2),
        {},
        Level.HEALTHY,
        "",
        "draining w1",
    ),
    "traffic, by who may change nothing": (
        three(),
        {"traffic_per_s": 200, "read_only": True},
        Level.HEALTHY,
        "",
        "traffic 200/s, read-only",
    ),
    "a machine lost, and its workers with it": (
        three(
            worker_view(2, machine="m2", state="suspect", why="no answer within 1.0 s"),
            gone(3, "its connection ended", machine="m2", local=True),
            machines=(machine_view(), LOST),
        ),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago with 2 workers; 1 of 3 workers up",
        "",
    ),
    "a machine lost, and its workers start elsewhere": (
        three(
            worker_view(2, state="starting", uptime_s=0.0),
            machines=(machine_view(), msgspec.structs.replace(LOST, away=1)),
        ),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago, its worker is placed elsewhere; 2 of 3 workers up: w2 starting",
        "",
    ),
    "a machine lost, and its workers run elsewhere": (
        three(machines=(machine_view(), msgspec.structs.replace(LOST, away=3))),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago, its 3 workers run elsewhere",
        "",
    ),
    "a machine lost, and not room for all of its workers": (
        three(waiting(3), machines=(machine_view(), msgspec.structs.replace(LOST, away=2))),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago, 2 of its workers run elsewhere, w3 waits for room",
        "",
    ),
    "a machine lost, on which a worker answers all the same": (
        three(worker_view(3, machine="m2"), machines=(machine_view(), LOST)),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago",
        "",
    ),
    "two machines lost": (
        three(
            machines=(
                machine_view("m1", lost="gone", since=NOON - 30, away=1),
                msgspec.structs.replace(LOST, away=1),
            )
        ),
        {},
        Level.DEGRADED,
        "machines m1, m2 lost 12s ago, their 2 workers run elsewhere",
        "",
    ),
    "more machines lost than are named": (
        three(machines=[msgspec.structs.replace(LOST, name=f"m{n}") for n in range(4)]),
        {},
        Level.DEGRADED,
        "4 machines lost 12s ago",
        "",
    ),
    "all machines lost": (
        cluster_snapshot([waiting(1), waiting(2)], machines=(LOST,), uptime_s=1.0),
        {},
        Level.OUTAGE,
        "no worker is up; machine m2 lost 12s ago, w1, w2 wait for room",
        "",
    ),
    "no room": (
        three(waiting(2), waiting(3), machines=(machine_view(),)),
        {},
        Level.DEGRADED,
        "w2, w3 wait for room",
        "",
    ),
    "a machine back": (
        three(machines=(machine_view(), machine_view("m2", since=NOON - 9))),
        {},
        Level.HEALTHY,
        "machine m2 reachable for 9s",
        "",
    ),
    "a slow worker, a lost machine": (
        three(worker_view(1, slow=True), machines=(machine_view(), LOST)),
        {},
        Level.DEGRADED,
        "machine m2 lost 12s ago; w1 slow",
        "",
    ),
    "the worst first": (
        three(
            worker_view(1, slow=True),
            worker_view(2, state="suspect"),
            worker_view(3, frozen=True),
            panic=True,
        ),
        {},
        Level.DEGRADED,
        "most workers fail, so all of them are tried; w1 slow; w2 silent",
        "frozen w3",
    ),
}


@pytest.mark.parametrize("scene", SCENES)
def test_each_scene_has_its_words(scene: str) -> None:
    snapshot, facts, level, text, purpose = SCENES[scene]
    found = verdict(snapshot, **facts)
    assert (found.level, found.text, found.purpose) == (level, text, purpose)


def test_the_first_line_tells_all_scenes_apart() -> None:
    # A frozen worker is one, whatever has become of its registration meanwhile.
    alike = (
        "frozen until it was given up",
        "slow until it is silent",
        "some of the few fail",
    )
    told = {name: scene for name, scene in SCENES.items() if name not in alike}
    lines = [verdict(snapshot, **facts).line for snapshot, facts, *_ in told.values()]
    assert len(set(lines)) == len(lines)


def test_many_workers_are_counted_and_not_named() -> None:
    slow = cluster_snapshot([worker_view(n, slow=True) for n in range(1, 31)])
    assert verdict(slow).text == "30 workers slow"


def test_what_helps_is_named() -> None:
    assert verdict(cluster_snapshot()).hint == "spawn"
    assert verdict(three(catalogs=("a", "b"))).hint == "reload"
    assert verdict(three()).hint == ""


@pytest.mark.parametrize(
    ("snapshot", "hint"),
    [
        (cluster_snapshot([]), "spawn"),
        (three(catalogs=("a", "b")), "reload"),
        (three(worker_view(1, slow=True)), "restart"),
        (three(*(worker_view(n, frozen=True) for n in (1, 2, 3))), "thaw"),
        (cluster_snapshot([waiting(1)], machines=(LOST,)), ""),
    ],
)
def test_what_the_fleet_cannot_do_does_not_help(snapshot: ClusterSnapshot, hint: str) -> None:
    assert verdict(snapshot).hint == hint
    assert verdict(msgspec.structs.replace(snapshot, abilities=())).hint == ""


def test_an_old_snapshot_is_no_health() -> None:
    assert verdict(three(), LOST_AFTER_S).level is Level.HEALTHY
    assert verdict(three(), LOST_AFTER_S + 0.1).level is Level.MASTER_LOST
    assert verdict(three(), 0.5, lost="refused").level is Level.MASTER_LOST


def test_a_line_has_the_level_first_and_what_is_on_purpose_last() -> None:
    found = Verdict(Level.MASTER_LOST, "18s ago", "", "read-only")
    assert found.line == "MASTER LOST  18s ago  read-only"
