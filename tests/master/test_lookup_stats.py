"""Statistics of lookups, as tables: what was asked and became of it, and what is shown."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from nodes.dispatch.batches import Answers
from nodes.dispatch.call import Answer, Call
from nodes.errors import DeadlineExceeded, LookupFailed, NoWorkers, Overloaded
from nodes.master.durations import LATENCY_BOUNDS_MS
from nodes.master.lookup_stats import MAX_UNFOLDED, LookupStats
from nodes.master.slow_lookups import MAX_FAILED, MAX_SLOW, SLOW_KEPT_S
from nodes.routing import POLICIES, CallState, Registry, Router, Worker
from nodes.support.addresses import Address
from nodes.transport import encode_arguments
from nodes.wire import LookupRequest, SlowLookup, answer_part

NOW = 1000.5
WALL = 5_000.0
EMPTY = answer_part(b"[]", count=0, after=None, catalog="v", files=())
FOUND = answer_part(b'[{"a":1}]', count=1, after=None, catalog="v", files=())


class StatsHarness:
    """Statistics of two lookups, and a worker that answers."""

    def __init__(self) -> None:
        self.declared = ["getbyname", "getbyyear"]
        self.stats = LookupStats(lambda: self.declared)
        registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(0))
        self.router = Router(registry=registry, policy=POLICIES["load"])
        self.worker = self._register(registry)

    def _register(self, registry: Registry) -> Worker:
        return registry.register(
            wanted_id="w7",
            instance="w7",
            address=Address("10.0.0.1", 1),
            pid=1,
            version="v",
            now=NOW,
        )

    def call(self, *asked: str | int, waited_s: float = 0.0, detour: str = "") -> Call:
        """A call that was sent to the worker after so many seconds."""
        call = Call(encode_arguments(asked or ("getbyname", "xander")))
        call.began, call.sent_at = NOW, NOW + waited_s
        if detour:
            call.state = CallState(self.router, NOW + 2.0, counted=True)
            call.state.adopt(self.worker, NOW)
            call.state.detour = detour
        return call

    def answered(
        self,
        *asked: str | int,
        took_s: float = 0.001,
        part: bytes = FOUND,
        at: float = NOW,
        attempts: int = 1,
        **options: Any,
    ) -> None:
        """A lookup was answered."""
        answer = Answer(part, self.worker, attempts, took_s)
        self.stats.answered_one(self.call(*asked, **options), answer, at)

    def failed(
        self,
        *asked: str | int,
        error: LookupFailed | None = None,
        took_s: float = 2.0,
        at: float = NOW,
        **options: Any,
    ) -> None:
        """A lookup has failed."""
        why = error or DeadlineExceeded("no answer")
        self.stats.failed_one(self.call(*asked, **options), why, took_s, at)

    def slow(self, now: float = NOW) -> tuple[SlowLookup, ...]:
        """The lookups that are kept."""
        return self.stats.figures(now, WALL).slow


def test_each_name_has_its_own_figures() -> None:
    s = StatsHarness()
    for _ in range(3):
        s.answered("getbyname", "xander", took_s=0.001)
    s.answered("getbyname", "nobody", part=EMPTY, took_s=0.001)
    s.answered("getbyyear", "Minsk", 1999, took_s=0.1)
    s.failed("getbyyear", "Minsk", 1999)
    by_name, by_year = s.stats.figures(NOW + 1, WALL).lookups
    assert (by_name.name, by_name.per_s, by_name.answered) == ("getbyname", 4, 4)
    assert (by_name.empty, by_name.errors) == (1, 0)
    assert by_name.p50_ms == pytest.approx(1, rel=0.1)
    assert (by_year.name, by_year.per_s, by_year.answered) == ("getbyyear", 1, 1)
    assert (by_year.empty, by_year.errors) == (0, 1)
    assert by_year.p99_ms == pytest.approx(100, rel=0.1)


def test_a_lookup_nobody_asked_is_shown_as_such() -> None:
    by_name, _ = StatsHarness().stats.figures(NOW, WALL).lookups
    assert (by_name.per_s, by_name.p50_ms, by_name.p99_ms, by_name.answered) == (0, None, None, 0)


def test_whatever_is_asked_there_are_no_more_names_than_declared_and_one() -> None:
    s = StatsHarness()
    for number in range(100):
        s.answered(f"lookup{number}", "x")
    s.answered("x", "short name")
    assert [(one.name, one.answered) for one in s.stats.figures(NOW, WALL).lookups] == [
        ("getbyname", 0),
        ("getbyyear", 0),
        ("other", 101),
    ]


def test_lookups_of_batches_have_a_row_of_their_own_and_what_found_nothing_is_not_found() -> None:
    s = StatsHarness()
    s.stats.batch(Answers(b"", 10, {"deadline": 2}, empty=3, refused=1), 0.004, NOW)
    *_, batches = s.stats.figures(NOW + 1, WALL).lookups
    assert (batches.name, batches.per_s) == ("in batches", 7)
    assert (batches.answered, batches.empty, batches.errors) == (7, 3, 2)
    assert s.stats.answered == 7


def test_a_name_that_is_declared_no_more_is_counted_on_among_the_others() -> None:
    s = StatsHarness()
    s.answered("getbyname", "a")
    s.answered("getbyyear", "a", 1)
    s.stats.fold(NOW)
    s.declared = ["getbyname", "getbylocation"]
    named = {one.name: one.answered for one in s.stats.figures(NOW, WALL).lookups}
    assert named == {"getbyname": 1, "getbylocation": 0, "other": 1}


def test_a_request_of_the_general_form_counts_by_its_name() -> None:
    s = StatsHarness()
    call, answer = s.call("no name in here"), Answer(EMPTY, s.worker, 1, 0.5)
    request = LookupRequest("getbyyear", ("New Orleans", 1999, 1.5))
    s.stats.answered_one(call, answer, NOW, request=request)
    s.stats.failed_one(call, NoWorkers("none"), 0.1, NOW, request=request)
    assert [one.errors for one in s.stats.figures(NOW, WALL).lookups] == [0, 1]
    assert {(one.name, one.arguments) for one in s.slow()} == {
        ("getbyyear", "'New Orleans' 1999 1.5")
    }


def test_a_rate_is_of_the_last_second_and_failures_are_no_throughput() -> None:
    s = StatsHarness()
    for number in range(100):
        s.answered(at=990.0 + number / 10)
    for _ in range(30):
        s.failed(at=999.5)
    figures = s.stats.figures(1000.2, WALL)
    assert (figures.lookups_per_s, figures.errors_per_s) == (10, 30)
    assert figures.mean_lookups_per_s == pytest.approx(10, rel=0.05)
    later = s.stats.figures(1003.2, WALL)
    assert (later.lookups_per_s, later.errors_per_s) == (0, 0)
    assert later.mean_lookups_per_s > 5
    assert (s.stats.answered, s.stats.errors) == (100, 30)


def test_a_failure_is_no_quick_answer() -> None:
    s = StatsHarness()
    s.answered(took_s=0.1)
    for _ in range(1000):
        s.failed(error=NoWorkers("none"), took_s=0.00001)
    assert s.stats.figures(NOW, WALL).p50_s == pytest.approx(0.1, rel=0.1)


def test_errors_are_counted_by_code() -> None:
    s = StatsHarness()
    s.failed(error=NoWorkers("none"))
    s.failed(error=NoWorkers("none"))
    s.failed()
    s.stats.refused(Overloaded("too many"), NOW)
    s.stats.batch(Answers(b"", 256, {"deadline": 250, "no_workers": 1}), 0.01, NOW)
    assert s.stats.errors_by_code == {"no_workers": 3, "deadline": 251, "overloaded": 1}
    assert (s.stats.errors, s.stats.answered) == (255, 5)
    assert sum(one.errors for one in s.stats.figures(NOW, WALL).lookups) == 255


def test_errors_of_late_are_those_of_the_last_ten_seconds() -> None:
    s = StatsHarness()
    for _ in range(50):
        s.failed(error=NoWorkers("none"), at=NOW)
    s.failed(at=NOW + 9)
    assert s.stats.figures(NOW + 10, WALL).recent_errors_by_code == {
        "no_workers": 50,
        "deadline": 1,
    }
    assert s.stats.figures(NOW + 12, WALL).recent_errors_by_code == {"deadline": 1}
    assert s.stats.figures(NOW + 30, WALL).recent_errors_by_code == {}


@pytest.mark.parametrize(
    ("took_s", "bound_ms"),
    [
        (0.0, 0.25),
        (0.00025, 0.25),
        (0.000251, 0.5),
        (0.004, 5.0),
        (0.05, 50.0),
        (0.499, 500.0),
        (1.9, 60_000.0),
        (100.0, 60_000.0),
    ],
)
def test_a_latency_is_in_the_bucket_of_the_next_bound(took_s: float, bound_ms: float) -> None:
    s = StatsHarness()
    s.answered(took_s=took_s)
    expected = tuple((bound, int(bound == bound_ms)) for bound in LATENCY_BOUNDS_MS)
    assert s.stats.figures(NOW, WALL).latencies == expected


@pytest.mark.parametrize(("after_s", "count"), [(0.0, 500), (59.0, 500), (62.0, 0)])
def test_latencies_are_of_the_last_minute(after_s: float, count: int) -> None:
    s = StatsHarness()
    for _ in range(100):
        s.answered()
    s.stats.batch(Answers(b"", 400, {}), 0.001, NOW)
    latencies = s.stats.figures(NOW + after_s, WALL).latencies
    assert sum(lookups for _, lookups in latencies) == count


def test_nothing_grows_with_traffic() -> None:
    s = StatsHarness()
    for number in range(5 * MAX_UNFOLDED):
        s.answered(at=NOW + number)
        s.failed(at=NOW + number)
    assert len(s.stats._unfolded) < MAX_UNFOLDED
    assert len(s.stats._recent._seconds) <= 62
    assert s.stats.answered == 5 * MAX_UNFOLDED
    assert len(s.slow(NOW + 5 * MAX_UNFOLDED)) <= MAX_SLOW + MAX_FAILED


def test_the_slowest_are_kept_the_slowest_first() -> None:
    s = StatsHarness()
    order = list(range(1, 1001))
    Random(3).shuffle(order)
    for number in order:
        s.answered("getbyname", f"name{number}", took_s=number / 1000)
    assert [one.ms for one in s.slow()] == [1000 - number for number in range(MAX_SLOW)]
    assert s.slow()[0] == SlowLookup(
        at=WALL,
        name="getbyname",
        arguments="name1000",
        ms=1000.0,
        attempts=1,
        worker="w7",
        why="",
        code="",
        request_id=s.slow()[0].request_id,
    )


def test_those_of_long_ago_make_place() -> None:
    s = StatsHarness()
    for _ in range(MAX_SLOW + 5):
        s.answered(took_s=1.0)
        s.failed()
    later = NOW + SLOW_KEPT_S
    s.stats.fold(later)
    s.answered(took_s=0.5, at=later)
    assert [one.ms for one in s.slow(later)] == [500]


def test_those_that_failed_are_kept_the_latest_first() -> None:
    s = StatsHarness()
    for number in range(100):
        s.failed("getbyname", f"name{number}", at=NOW + number, detour="hedged")
    kept = s.slow(NOW + 99)
    assert [one.arguments for one in kept] == [f"name{99 - n}" for n in range(MAX_FAILED)]
    assert (kept[1].at, kept[1].ms, kept[1].code) == (WALL - 1, 2000, "deadline")
    assert (kept[1].worker, kept[1].attempts, kept[1].why) == ("w7", 1, "hedged")


@pytest.mark.parametrize(
    ("options", "took_s", "why"),
    [
        ({}, 0.2, ""),
        ({"detour": "hedged"}, 0.2, "hedged"),
        ({"detour": "rerouted"}, 0.2, "rerouted"),
        ({"waited_s": 0.15}, 0.2, "waited"),
        ({"waited_s": 0.15, "detour": "hedged"}, 0.2, "waited"),
        ({"waited_s": 0.05, "detour": "hedged"}, 0.2, "hedged"),
        ({"waited_s": 0.0009}, 0.001, ""),
    ],
)
def test_why_a_lookup_was_slow(options: dict[str, Any], took_s: float, why: str) -> None:
    s = StatsHarness()
    s.answered(took_s=took_s, **options)
    assert [one.why for one in s.slow()] == [why]


def test_one_that_was_never_sent_has_waited_all_the_time() -> None:
    s = StatsHarness()
    call = s.call()
    call.sent_at = 0.0
    s.stats.failed_one(call, DeadlineExceeded("its turn did not come"), 2.0, NOW)
    [kept] = s.slow()
    assert (kept.why, kept.attempts, kept.worker) == ("waited", 0, "")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (("getbyname", "xander"), "xander"),
        (("getbyname", "New York City"), "'New York City'"),
        (("getbyyear", "Minsk", 1999), "Minsk 1999"),
        (("getbyname", ""), "''"),
        (("getbyname", "a\x1b[2Jb"), r"'a\x1b[2Jb'"),
        (("getbyname", "é" * 120), "'" + "é" * 99),
    ],
)
def test_arguments_are_shown_as_they_are_typed(asked: tuple[str | int, ...], shown: str) -> None:
    s = StatsHarness()
    s.answered(*asked)
    [kept] = s.slow()
    assert kept.arguments == shown
    assert kept.arguments.isprintable()
    assert len(kept.arguments) <= 100
