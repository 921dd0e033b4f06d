"""A lookup's next step, told by a clock of the test's own."""

from __future__ import annotations

from random import Random

import pytest

from nodes.errors import DeadlineExceeded
from nodes.routing import POLICIES, Ask, CallState, Registry, Router
from nodes.support.addresses import Address

AT_ONCE = 0.0001
"""Seconds in which a connection is refused."""


@pytest.mark.parametrize("count", range(1, 6))
def test_workers_that_all_refuse_at_once_are_gone_round_once_a_breath(count: int) -> None:
    now = 100.0
    registry = Registry(listener=lambda _kind, _worker, _text: None, random=Random(count))
    for port in range(count):
        registry.register(
            wanted_id="",
            instance=str(port),
            address=Address("127.0.0.1", port),
            pid=port,
            version="v",
            now=now,
        )
    router = Router(registry=registry, policy=POLICIES["load"])
    for _ in range(10):  # their breakers open one after the other, for longer each time
        deadline = now + 2.0
        call = CallState(router, deadline, counted=True)
        rounds = 2.0 / router.limits.round_pause_s
        with pytest.raises(DeadlineExceeded):
            while call.attempts <= rounds * count:
                action = call.next_action(now)
                if isinstance(action, Ask):
                    now += AT_ONCE
                    call.failed(action.worker, "refused", now)
                else:
                    now = action.at
