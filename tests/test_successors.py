"""A master, or all of it, stopped under load with another at once: nobody gets an error."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nodes.client.attached import AttachedCluster
from tests.kit import ClientResults, Node, load_from_threads, poll_for, shipped_records

RECORDS = shipped_records()
WORKERS = 3
COMMANDS = {
    "up": ("up", "--port", "0", "--workers", str(WORKERS), "--json"),
    "master": ("master", "0", "--json"),
}


@contextmanager
def loaded(address: str, *, clients: int, direct: bool) -> Iterator[None]:
    """Clients that ask all the while, from before the block on, and get every answer."""
    over = threading.Event()
    begun: set[str] = set()
    results: list[ClientResults] = []

    def more() -> bool:
        begun.add(threading.current_thread().name)
        return not over.is_set()

    def load() -> None:
        results.extend(
            load_from_threads(
                address, clients=clients, lookups=1, records=RECORDS, direct=direct, more=more
            )
        )

    thread = threading.Thread(target=load, name="load")
    thread.start()
    try:
        poll_for(lambda: len(begun) == clients)
        yield
    finally:
        over.set()
        thread.join()
    assert [error for result in results for error in result.errors] == []
    assert [name for result in results for name in result.wrong] == []


@contextmanager
def workers_apart(command: str, address: str) -> Iterator[None]:
    """Workers that were started beside a bare master; `up` has its own."""
    with contextlib.ExitStack() as stack:
        for _ in range(WORKERS if command == "master" else 0):
            stack.enter_context(Node("worker", "--master", address, "--json"))
        yield


def restart_under_load(command: str, *, times: int, loads: list[tuple[int, bool]]) -> None:
    """Stops it so many times in a row, each time when all workers are up; another takes its
    place at once.

    Arguments:
        command: a key of `COMMANDS`.
        loads: for each how many clients, and whether they ask past the master.
    """
    node = Node(*COMMANDS[command])
    address = node.ready["master"]
    try:
        with workers_apart(command, address), AttachedCluster(address) as cluster:

            def all_up() -> bool:
                return [one.state for one in cluster.snapshot().workers].count("up") == WORKERS

            poll_for(all_up)
            with contextlib.ExitStack() as load:
                for clients, direct in loads:
                    load.enter_context(loaded(address, clients=clients, direct=direct))
                for _ in range(times):
                    stopped = node
                    stopped.signal(signal.SIGTERM)
                    node = stopped.successor()
                    assert stopped.wait() == 0
                    stopped.close()
                    poll_for(all_up)
    finally:
        node.close()


@pytest.mark.parametrize(
    "command",
    [pytest.param(one, marks=pytest.mark.long if one == "up" else ()) for one in COMMANDS],
)
def test_two_restarts_cost_nobody_an_answer(command: str) -> None:
    restart_under_load(command, times=2, loads=[(2, False), (2, True)])


@pytest.mark.long
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_five_restarts_in_a_row_cost_nobody_an_answer(command: str, direct: bool) -> None:
    restart_under_load(command, times=5, loads=[(8, direct)])
