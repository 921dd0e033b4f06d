"""Probes of many workers do not hold up the lookups."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nodes.dispatch.dispatcher import Dispatcher
from nodes.master.probes import (
    PROBE_INTERVAL_S,
    PROBE_TIMEOUT_S,
    PROBES_AT_ONCE,
    PROBES_PAUSE_S,
    Prober,
)
from nodes.routing import POLICIES, Registry, Router, Worker
from nodes.support.addresses import Address
from nodes.transport import Pending, Value
from nodes.wire import ProbeAnswer

GOOD: ProbeAnswer = (0, 0, 0, "v", 0.0, 1, "")


class Probed:
    """Workers that are probed: what is sent to them is kept, and time passes when it is told to."""

    def __init__(self, count: int) -> None:
        self.registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        router = Router(registry=self.registry, policy=POLICIES["load"])
        self.sent: list[tuple[Worker, Pending]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.proved: list[Worker] = []
        self.missed: list[Worker] = []
        sent = self.sent

        class Sending(Dispatcher):
            def call_worker(
                self, worker: Worker, verb: str, arguments: bytes, pending: Pending
            ) -> None:
                sent.append((worker, pending))

        self.prober = Prober(
            Sending(router=router, clock=lambda: 0.0, wake=lambda: None),
            answered=lambda worker, _report: self.proved.append(worker),
            missed=lambda worker, _why: self.missed.append(worker),
            later=lambda seconds, work: self.later.append((seconds, work)),
        )
        for port in range(1, count + 1):
            self.registry.register(
                wanted_id="",
                instance=str(port),
                address=Address("127.0.0.1", port),
                pid=port,
                version="v",
                now=0.0,
            )

    def look(self, now: float) -> None:
        """A tick."""
        self.prober.look(self.registry.live(), now)

    def step(self) -> tuple[float, int]:
        """What is to be done next; after how many seconds, and how many probes that sent."""
        [(seconds, work)] = self.later
        self.later.clear()
        before = len(self.sent)
        work()
        return seconds, len(self.sent) - before

    def answer_all(self, value: Value = GOOD) -> None:
        """Every probe that was sent is answered."""
        answered = list(self.sent)
        self.sent.clear()
        for _, pending in answered:
            pending.replied(value)


def test_a_few_are_probed_at_once() -> None:
    probed = Probed(3)
    probed.look(0.0)
    assert probed.step() == (0.0, 3)
    assert probed.later == []


def test_of_many_some_are_probed_at_a_time() -> None:
    probed = Probed(2 * PROBES_AT_ONCE + 1)
    probed.look(0.0)
    assert probed.step() == (0.0, PROBES_AT_ONCE)
    probed.look(0.1)  # those that wait for their turn are not asked twice
    assert probed.step() == (PROBES_PAUSE_S, PROBES_AT_ONCE)
    assert probed.step() == (PROBES_PAUSE_S, 1)
    assert probed.later == []
    probed.answer_all()
    assert sorted(worker.generation for worker in probed.proved) == [
        worker.generation for worker in probed.registry.live()
    ]


def test_each_is_asked_again_after_its_interval_or_its_time() -> None:
    probed = Probed(2)
    probed.look(0.0)
    probed.step()
    _, pending = probed.sent.pop()
    pending.replied(GOOD)
    probed.look(max(PROBE_INTERVAL_S, PROBE_TIMEOUT_S))
    assert [worker.generation for worker in probed.missed] == [1]
    assert probed.step() == (0.0, 2)
