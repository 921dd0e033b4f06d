"""One lookup's life: pick a worker, send, wait, reroute, until an answer or the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from nodes.errors import (
    CODES,
    DeadlineExceeded,
    InternalError,
    LookupFailed,
    NoWorkers,
    PoisonLookup,
)
from nodes.routing import Policy, Registry, Worker, pick
from nodes.transport import DialFailed, LanePool, LinkLost, TransportError, Value
from nodes.wire import WorkerAnswer, WorkerRefusal, is_answer, is_refusal

Args = tuple[Value, ...]
NO_WORKERS = (
    "no worker is registered: start one with 'rollcall-nodes spawn 1' "
    "or 'rollcall-nodes worker --master HOST:PORT'"
)


class Answer(NamedTuple):
    """What came of a call, and how it was got."""

    part: WorkerAnswer
    worker: str
    attempts: int


class _Call:
    """What is known of one call while it is tried."""

    __slots__ = ("attempts", "counted", "deadline", "killed", "last_error", "tried")

    def __init__(self, deadline: float, *, counted: bool) -> None:
        self.counted = counted
        self.deadline = deadline
        self.attempts = 0
        self.killed: list[Worker] = []
        self.tried: set[int] = set()
        self.last_error = ""


class Dispatcher:
    """Sends calls to workers and keeps the registry's account of them.

    Arguments (keyword only):
        registry: who is there; every access is under `changed`.
        changed: the registry's lock, notified whenever a worker may have become available.
        policy: who gets the next lookup.
        expecting: asked when nobody is left, "is a worker about to come back?"; while it
            says yes, a call waits for it within its deadline.
    """

    ATTEMPT = 0.5
    """Seconds one attempt may take. A frozen worker is found out by nothing but a deadline
    of our own; two such in a row still leave time within the usual deadline of 2 s."""
    MOST_ATTEMPTS = 8
    POISON = 2

    def __init__(
        self, *, registry: Registry, changed: threading.Condition, policy: Policy,
        expecting: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._changed = changed
        self._policy = policy
        self._expecting = expecting
        self._clock = clock
        self._pools: dict[int, LanePool] = {}
        self.reroutes = 0

    # -- membership -----------------------------------------------------------

    def joined(self, worker: Worker) -> None:
        """A worker registered: lanes to it may be dialled."""
        self._pools[worker.generation] = LanePool(worker.address.host, worker.address.port)

    def left(self, generation: int) -> None:
        """That registration is over: its lanes are closed, and who waits on one is rerouted."""
        pool = self._pools.pop(generation, None)
        if pool is not None:
            pool.close()

    def close(self) -> None:
        """Closes every lane."""
        for generation in list(self._pools):
            self.left(generation)

    # -- one call ---------------------------------------------------------------

    def call(self, verb: str, args: Args, *, timeout: float, counted: bool = True) -> Answer:
        """Calls `verb(*args)` on the worker with the least load, and on others if it fails.

        Arguments:
            verb: the worker's verb; it must only read, as it may run more than once.
            args: by-value arguments.
            timeout: seconds for all of it.
            counted: whether an answer is a task performed, and says how quick a worker is.

        Raises:
            NoWorkers, DeadlineExceeded, PoisonLookup: see `nodes.errors`.
            LookupFailed: the worker's own verdict on the request (`bad_request`).
        """
        call = _Call(self._clock() + timeout, counted=counted)
        while True:
            worker = self._next(call)
            reply = self._attempt(worker, call, verb, args)
            if isinstance(reply, bytes):
                return Answer(reply, worker.id, call.attempts)
            if reply is not None:
                raise CODES[reply[0]](reply[1])
            self.reroutes += 1

    def direct(self, worker: Worker, verb: str, args: Args, *, timeout: float) -> Value:
        """Calls `verb` on that very worker (a probe, `retire`). Raises `TransportError`."""
        return self._send(worker.generation, verb, args, self._clock() + timeout)

    def _next(self, call: _Call) -> Worker:
        """Picks the worker for the next attempt and counts it, waiting for one if it may."""
        with self._changed:
            while True:
                now = self._clock()
                if now >= call.deadline or call.attempts >= self.MOST_ATTEMPTS:
                    raise _no_answer(call)
                worker = pick(self._registry.available(), self._policy, now, call.tried)
                if worker is not None:
                    self._registry.began(worker, now)
                    call.tried.add(worker.generation)
                    call.attempts += 1
                    return worker
                if self._registry.available():
                    # All were tried once and none answered, yet they are not down: what
                    # failed may have been the way there. Another round, after a breath.
                    call.tried.clear()
                    self._changed.wait(min(0.05, call.deadline - now))
                elif self._expecting():
                    self._changed.wait(min(0.25, call.deadline - now))
                else:
                    raise NoWorkers(NO_WORKERS)

    def _attempt(
        self, worker: Worker, call: _Call, verb: str, args: Args
    ) -> WorkerAnswer | WorkerRefusal | None:
        """One attempt on one worker. None if it failed and the call may be rerouted."""
        began = self._clock()
        try:
            reply = self._send(
                worker.generation, verb, args, min(call.deadline, began + self.ATTEMPT)
            )
            if not (is_answer(reply) or is_refusal(reply)):
                raise LinkLost("answered with something else than an answer")
        except TransportError as error:
            self._failed(worker, call, self._clock() - began, str(error))
            if isinstance(error, LinkLost):
                self._note_death(worker, call)
            return None
        except BaseException:
            with self._changed:
                self._registry.released(worker)
            raise
        now = self._clock()
        if isinstance(reply, tuple) and reply[0] == InternalError.code:
            self._failed(worker, call, now - began, reply[1])
            return None
        with self._changed:
            if call.counted and isinstance(reply, bytes):
                self._registry.answered(worker, now - began, now)
            else:
                self._registry.released(worker)
        return reply

    def _failed(self, worker: Worker, call: _Call, took: float, why: str) -> None:
        call.last_error = f"{worker.id}: {why}"
        with self._changed:
            self._registry.failed(worker, took, why, self._clock())

    def _note_death(self, worker: Worker, call: _Call) -> None:
        """A link broke with the lookup on it. Refuses it a third worker if it killed two."""
        call.killed.append(worker)
        if len(call.killed) < self.POISON:
            return
        with self._changed:
            # The end of the registration says that it died; it may arrive a moment later.
            self._changed.wait_for(lambda: not worker.live, timeout=0.02)
            dead = [w.id for w in call.killed if not w.live]
        if len(dead) >= self.POISON:
            names = " and ".join(dead)
            raise PoisonLookup(
                f"{names} died while they answered this lookup; it is not sent to another"
            )

    def _send(self, generation: int, verb: str, args: Args, until: float) -> Value:
        pool = self._pools.get(generation)
        if pool is None:
            raise DialFailed("its registration is over")
        lane = pool.take(timeout=max(0.001, until - self._clock()))
        try:
            # A lane whose call failed has closed itself; `give` then only forgets it.
            return lane.call(verb, *args, timeout=max(0.001, until - self._clock()))
        finally:
            pool.give(lane)


def _no_answer(call: _Call) -> LookupFailed:
    if not call.attempts:
        return NoWorkers("no worker came up in time; 'rollcall-nodes ps' shows how they are")
    detail = f"; last: {call.last_error}" if call.last_error else ""
    return DeadlineExceeded(f"no answer in time, after {call.attempts} attempt(s){detail}")
