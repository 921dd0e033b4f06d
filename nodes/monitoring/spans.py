"""Spans by OpenTelemetry: one for each lookup, and one for each of its attempts.

All of a lookup is written down when it is over, from what is known of it anyway. Where spans go,
how many are kept and what the service is called, OpenTelemetry's own variables say (`OTEL_*`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    format_trace_id,
    set_span_in_context,
)

from nodes.errors import StartError
from nodes.monitoring.tracing import TracedLookup
from nodes.routing import Outcome, PastAttempt
from nodes.support.traceparent import TraceParent
from nodes.support.units import counted
from nodes.support.version import VERSION

LAST_SPANS_S = 1.0
"""Seconds that a master which stops waits for its last spans to be taken."""

NS_PER_S = 1_000_000_000

NO_PARENT = Context()


class SpanWriter:
    """Writes spans, and has a thread of OpenTelemetry's send them.

    Args:
        report: told when they cannot be sent, and when they can be again.
        exporter: sends them; None for one that speaks OTLP over HTTP.

    Raises:
        StartError: one of OpenTelemetry's variables is wrong.
    """

    def __init__(
        self, *, report: Callable[[str], object], exporter: SpanExporter | None = None
    ) -> None:
        # What cannot be sent is told in our own words.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        ours = Resource({"service.name": "rollcall", "service.version": VERSION})
        try:
            self._provider = TracerProvider(
                resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()),
                shutdown_on_exit=False,
            )
            sends = ReportingExporter(exporter or OTLPSpanExporter(), report)
            self._provider.add_span_processor(BatchSpanProcessor(sends))
        except ValueError as error:
            raise StartError(f"one of OpenTelemetry's variables is wrong: {error}") from error
        self._tracer = self._provider.get_tracer("rollcall", VERSION)

    def record(self, lookup: TracedLookup) -> str:
        """See `nodes.monitoring.tracing.Tracer`; what is kept, OpenTelemetry's sampler says."""
        # Spans have Unix time; the clock of a lookup has another beginning.
        epoch_ns = time.time_ns() - int(time.monotonic() * NS_PER_S)
        span = self._tracer.start_span(
            lookup.name,
            context=_context(lookup.parent),
            kind=SpanKind.SERVER,
            start_time=epoch_ns + int(lookup.began * NS_PER_S),
        )
        if not span.is_recording():
            return ""
        span.set_attributes(_attributes(lookup))
        if lookup.code:
            span.set_status(StatusCode.ERROR)
        inside = set_span_in_context(span, NO_PARENT)
        for attempt in lookup.attempts:
            self._record_attempt(attempt, inside, epoch_ns)
        span.end(epoch_ns + int(lookup.ended * NS_PER_S))
        return format_trace_id(span.get_span_context().trace_id)

    def _record_attempt(self, attempt: PastAttempt, inside: Context, epoch_ns: int) -> None:
        span = self._tracer.start_span(
            "attempt",
            context=inside,
            kind=SpanKind.CLIENT,
            start_time=epoch_ns + int(attempt.began * NS_PER_S),
            attributes={
                "rollcall.worker": attempt.worker,
                "rollcall.outcome": attempt.outcome.value,
            },
        )
        if attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            span.set_status(StatusCode.ERROR)
        span.end(epoch_ns + int(attempt.ended * NS_PER_S))

    def close(self) -> None:
        """Sends what is left, as far as it is taken within `LAST_SPANS_S`."""
        # With nobody to take them, OpenTelemetry itself waits for half a minute.
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_S)


def _context(parent: TraceParent | None) -> Context:
    if parent is None:
        return NO_PARENT
    asked_in = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.sampled)),
    )
    return set_span_in_context(NonRecordingSpan(asked_in), NO_PARENT)


def _attributes(lookup: TracedLookup) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "rpc.system": "rpyc",
        "rollcall.attempts": len(lookup.attempts),
    }
    if lookup.lookups != 1:
        told["rollcall.lookups"] = lookup.lookups
    if lookup.request_id:
        told["rollcall.request_id"] = lookup.request_id
    if lookup.code:
        told["error.type"] = lookup.code
    return told


class ReportingExporter(SpanExporter):
    """An exporter that tells when spans cannot be sent, once, and when they can be again.

    Args:
        exporter: sends them.
        report: told so.
    """

    def __init__(self, exporter: SpanExporter, report: Callable[[str], object]) -> None:
        self._exporter = exporter
        self._report = report
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends some."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.FAILURE:
            if not self._lost:
                self._report(
                    "spans cannot be sent: see that a collector listens where "
                    "OTEL_EXPORTER_OTLP_ENDPOINT says (http://localhost:4318 if it is not set)"
                )
            self._lost += len(spans)
        elif self._lost:
            self._report(f"spans can be sent again; {counted(self._lost, 'span')} are lost")
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Sends no more."""
        self._exporter.shutdown()
