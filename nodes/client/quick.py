"""The short way of a direct lookup: one worker, one lane, one wait. All else goes the general way.

A thread asks the worker itself, with no other thread in between. What is late, fails or is refused
is begun anew by the dispatcher, which hedges and reroutes; lookups only read.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from nodes.dispatch.replies import is_answer
from nodes.routing import IN_ROTATION, Worker, is_slow
from nodes.transport import LanePool, Secure, TransportError, fast_call
from nodes.wire import WorkerAnswer

FIRST_WAIT_S = 0.05
"""Seconds that the first worker has: a lookup that takes longer is late, as at a master."""

DIAL_TIMEOUT_S = 0.25
"""Seconds that a connection to a worker may take."""

FADE_PER_PROBE = 0.8
"""Of what is known of a worker's latency, what is left after each probe that it answers."""


class QuickWorker:
    """A worker, as the short way sees it."""

    __slots__ = (
        "dialled",
        "estimate_s",
        "excess",
        "in_flight",
        "key",
        "late",
        "pool",
        "served",
        "worker",
    )

    def __init__(self, worker: Worker, key: str, tls: Secure | None, served: int) -> None:
        self.worker = worker
        self.key = key
        self.pool = LanePool(*worker.address, dial_timeout=DIAL_TIMEOUT_S, tls=tls)
        self.in_flight = 0
        self.served = served
        self.dialled = False
        self.estimate_s = 0.0
        self.excess = 1.0
        self.late = False


class QuickAnswer(NamedTuple):
    """An answer, by whom, and after how many seconds."""

    part: WorkerAnswer
    worker_id: str
    took_s: float


class QuickFailure(NamedTuple):
    """The worker that did not answer, and why not; None if it said something else than an answer,
    which says nothing of it.
    """

    worker: Worker | None = None
    error: TransportError | None = None


class QuickLookups:
    """Asks the worker with the least load. Thread-safe.

    Args:
        tls: how workers are checked; None for no TLS.
    """

    def __init__(self, tls: Secure | None) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._workers: dict[int, QuickWorker] = {}
        self._list: tuple[QuickWorker, ...] = ()

    def joined(self, worker: Worker, key: str) -> None:
        """A worker is there. It counts as level with the one that has served least."""
        with self._lock:
            level = min((one.served for one in self._list), default=0)
            self._workers[worker.generation] = QuickWorker(worker, key, self._tls, level)
            self._list = tuple(self._workers.values())

    def left(self, generation: int) -> None:
        """That worker is gone."""
        with self._lock:
            gone = self._workers.pop(generation, None)
            self._list = tuple(self._workers.values())
        if gone is not None:
            gone.pool.close()

    def close(self) -> None:
        """Lets go of all of them."""
        for generation in list(self._workers):
            self.left(generation)

    @property
    def in_doubt(self) -> bool:
        """Whether a worker is asked less, or not at all, until it has answered probes."""
        return any(one.late or one.excess > 1.0 for one in self._list)

    def proved(self, generation: int) -> None:
        """That worker has answered its master since."""
        one = self._workers.get(generation)
        if one is not None:
            with self._lock:
                one.late = False
                # Nobody asks one that was slow: it is tried again once that has faded.
                one.estimate_s *= FADE_PER_PROBE
                self._compare(one)

    def ask(self, name: str, args: tuple[str | float, ...]) -> QuickAnswer | QuickFailure:
        """Asks one worker. After a failure, the general way is to be gone.

        Raises:
            TypeError, ValueError: an argument cannot be sent.
        """
        one = None
        try:
            with self._lock:
                one = self._least_loaded()
                if one is None:
                    return QuickFailure()
                one.in_flight += 1
            return self._ask(one, name, args)
        finally:
            # Whatever ended it, an interrupt as well. (Signals are looked at after calls, and so
            # never between the choice and the count.)
            if one is not None:
                with self._lock:
                    one.in_flight -= 1

    def _ask(
        self, one: QuickWorker, name: str, args: tuple[str | float, ...]
    ) -> QuickAnswer | QuickFailure:
        part: object = None
        failure: TransportError | None = None
        began = time.monotonic()
        try:
            part = fast_call(one.pool, "ask", (name, *args), FIRST_WAIT_S, began)
            if part is None:
                part = self._call(one, name, args)
        except TransportError as error:
            failure = error
            one.late = True
        took_s = time.monotonic() - began
        answer = QuickAnswer(part, one.worker.id, took_s) if is_answer(part) else None
        with self._lock:
            one.served += answer is not None
            self._measure(one, took_s)
        return answer or QuickFailure(None if failure is None else one.worker, failure)

    def _call(self, one: QuickWorker, name: str, args: tuple[str | float, ...]) -> object:
        lane = one.pool.take(timeout=DIAL_TIMEOUT_S)
        try:
            if one.key and not lane.knows("ask"):
                lane.call("login", one.key, timeout=DIAL_TIMEOUT_S)
            return lane.call("ask", name, *args, timeout=FIRST_WAIT_S)
        finally:
            one.pool.give(lane)

    def _least_loaded(self) -> QuickWorker | None:
        best = least = None
        for one in self._list:
            if one.late or one.worker.state not in IN_ROTATION:
                continue
            key = ((one.in_flight + 1) * one.excess, one.served)
            if least is None or key < least:
                best, least = one, key
        return best

    def _measure(self, one: QuickWorker, took_s: float) -> None:
        if not one.dialled:
            one.dialled = True  # the first answer took a connection as well: it is no sample
            return
        one.estimate_s += (took_s - one.estimate_s) / 8 if one.estimate_s else took_s
        self._compare(one)

    def _compare(self, one: QuickWorker) -> None:
        """Works out anew by how much that worker is slower than the quickest."""
        known = [other.estimate_s for other in self._list if other.estimate_s]
        quickest = min(known, default=0.0)
        slow = is_slow(one.estimate_s, quickest)  # it is then asked by so much less
        one.excess = one.estimate_s / quickest if slow else 1.0
