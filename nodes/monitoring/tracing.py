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

    def sample(self, name: str, parent: TraceParent | None) -> str:
        """Whether a lookup of that name is to be written down: the id of its trace, "" if not.

        Args:
            name: of the lookup.
            parent: what it is a part of, None if its client did not say.
        """

    def record(self, trace_id: str, lookup: TracedLookup) -> None:
        """Writes the spans of a lookup that is over, and to be written down."""

    def close(self) -> None:
        """Sends what is left."""
