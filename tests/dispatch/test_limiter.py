"""Limiter: never more at once than there is room, first come first served, none lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from nodes.dispatch.limiter import Limiter
from tests.kit import PATIENCE, poll_for


def test_there_is_room_for_so_many() -> None:
    turns = Limiter()
    turns.set_total(2)
    assert turns.acquire(0.0)
    assert turns.acquire(0.0)
    assert not turns.acquire(0.0)
    turns.release()
    assert turns.acquire(0.0)
    assert turns.taken == 2


def test_who_waited_longest_is_next() -> None:
    turns = Limiter()
    turns.set_total(1)
    assert turns.acquire(0.0)
    order: list[int] = []

    def wait(number: int) -> None:
        assert turns.acquire(PATIENCE)
        order.append(number)
        turns.release()

    def waiting(number: int) -> Callable[[], bool]:
        return lambda: len(turns._waiting) == number

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        poll_for(waiting(number))
    turns.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert order == [0, 1, 2, 3, 4]
    assert turns.taken == 0


def test_more_room_lets_in_who_waits_and_nobody_before_them() -> None:
    turns = Limiter()
    turns.set_total(1)
    assert turns.acquire(0.0)
    threads = [threading.Thread(target=lambda: turns.acquire(PATIENCE)) for _ in range(3)]
    for thread in threads:
        thread.start()
    poll_for(lambda: len(turns._waiting) == 3)
    turns.set_total(3)
    assert not turns.acquire(0.0)
    turns.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert turns.taken == 3


def test_less_room_ends_nothing() -> None:
    turns = Limiter()
    assert all(turns.acquire(0.0) for _ in range(5))
    turns.set_total(2)
    for _ in range(3):
        turns.release()
        assert not turns.acquire(0.0)
    turns.release()
    assert turns.acquire(0.0)


def test_many_threads_some_of_which_give_up() -> None:
    turns = Limiter()
    turns.set_total(3)
    most = 0
    lock = threading.Lock()
    inside = 0

    def run(seed: int) -> int:
        nonlocal inside, most
        random, had = Random(seed), 0
        for _ in range(200):
            if not turns.acquire(random.choice([0.0, 0.0005, PATIENCE])):
                continue
            with lock:
                inside += 1
                most = max(most, inside)
            had += 1
            with lock:
                inside -= 1
            turns.release()
        return had

    with ThreadPoolExecutor(12) as threads:
        had = sum(threads.map(run, range(12)))
    assert had > 12
    assert most <= 3
    assert (turns.taken, len(turns._waiting)) == (0, 0)
