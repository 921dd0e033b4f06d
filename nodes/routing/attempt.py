"""One lookup at one worker, and what is said of several that brought no answer in time."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from nodes.errors import DeadlineExceeded, LookupFailed, NoWorkers, StoreDown
from nodes.routing.limits import RoutingLimits
from nodes.routing.worker import Worker


class Outcome(StrEnum):
    """What became of an attempt."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    OVERTAKEN = "overtaken"
    """Another answered first, or the call was over."""


class PastAttempt(NamedTuple):
    """An attempt that is over.

    Attributes:
        worker: the id of the one that was asked.
        began, ended: seconds on the clock passed in.
        outcome: what became of it.
    """

    worker: str
    began: float
    ended: float
    outcome: Outcome


class Attempt(msgspec.Struct, frozen=True):
    """One lookup at one worker.

    Attributes:
        worker: the one that was asked.
        began: seconds on the clock passed in.
        alone: whether the lookup may be deadly: its worker is sent no other such lookup meanwhile.
    """

    worker: Worker
    began: float
    alone: bool

    def is_overdue(self, limits: RoutingLimits, now: float) -> bool:
        """Whether it took too long. A worker that answers its probes may wait for the store of its
        records, as any other would.
        """
        if self.worker.in_store:
            return now - max(self.began, self.worker.probed_at) >= limits.store_silence_s
        return now - self.began >= limits.attempt_timeout_s


def too_late(attempts: int, pending: Sequence[Attempt], last_error: str) -> LookupFailed:
    """The error of a call whose time is up.

    Args:
        attempts: how many workers were asked.
        pending: attempts that are under way.
        last_error: what the last failure was, "" for none.
    """
    if not attempts:
        return NoWorkers("no worker came up in time; 'rollcall-nodes ps' shows how they are")
    troubles = [one.worker.trouble if one.worker.in_store else "" for one in pending]
    if troubles and all(troubles):
        return StoreDown(f"the store {troubles[0]}")
    last = last_error
    if pending:
        asked = " and ".join(one.worker.id for one in pending)
        before = f", and before {last}" if last else ""  # it may be why all of them fail
        last = f"{asked}: no answer yet{before}"
    detail = f"; last: {last}" if last else ""
    return DeadlineExceeded(f"no answer in time, after {attempts} attempt(s){detail}")
