"""An event loop in a thread of its own, and the ways into it from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from nodes.support import forks

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's loop where it is installed, asyncio's own elsewhere."""
    try:
        import uvloop  # noqa: PLC0415 - whoever runs no loop need not wait for the import
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopThread:
    """An event loop that runs in a daemon thread, from `start` to `stop`.

    Args:
        name: of the thread.

    Attributes:
        loop: the event loop; for code that runs on it.
    """

    def __init__(self, name: str) -> None:
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._woken: threading.Event | None = None

    def start(self) -> None:
        """Begins to run. Once only."""
        self._thread.start()
        forks.enlist_resting(self)

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this loop."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., T], *args: object, timeout_s: float | None = None) -> T:
        """Calls a function on the loop, and waits for what it returns or raises.

        Raises:
            RuntimeError: the loop has been stopped.
            TimeoutError: it had no time for that for so many seconds.
        """
        if self.is_current:
            return function(*args)
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            if not done.set_running_or_notify_cancel():
                return  # nobody waits any more
            try:
                done.set_result(function(*args))
            except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
                done.set_exception(error)

        self.loop.call_soon_threadsafe(work)
        try:
            return done.result(timeout_s)
        except TimeoutError:
            done.cancel()
            raise

    def post(self, function: Callable[..., object], *args: object) -> None:
        """Has a function called on the loop soon, and does not wait for it."""
        self.loop.call_soon_threadsafe(function, *args)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the loop, and waits for its end. Not to be called on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def rest(self, timeout_s: float) -> None:
        """See `nodes.support.forks.Resting`: the loop is between two callbacks."""
        if self.is_current or not self._thread.is_alive():
            return
        resting, woken = threading.Event(), threading.Event()

        def wait() -> None:
            resting.set()
            woken.wait(timeout_s)

        with contextlib.suppress(RuntimeError):  # it has been stopped
            self.loop.call_soon_threadsafe(wait)
            self._woken = woken
            resting.wait(timeout_s)

    def wake(self) -> None:
        """See `nodes.support.forks.Resting`."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.set()

    def stop(self, timeout: float = 2.0) -> bool:
        """Ends the loop and what runs on it. Returns whether the thread has ended in time; harmless
        when done before, and if the loop never ran.
        """
        if self.loop.is_closed():
            return True
        if self._thread.ident is None:
            self.loop.close()
            return True
        if not self.is_current:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout)
        else:
            self.loop.stop()
        return not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.get_loop()  # sets it up, and makes it this thread's
            self.loop.run_forever()
