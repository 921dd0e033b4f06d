"""One keeper as the side process sees it: met, heard, given orders, until it is gone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from nodes.fleet.ray.messages import (
    KeeperFound,
    KeeperGone,
    KeeperMissing,
    Obeyed,
    Order,
    Reported,
    decode_reports,
    encode,
)
from nodes.support.version import VERSION

MEET_TIMEOUT_S = 30.0
"""Seconds for a new keeper to answer: Ray starts a process for it."""

ANSWER_TIMEOUT_S = 3.0
"""Seconds for a keeper's answer."""

UNREACHABLE_S = 10.0
"""Seconds without an answer after which a keeper is given up, where Ray does not say it is dead."""

AGAIN_S = 0.2
"""Seconds before one that did not answer is asked again."""

Upward = Callable[[msgspec.Struct], None]
"""Sends the launcher a message."""


class _GoneError(Exception):
    """The keeper is no more, or does not answer; and why, in words."""


class FollowedKeeper:
    """A keeper that is asked again and again. Each of its threads ends once it is gone.

    Args:
        ray: the module.
        handle: Ray's, on the actor.
        node: Ray's id of where it is.
        reply: sends the launcher a message.

    Attributes:
        id: the actor's; one that is made anew has another.
        gone: whether it is no more, or is given up.
    """

    def __init__(self, ray: Any, handle: Any, node: str, reply: Upward) -> None:
        self._ray = ray
        self._handle = handle
        self._node = node
        self._reply = reply
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._answered_at = time.monotonic()
        self.id: str = handle._actor_id.hex()  # Ray has no other name for it
        self.gone = False
        self._begin(self._meet)

    def follow(self, seen: int) -> None:
        """Begins to hear it, from the report after that number, and to pass orders on."""
        self._answered_at = time.monotonic()
        self._begin(lambda: self._hear(seen))
        self._begin(self._pass_orders)

    def send(self, order: Order) -> None:
        """Gives it an order, at once and without waiting."""
        self._orders.put(order)

    def end(self) -> Any:
        """Has it end; returns what Ray's `wait` takes."""
        return self._handle.end.remote()

    def _begin(self, what: Callable[[], None]) -> None:
        threading.Thread(target=what, name=f"keeper-{self._node[:6]}", daemon=True).start()

    def _meet(self) -> None:
        try:
            theirs = self._ask(self._handle.version.remote, timeout_s=MEET_TIMEOUT_S)
        except _GoneError as gone:
            self.gone = True
            self._reply(KeeperMissing(self._node, f"no keeper runs there: {gone}"))
            self._ray.kill(self._handle)  # one that is only late must not keep the next from coming
            return
        ours = VERSION
        if theirs != ours:
            self.gone = True
            self.end()
            why = f"it has Rollcall {theirs}, and here is {ours}: install the same"
            self._reply(KeeperMissing(self._node, why))
            return
        self._reply(KeeperFound(self.id, self._node))

    def _hear(self, seen: int) -> None:
        try:
            while not self.gone:
                answer = self._ask(self._handle.reports.remote, seen)
                if reports := decode_reports(answer):
                    seen = reports[-1].number
                    self._reply(Reported(self.id, reports))
        except _GoneError as gone:
            self._give_up(str(gone))

    def _pass_orders(self) -> None:
        try:
            while (order := self._orders.get()) is not None:
                done = self._ask(self._handle.obey.remote, encode([order]))
                self._reply(Obeyed(self.id, done))
        except _GoneError as gone:
            self._give_up(str(gone))

    def _give_up(self, why: str) -> None:
        with self._lock:
            if self.gone:
                return
            self.gone = True
        self._orders.put(None)
        self._reply(KeeperGone(self.id, why))
        # One that only could not be reached must not go on beside the next one.
        self._ray.kill(self._handle)

    def _ask(
        self, method: Callable[..., Any], *args: object, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Any:
        """Its answer, however often it has to be asked: doing so twice changes nothing.

        Raises:
            _GoneError: there is none.
        """
        errors = self._ray.exceptions
        while True:
            try:
                answer = self._ray.get(method(*args), timeout=timeout_s)
            except errors.ActorDiedError as error:
                raise _GoneError(_why_dead(error)) from error
            except errors.ActorUnschedulableError as error:
                raise _GoneError("its node is gone") from error
            except errors.RayTaskError as error:
                raise _GoneError("it failed; Ray's log of it says how") from error
            except errors.RayError as error:
                if time.monotonic() - self._answered_at > max(timeout_s, UNREACHABLE_S):
                    raise _GoneError("it does not answer") from error
                time.sleep(AGAIN_S)
            else:
                self._answered_at = time.monotonic()
                return answer


def _why_dead(error: Any) -> str:
    if error.actor_init_failed:
        return "it cannot be started; Rollcall must be installed in Ray's Python on that node"
    return "its keeper, or its Ray node, ended"
