"""What is at rest while a process forks, and what a child finds."""

from __future__ import annotations

import threading
import time

from nodes.support import forks
from nodes.transport import LoopThread
from tests.kit import ForkedChild, poll_for

FORKS = 20


class Busy:
    """Something that is inside of a library's call nearly all the time."""

    def __init__(self) -> None:
        self.inside = False
        self.calls = 0

    def call(self) -> None:
        """Such a call: another thread may run within."""
        self.inside = True
        time.sleep(0.002)
        self.inside = False
        self.calls += 1


def test_an_event_loop_is_between_two_callbacks() -> None:
    busy, loop = Busy(), LoopThread("busy")
    ended = threading.Event()

    def go_on() -> None:
        busy.call()
        if not ended.is_set():
            loop.loop.call_soon(go_on)

    loop.start()
    loop.post(go_on)
    try:
        poll_for(lambda: busy.calls)
        assert [ForkedChild(lambda: busy.inside).result() for _ in range(FORKS)] == [False] * FORKS
        calls = busy.calls
        poll_for(lambda: busy.calls > calls)
    finally:
        ended.set()
        loop.stop()


def test_a_thread_is_outside_of_what_holds_a_fork_off() -> None:
    busy, ended = Busy(), threading.Event()

    def work() -> None:
        while not ended.is_set():
            with forks.held_off():
                busy.call()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        poll_for(lambda: busy.calls)
        assert [ForkedChild(lambda: busy.inside).result() for _ in range(FORKS)] == [False] * FORKS
    finally:
        ended.set()
        thread.join()


def test_a_child_may_fork_and_hold_forks_off() -> None:
    def child() -> object:
        with forks.held_off():
            pass
        return ForkedChild(lambda: "a grandchild").result()

    with LoopThreadRunning():
        assert ForkedChild(child).result() == "a grandchild"


class LoopThreadRunning:
    """An event loop in a thread, for as long as the block lasts."""

    def __enter__(self) -> None:
        self._loop = LoopThread("running")
        self._loop.start()

    def __exit__(self, *exc_info: object) -> None:
        self._loop.stop()


def test_a_fork_waits_for_no_loop_that_never_rests() -> None:
    loop, go_on = LoopThread("stuck"), threading.Event()
    loop.start()
    loop.post(go_on.wait)
    try:
        assert ForkedChild(lambda: "there").result() == "there"
    finally:
        go_on.set()
        loop.stop()
