"""Spans by OpenTelemetry: one for each lookup, and one for each of its attempts.

All of a lookup is written down when it is over, from what is known of it anyway. Where spans go,
how many are kept and what the service is called, OpenTelemetry's own variables say (`OTEL_*`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_trace_id,
    set_span_in_context,
)

from nodes.errors import StartError
from nodes.monitoring.tracing import TracedLookup
from nodes.routing import Outcome
from nodes.support.switch_interval import shorten_switch_interval
from nodes.support.traceparent import TraceParent
from nodes.support.units import counted
from nodes.support.version import VERSION

LAST_SPANS_S = 1.0
"""Seconds that a master which stops waits for its last spans to be taken."""

MAX_UNSENT_SPANS = 2048
"""Spans that wait to be sent; those of further lookups are left out."""

MAX_REPLY_BYTES = 1 << 16
"""Bytes that are read of what a collector replies, which nobody looks at."""

TELL_EVERY_S = 60.0
"""Seconds between two events that say that spans are left out."""

NS_PER_S = 1_000_000_000

NO_PARENT = Context()
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE = InstrumentationScope("rollcall", VERSION)
UNSET, ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class SpanWriter:
    """Writes spans, and has a thread of OpenTelemetry's send them.

    Spans are made as what they are when they are over, and not begun and ended: that is a fourth of
    the time.

    Args:
        report: told when they cannot be sent, and when they can be again.
        exporter: sends them; None for one that speaks OTLP over HTTP.

    Raises:
        StartError: one of OpenTelemetry's variables is wrong.
    """

    def __init__(
        self, *, report: Callable[[str], object], exporter: SpanExporter | None = None
    ) -> None:
        # The thread that sends them takes turns with lookups, which would each wait for one of its.
        shorten_switch_interval()
        # What cannot be sent is told in our own words; and a header that is wrong, or what follows
        # the host in an endpoint, may be a secret.
        for name in ("opentelemetry.exporter", "opentelemetry.util.re", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        ours = Resource({"service.name": "rollcall", "service.version": VERSION})
        self._resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        try:
            provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
            self._exporter = ReportingExporter(exporter or _over_http(), report)
            self._processor = BatchSpanProcessor(self._exporter, max_queue_size=MAX_UNSENT_SPANS)
        except ValueError as error:
            raise StartError(f"one of OpenTelemetry's variables is wrong: {error}") from error
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        self._written = 0

    def sample(self, name: str, parent: TraceParent | None) -> str:
        """See `nodes.monitoring.tracing.Tracer`; what is kept, OpenTelemetry's sampler says."""
        if parent is None:
            trace_id, context = self._ids.generate_trace_id(), NO_PARENT
        else:
            trace_id = int(parent.trace_id, 16)
            flags = SAMPLED if parent.sampled else TraceFlags(TraceFlags.DEFAULT)
            asked_in = SpanContext(
                trace_id, int(parent.span_id, 16), is_remote=True, trace_flags=flags
            )
            context = set_span_in_context(NonRecordingSpan(asked_in), NO_PARENT)
        decision = self._sampler.should_sample(context, trace_id, name, SpanKind.SERVER).decision
        return format_trace_id(trace_id) if decision is Decision.RECORD_AND_SAMPLE else ""

    def record(self, trace_id: str, lookup: TracedLookup) -> None:
        """See `nodes.monitoring.tracing.Tracer`. If too many wait to be sent, it is left out."""
        count = 1 + len(lookup.attempts)
        if self._written + count - self._exporter.taken > MAX_UNSENT_SPANS:
            self._exporter.left_out += count
            return
        self._written += count
        # Spans have Unix time; the clock of a lookup has another beginning.
        epoch_ns = time.time_ns() - int(time.monotonic() * NS_PER_S)
        parent = None
        if lookup.parent is not None:
            parent = SpanContext(
                int(trace_id, 16),
                int(lookup.parent.span_id, 16),
                is_remote=True,
                trace_flags=SAMPLED,
            )
        whole = self._new_context(int(trace_id, 16))
        for attempt in lookup.attempts:
            self._end(
                "attempt",
                self._new_context(whole.trace_id),
                whole,
                {
                    "rollcall.worker": attempt.worker,
                    "rollcall.outcome": attempt.outcome.value,
                },
                kind=SpanKind.CLIENT,
                failed=attempt.outcome in (Outcome.FAILED, Outcome.TIMED_OUT),
                began_ns=epoch_ns + int(attempt.began * NS_PER_S),
                ended_ns=epoch_ns + int(attempt.ended * NS_PER_S),
            )
        self._end(
            lookup.name,
            whole,
            parent,
            _attributes(lookup),
            kind=SpanKind.SERVER,
            failed=bool(lookup.code),
            began_ns=epoch_ns + int(lookup.began * NS_PER_S),
            ended_ns=epoch_ns + int(lookup.ended * NS_PER_S),
        )

    def _new_context(self, trace_id: int) -> SpanContext:
        span_id = self._ids.generate_span_id()
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=SAMPLED)

    def _end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, str | int],
        *,
        kind: SpanKind,
        failed: bool,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        self._processor.on_end(
            ReadableSpan(
                name,
                context,
                parent,
                self._resource,
                attributes,
                kind=kind,
                status=ERROR if failed else UNSET,
                start_time=began_ns,
                end_time=ended_ns,
                instrumentation_scope=SCOPE,
            )
        )

    def close(self) -> None:
        """Sends what is left, as far as it is taken within `LAST_SPANS_S`."""
        # With nobody to take them, OpenTelemetry itself waits for half a minute.
        last = threading.Thread(target=self._processor.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_S)


def _over_http() -> SpanExporter:
    """Sends spans to a collector whose replies may have any length."""
    session = requests.Session()
    session.stream = True
    session.hooks["response"].append(_read_reply)
    return OTLPSpanExporter(session=session)


def _read_reply(reply: requests.Response, **_how: object) -> None:
    """Reads a short reply, so that its connection is used again; another one ends it."""
    reply.raw.read1(MAX_REPLY_BYTES)  # not all of what comes a byte now and then
    reply.close()


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
    """An exporter that tells when spans cannot be sent, and when they can be again; and that some
    are left out, as more are written than it can send.

    Args:
        exporter: sends them.
        report: told so.
        clock: monotonic, in seconds.

    Attributes:
        taken: spans that it was given so far.
        left_out: spans that it was not given, as too many waited.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        report: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = 0
        self.left_out = 0
        self._exporter = exporter
        self._report = report
        self._clock = clock
        self._lost = 0
        self._told_left_out = 0
        self._tell_at = -math.inf

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends some."""
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except (OSError, ValueError):  # an endpoint that is none, say
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.FAILURE:
            if not self._lost:
                self._report(
                    "spans cannot be sent: see that a collector listens where "
                    "OTEL_EXPORTER_OTLP_ENDPOINT says (http://localhost:4318 if it is not set), "
                    "and takes them from here"
                )
            self._lost += len(spans)
        elif self._lost:
            self._report(f"spans can be sent again; {counted(self._lost, 'span')} are lost")
            self._lost = 0
        self._tell_left_out()
        return result

    def _tell_left_out(self) -> None:
        left_out, now = self.left_out - self._told_left_out, self._clock()
        if left_out and now >= self._tell_at:
            self._tell_at = now + TELL_EVERY_S
            self._told_left_out += left_out
            self._report(
                f"{counted(left_out, 'span')} left out: more are made than can be sent; "
                "OTEL_TRACES_SAMPLER has a share of them kept"
            )

    def shutdown(self) -> None:
        """Sends no more."""
        self._exporter.shutdown()
