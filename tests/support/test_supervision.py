"""Supervision: whatever long-lived work raises is told once, and it goes on; it stops at once."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
import threading
import time

import pytest

from nodes.support.backoff import Backoff
from nodes.support.silence import Absence, Silence
from nodes.support.supervision import (
    AT_ONCE,
    RepeatingTimer,
    Supervision,
    shielded,
    supervise,
    supervised,
    supervised_thread,
)

AGAIN = Backoff(first_s=0.001, longest_s=0.001)
LONG = Backoff(first_s=60.0, jitter=0.0)

FAILURES = (
    OSError(errno.EMFILE, "x"),
    OSError(errno.ENOSPC, "x"),
    FileNotFoundError(errno.ENOENT, "x"),
    MemoryError(),
    ValueError("x"),
    sqlite3.OperationalError("x"),
    sqlite3.DatabaseError("x"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "x"),
    OverflowError("x"),
    RecursionError(),
)
"""All kinds of what the system and a defect can do to a loop."""


class Failing:
    """Work that raises each of `FAILURES`, then ends."""

    def __init__(self) -> None:
        self.left = list(FAILURES)

    def __call__(self) -> None:
        if self.left:
            raise self.left.pop()

    async def on_loop(self) -> None:
        """The same for a task."""
        self()


def test_a_thread_goes_on_whatever_it_raises() -> None:
    work = Failing()
    supervise(work, Supervision("it", lambda _text: None, backoff=AGAIN), threading.Event())
    assert not work.left


def test_a_task_goes_on_whatever_it_raises() -> None:
    work = Failing()
    asyncio.run(supervised(work.on_loop, Supervision("it", lambda _text: None, backoff=AGAIN)))
    assert not work.left


def test_a_timer_goes_on_whatever_it_raises() -> None:
    work, done = Failing(), threading.Event()

    async def run() -> None:
        def tick() -> None:
            if not work.left:
                done.set()
            work()

        timer = RepeatingTimer(0.001, tick, Supervision("it", lambda _text: None, backoff=AT_ONCE))
        timer.start()
        async with asyncio.timeout(5.0):
            while not done.is_set():
                await asyncio.sleep(0.001)
        timer.stop()
        done.clear()
        await asyncio.sleep(0.01)
        assert not done.is_set()

    asyncio.run(run())


def test_what_rests_is_left_out() -> None:
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        raise ValueError

    call = shielded(work, Supervision("it", lambda _text: None, backoff=LONG))
    assert call() is None and call() is None
    assert calls == [1]
    assert shielded(lambda: 7, Supervision("it"))() == 7


def test_a_thread_that_rests_stops_at_once() -> None:
    stopping, told = threading.Event(), threading.Event()
    supervision = Supervision("it", lambda _text: told.set(), backoff=LONG)
    thread = supervised_thread("t", Failing(), supervision, stopping)
    assert told.wait(5.0)
    stopping.set()
    thread.join(5.0)
    assert not thread.is_alive()


def test_a_task_that_rests_stops_at_once() -> None:
    async def run() -> None:
        stopping, told = asyncio.Event(), asyncio.Event()
        supervision = Supervision("it", lambda _text: told.set(), backoff=LONG)
        task = asyncio.create_task(supervised(Failing().on_loop, supervision, stopping))
        async with asyncio.timeout(5.0):
            await told.wait()
            stopping.set()
            await task
        again = asyncio.create_task(supervised(Failing().on_loop, supervision))
        await asyncio.sleep(0)
        again.cancel()
        with pytest.raises(asyncio.CancelledError):
            await again

    asyncio.run(run())


def said(*failures: tuple[float, Exception]) -> list[str]:
    """What is told of failures at these times."""
    told: list[str] = []
    supervision = Supervision("the ticker", told.append)
    for now, error in failures:
        supervision.failed(error, now)
    return told


FULL, EMPTY = OSError(errno.EMFILE, "x"), OSError(errno.ENOSPC, "x")


@pytest.mark.parametrize(
    ("failures", "count"),
    [
        pytest.param([(0.0, FULL)], 1, id="at once"),
        pytest.param([(0.0, FULL), (20.0, FULL), (70.0, FULL)], 1, id="once as long as it lasts"),
        pytest.param([(0.0, FULL), (20.0, EMPTY)], 2, id="another is news"),
        pytest.param([(0.0, FULL), (1.0, EMPTY), (2.0, FULL)], 1, id="but not as often as it may"),
        pytest.param([(0.0, FULL), (100.0, FULL)], 2, id="and the same, after a good while"),
    ],
)
def test_a_failure_is_told_once(failures: list[tuple[float, Exception]], count: int) -> None:
    told = said(*failures)
    assert len(told) == count
    assert told[0] == "the ticker failed: too many files are open; it goes on"


def test_it_waits_longer_each_time_and_begins_anew_after_a_good_while() -> None:
    supervision = Supervision("it", lambda _text: None, backoff=Backoff(1.0, jitter=0.0))
    waits = [supervision.failed(FULL, now) for now in (0.0, 1.0, 2.0, 100.0)]
    assert waits == [1.0, 2.0, 4.0, 1.0]


def test_a_defect_is_in_the_log_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert said((0.0, ValueError("a library's words"))) == [
        "the ticker failed: a defect of Rollcall (ValueError); its log has more; it goes on"
    ]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "a library's words" in caplog.text
    Supervision("it").failed(MemoryError(), time.monotonic())
    assert caplog.records[-1].message == "it failed: there is not enough memory; it goes on"


def test_who_cannot_even_tell_goes_on() -> None:
    def report(_text: str) -> None:
        raise MemoryError

    assert Supervision("it", report).failed(FULL, 0.0) > 0


def test_nobody_is_silent_while_we_were_away() -> None:
    silence = Silence(0.0, look_every_s=1.0)
    assert [silence.look(now) for now in (0.5, 1.0, 31.0, 31.5)] == [0.5, 1.0, 2.0, 2.5]
    silence.heard()
    assert silence.look(32.0) == 0.5
    assert silence.look(30.0) == 0.5  # a clock that goes back is none, and no harm


def test_only_the_first_look_after_an_absence_is_left_out() -> None:
    absence = Absence()
    assert [absence.noticed(late) for late in (0.0, 30.0, 0.1)] == [False, True, False]
    assert [absence.noticed(2.0) for _ in range(4)] == [True, False, True, False]
