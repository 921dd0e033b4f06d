"""A fair queue, and turns at an event loop: whoever asks much keeps nobody waiting for long."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from nodes.support.fair_queue import FairQueue
from nodes.support.slices import Sliced, begin, complete
from nodes.support.turns import whose_turn


def filled(text: str) -> FairQueue[str]:
    """A queue of a1, a2, ... as they come: the letter is who asks."""
    queue: FairQueue[str] = FairQueue()
    for item in text.split():
        queue.put(item[0], item)
    return queue


@pytest.mark.parametrize(
    ("come", "go"),
    [
        ("", ""),
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 b1 b2 c1", "a1 b1 c1 a2 b2"),
    ],
)
def test_each_who_asks_has_a_turn(come: str, go: str) -> None:
    queue = filled(come)
    assert len(queue) == len(come.split())
    assert queue.pop_all() == go.split()
    assert not queue.queues


def test_who_has_had_a_turn_comes_after_who_has_not() -> None:
    queue = filled("a1 a2")
    assert queue.pop() == "a1"
    queue.put("b", "b1")
    queue.put("a", "a0", first=True)
    assert queue.pop_all() == ["a0", "b1", "a2"]


def test_what_is_over_is_taken_out_from_the_front_of_each() -> None:
    queue = filled("a1 a2 b1 a3 c9")
    assert queue.pop_while(lambda item: item[1] in "13") == ["a1", "b1"]
    assert queue.pop_all() == ["a2", "c9", "a3"]


def test_one_slice_an_iteration_and_each_asker_in_turn() -> None:
    """Of one asker's work, what was begun is brought to its end before the next begins."""
    log: list[str] = []

    def work(name: str, slices: int) -> Sliced[None]:
        for number in range(slices):
            log.append(f"{name}{number}")
            yield None

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        tasks = []
        for name, slices in (("a", 3), ("a'", 2), ("b", 2)):
            context = contextvars.copy_context()
            context.run(whose_turn.set, name[0])
            tasks.append(loop.create_task(complete(work(name, slices)), context=context))
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    assert log == ["a0", "b0", "a1", "b1", "a2", "a'0", "a'1"]


def test_a_loop_goes_round_between_two_slices() -> None:
    rounds: list[int] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        count = 0

        def tick() -> None:
            nonlocal count
            count += 1
            if not over:
                loop.call_soon(tick)

        def work() -> Sliced[None]:
            for _ in range(5):
                rounds.append(count)
                yield None

        over = False
        loop.call_soon(tick)
        several = [begin(work()) for _ in range(3)]
        await asyncio.gather(*(one for one in several if one is not None))
        over = True

    asyncio.run(ask())
    later = [one for one in rounds if one]
    assert len(set(later)) == len(later) == 12, "no two slices in one iteration"
