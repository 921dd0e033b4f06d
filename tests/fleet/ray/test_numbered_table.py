"""A keeper's workers: real processes, small ones in their place."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from nodes.fleet.keeper.messages import Ended, NotStarted, Output, Signal, Start, Started, Tell
from nodes.fleet.ray import numbered_table
from nodes.fleet.ray.messages import Action, Order, Report
from nodes.fleet.ray.numbered_table import NumberedTable
from tests.kit import poll_for

ECHOES = """
import sys
print("secret:", sys.stdin.readline().strip(), flush=True)
while sys.stdin.read(1) == ".": print("more", flush=True)
print("left", flush=True)
"""


class Listener:
    """A table of processes, and all that it reported."""

    def __init__(self, program: str) -> None:
        self.changed = threading.Event()
        self.table = NumberedTable(self.changed.set, program=(sys.executable, "-c", program))
        self.heard: list[Report] = []
        self.orders = 0

    def order(self, action: Action) -> int:
        self.orders += 1
        return self.table.obey([Order(self.orders, action)])

    def listen(self) -> list[Report]:
        seen = self.heard[-1].number if self.heard else 0
        self.heard += self.table.reports(seen)
        return self.heard

    def printed(self) -> bytes:
        return printed(self.listen())

    def ended(self) -> list[int]:
        return [one.what.status for one in self.listen() if isinstance(one.what, Ended)]


def printed(reports: Sequence[Report]) -> bytes:
    """What workers printed, as these reports tell."""
    return b"".join(one.what.data for one in reports if isinstance(one.what, Output))


@pytest.fixture
def echoing() -> Iterator[Listener]:
    listener = Listener(ECHOES)
    yield listener
    listener.table.end()


def test_a_worker_reads_its_secrets_and_is_heard(echoing: Listener) -> None:
    echoing.order(Start(1, (), b"xyzzy\n"))
    poll_for(lambda: b"secret: xyzzy\n" in echoing.printed())
    started = echoing.heard[0].what
    assert isinstance(started, Started)
    os.kill(started.pid, 0)
    echoing.order(Signal(1, signal.SIGTERM))
    poll_for(lambda: echoing.ended() == [-signal.SIGTERM])
    numbers = [report.number for report in echoing.heard]
    assert numbers == list(range(1, len(numbers) + 1))
    assert isinstance(echoing.heard[-1].what, Ended), "its end came before its last words"


def test_a_worker_is_told_more_as_long_as_it_lives(echoing: Listener) -> None:
    for _ in range(2):
        echoing.order(Start(1, (), b"first\n"))
        poll_for(lambda: b"secret: first\n" in echoing.printed())
        echoing.order(Tell(b"."))
        poll_for(lambda: echoing.printed().endswith(b"more\n"))
        echoing.order(Signal(1, signal.SIGKILL))
        poll_for(echoing.ended)
        echoing.order(Tell(b"."))
        echoing.heard.clear()


def test_an_order_that_comes_twice_is_done_once(echoing: Listener) -> None:
    start = Order(1, Start(1, (), b"x\n"))
    assert echoing.table.obey([start]) == 1
    assert echoing.table.obey([start, Order(2, Signal(7, signal.SIGKILL))]) == 2
    poll_for(lambda: b"secret: x\n" in echoing.printed())
    assert sum(isinstance(one.what, Started) for one in echoing.listen()) == 1


def test_what_was_not_seen_is_told_again_and_what_was_is_forgotten(echoing: Listener) -> None:
    echoing.order(Start(1, (), b"x\n"))
    poll_for(lambda: b"x\n" in printed(echoing.table.reports(0)))
    first, *others = echoing.table.reports(0)
    assert others
    assert [first, *others] == list(echoing.table.reports(0))
    assert list(echoing.table.reports(first.number)) == others
    assert list(echoing.table.reports(0)) == others


def test_an_end_ends_all_and_nothing_starts_after_it(echoing: Listener) -> None:
    for key in (1, 2, 3):
        echoing.order(Start(key, (), b"x\n"))
    echoing.table.end()
    poll_for(lambda: echoing.ended() == [-signal.SIGKILL] * 3)
    echoing.order(Start(4, (), b"x\n"))
    assert sum(isinstance(one.what, Started) for one in echoing.listen()) == 3


def test_a_program_that_is_not_there_is_told() -> None:
    told = threading.Event()
    table = NumberedTable(told.set, program=("/no/such/program",))
    table.obey([Order(1, Start(1, (), b""))])
    assert told.is_set()
    (report,) = table.reports(0)
    assert report.what == NotStarted(1, "cannot be started: No such file or directory")


def test_output_that_nobody_hears_is_bounded_and_the_newest_stays() -> None:
    listener = Listener(
        "import sys\nfor i in range(60): sys.stdout.write(('%02d' % i) * 16384)\nprint('last')"
    )
    listener.order(Start(1, (), b""))
    poll_for(lambda: any(isinstance(one.what, Ended) for one in listener.table.reports(0)))
    printed = listener.printed()
    assert printed.endswith(b"last\n")
    assert 500_000 < len(printed) <= numbered_table.MAX_KEPT_OUTPUT_BYTES
    assert isinstance(listener.heard[0].what, Started), "something else than output was dropped"
