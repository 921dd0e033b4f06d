"""Who is slow, over time: told soon, and without a flicker."""

from __future__ import annotations

from random import Random

from nodes.routing import Registry, Worker
from nodes.routing.slowness import SlowWorkers
from nodes.support.addresses import Address

LOOK_S = 0.25
QUICK_S, NEARLY_SLOW_S, SLOW_S = 0.005, 0.035, 0.05
"""Latencies; where 20 ms is usual, a worker is slow from 40 ms."""


class SlownessHarness:
    """Three workers of which two take 20 ms, looked at four times a second."""

    def __init__(self) -> None:
        self.now = 1000.0
        registry = Registry(listener=lambda *_: None, random=Random(0))
        self.workers = [self._register(registry, number) for number in range(3)]
        self.slow = SlowWorkers()

    def _register(self, registry: Registry, number: int) -> Worker:
        return registry.register(
            wanted_id=f"w{number}",
            instance=str(number),
            address=Address("127.0.0.1", number),
            pid=number,
            version="v",
            now=self.now,
        )

    def look(self, took_s: float = QUICK_S, *, late: bool = False) -> bool:
        """Looks once more, at a worker of that latency; whether it is slow."""
        self.now += LOOK_S
        sick, *others = self.workers
        for worker, seconds in ((sick, took_s), *((one, 0.02) for one in others)):
            worker.latency = type(worker.latency)()
            for _ in range(2):
                worker.latency.answered(seconds, self.now)
        sick.late = late
        self.slow.look(self.workers, self.now)
        return sick.generation in self.slow.generations


def test_it_is_told_at_once_and_until_it_is_over() -> None:
    s = SlownessHarness()
    assert [s.look(SLOW_S) for _ in range(4)] == [True] * 4
    told = [s.look() for _ in range(20)]
    assert told == sorted(told, reverse=True)
    assert 2.0 <= told.count(True) * LOOK_S <= 4.0


def test_around_the_threshold_it_does_not_flicker() -> None:
    s = SlownessHarness()
    told = [s.look(SLOW_S if n % 5 else QUICK_S) for n in range(1, 200)]
    assert told == sorted(told), "once it is said, it stays"
    assert told[-1]
    assert all(s.look(NEARLY_SLOW_S) for _ in range(40)), "until it is clearly quicker"


def test_one_that_was_late_for_a_moment_is_not_slow() -> None:
    s = SlownessHarness()
    assert not any(s.look(late=n % 4 == 0) for n in range(40))


def test_one_that_is_late_and_stays_so_is() -> None:
    s = SlownessHarness()
    assert [s.look(late=True) for _ in range(4)] == [False, False, True, True]


def test_who_is_gone_is_forgotten() -> None:
    s = SlownessHarness()
    for _ in range(4):
        s.look(SLOW_S)
    gone, *s.workers = s.workers
    s.slow.look(s.workers, s.now)
    assert gone.generation not in s.slow.generations
