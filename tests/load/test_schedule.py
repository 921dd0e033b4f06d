"""When each client asks, with a clock that the test moves."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import pytest

from nodes.load import LoadPlan, LoadStats, Outcome, Schedule, run_schedule, spread


class Clock:
    """Time that passes only where it is let pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Waiting(threading.Event):
    """An event on whose clock waiting takes no time. Set once the clock reads `end`."""

    def __init__(self, clock: Clock, end: float = math.inf) -> None:
        super().__init__()
        self._clock = clock
        self._end = end

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout > 0.0
        self._clock.now += timeout
        return self.is_set()

    def is_set(self) -> bool:
        return self._clock.now >= self._end


def played(
    plan: LoadPlan, *, takes: Sequence[float], client: int = 0, stop: float = math.inf
) -> LoadStats:
    """All that came of one client whose calls take so long, the last for ever after."""
    clock = Clock()
    asked = iter(takes)

    def ask() -> Sequence[Outcome]:
        clock.now += next(asked, takes[-1])
        return (("w1", ""),)

    whole = LoadStats()
    stopping = Waiting(clock, stop)
    for part in run_schedule(ask, plan.schedule(client, clock.now), stopping=stopping, clock=clock):
        whole.merge(part)
    return whole


def test_a_closed_loop_asks_again_as_soon_as_it_has_its_answer() -> None:
    stats = played(LoadPlan(seconds=10.0), takes=[0.1])
    assert stats.answered == pytest.approx(100, abs=1)
    assert stats.latencies.longest == pytest.approx(0.1)
    assert stats.unsent == 0


def test_a_count_ends_it_and_is_shared_out() -> None:
    plan = LoadPlan(clients=3, calls=10)
    assert [played(plan, takes=[0.1], client=n).answered for n in range(3)] == [4, 3, 3]


def test_an_open_loop_keeps_its_rate() -> None:
    stats = played(LoadPlan(seconds=10.0, rate=5.0), takes=[0.001])
    assert stats.answered == 50
    assert stats.latencies.longest == pytest.approx(0.001)


def test_the_clients_of_an_open_loop_take_turns() -> None:
    plan = LoadPlan(clients=4, rate=8.0)
    assert [plan.schedule(n, 100.0).next(100.0) for n in range(4)] == [
        100.0,
        100.125,
        100.25,
        100.375,
    ]


def test_a_stall_counts_for_all_that_were_due_in_it() -> None:
    """The same stall of a second: in an open loop ten lookups suffer from it, not one."""
    takes = [0.001] * 50 + [1.0, 0.001]
    late = played(LoadPlan(seconds=20.0, rate=10.0), takes=takes)
    assert late.answered == 200
    assert late.latencies.longest == pytest.approx(1.0)
    slow = sum(span.calls for span in late.latencies.rows(1000) if span.low > 0.09)
    assert slow == pytest.approx(10, abs=1)
    blind = played(LoadPlan(seconds=20.0), takes=takes)
    assert sum(span.calls for span in blind.latencies.rows(1000) if span.low > 0.09) == 1


def test_what_could_not_be_sent_before_the_end_is_counted() -> None:
    stats = played(LoadPlan(seconds=10.0, rate=10.0), takes=[0.5])
    assert stats.answered == 20
    assert stats.answered + stats.unsent == 100
    assert stats.latencies.longest == pytest.approx(20 * 0.5 - 19 * 0.1)


def test_with_patience_what_is_too_late_is_forgotten() -> None:
    stats = played(LoadPlan(seconds=10.0, rate=10.0, patience=1.0), takes=[0.5])
    assert stats.answered == 20
    assert stats.latencies.longest <= 1.5 + 1e-9
    assert stats.unsent <= 10


def test_told_to_stop_it_finishes_its_call_and_reports() -> None:
    stats = played(LoadPlan(rate=10.0), takes=[0.01], stop=103.0)
    assert stats.answered == pytest.approx(30, abs=1)
    assert stats.unsent <= 1
    assert played(LoadPlan(), takes=[0.1], stop=103.0).answered == pytest.approx(30, abs=1)


def test_reports_come_each_second_also_when_little_is_asked() -> None:
    clock = Clock()
    schedule = LoadPlan(rate=0.25, seconds=9.0).schedule(0, clock.now)
    parts = list(
        run_schedule(lambda: (("", "no_workers"),), schedule, stopping=Waiting(clock), clock=clock)
    )
    assert len(parts) >= 8
    assert [part.failed for part in parts if part.failed] == [1, 1, 1]
    assert not any(part.answered for part in parts)


def test_a_schedule_may_be_asked_twice_before_its_call_is_made() -> None:
    schedule = Schedule(start=0.0, end=9.0, calls=2, every=1.0)
    assert schedule.next(0.0) == schedule.next(0.5) == 0.0
    schedule.made()
    assert schedule.next(0.5) == 1.0
    schedule.made()
    assert schedule.next(0.5) is None


@pytest.mark.parametrize("clients", [1, 2, 7, 32, 33, 500])
def test_clients_are_spread_evenly(clients: int) -> None:
    parts = spread(clients, 32)
    assert [number for part in parts for number in part] == list(range(clients))
    assert len(parts) == min(clients, 32)
    sizes = {len(part) for part in parts}
    assert max(sizes) - min(sizes) <= 1
