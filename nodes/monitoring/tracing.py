"""Tracing: what is written down of a lookup once it is over, and who writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from nodes.routing import PastAttempt
from nodes.support.traceparent import TraceParent


class TracedLookup(NamedTuple):
    """A lookup that is over, or a batch of them.

    Attributes:
        name: of the lookup; no argument is told.
        parent: what it is a part of, None if its client did not say.
        began, ended: seconds on the monotonic clock.
        attempts: those that are over.
        code: of its error, "" if it was answered.
        request_id: by which it is found in logs, "" if it has none.
        lookups: how many it carries.
    """

    name: str
    parent: TraceParent | None
    began: float
    ended: float
    attempts: Sequence[PastAttempt]
    code: str = ""
    request_id: str = ""
    lookups: int = 1


class Tracer(Protocol):
    """Who writes spans; `nodes.monitoring.spans.SpanWriter` is one."""

    def record(self, lookup: TracedLookup) -> str:
        """Writes the spans of a lookup that is over.

        Returns:
            The id of its trace; "" if it is not kept.
        """

    def close(self) -> None:
        """Sends what is left."""
