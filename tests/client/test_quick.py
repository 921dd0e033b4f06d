"""Who a direct client asks first."""

from __future__ import annotations

import time
from random import Random

from nodes.client.quick import QuickLookups, QuickWorker
from nodes.routing import NOISE_S, Registry
from nodes.support.addresses import Address
from nodes.wire import answer_part

ANSWER = answer_part(b"[]", count=0, after=None, catalog="v", files=())


class Direct(QuickLookups):
    """Three workers that answer without a network.

    Args:
        slow: how many of its first answers the first of them takes its time for.
    """

    def __init__(self, slow: int) -> None:
        super().__init__(None)
        self.slow = slow
        self.asked: dict[int, int] = {}
        registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(1))
        for port in (1, 2, 3):
            worker = registry.register(
                wanted_id="",
                instance=str(port),
                address=Address("127.0.0.1", port),
                pid=port,
                version="v",
                now=0.0,
            )
            self.joined(worker, "")
            self.asked[worker.generation] = 0

    def _call(self, one: QuickWorker, name: str, args: tuple[str | float, ...]) -> object:
        self.asked[one.worker.generation] += 1
        if one.worker.address.port == 1 and self.slow:
            self.slow -= 1
            time.sleep(1.5 * NOISE_S)  # what it is to be slow
        return ANSWER

    def ask_many(self, times: int) -> list[int]:
        """So many lookups; how many each worker was asked."""
        before = dict(self.asked)
        for _ in range(times):
            self.ask("getbyname", ("xander",))
        return [count - before[generation] for generation, count in self.asked.items()]


def test_the_first_answer_takes_a_connection_and_says_nothing() -> None:
    direct = Direct(slow=1)
    assert direct.ask_many(300) == [100, 100, 100]


def test_one_that_was_slow_is_asked_again_once_that_has_faded() -> None:
    direct = Direct(slow=2)
    assert direct.ask_many(300)[0] < 10
    for _ in range(10):
        for generation in direct.asked:
            direct.proved(generation)
    assert direct.ask_many(300)[0] > 50
