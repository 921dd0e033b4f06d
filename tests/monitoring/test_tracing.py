"""Tracing: a span for each lookup and each attempt, as a collector of OpenTelemetry reads them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import rpyc
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from nodes.cli.lookup import lookup as lookup_command
from nodes.client.asynchronous import AsyncClient
from nodes.client.blocking import Client
from nodes.errors import LookupFailed, NoWorkers, StartError
from nodes.master.opening import open_master
from nodes.monitoring.spans import MAX_UNSENT_SPANS, ReportingExporter, SpanWriter
from nodes.monitoring.tracing import TracedLookup
from nodes.routing import Outcome, PastAttempt
from nodes.support.traceparent import TraceParent
from tests.kit import (
    PATIENCE,
    FrozenProcess,
    Node,
    hosted,
    master_alone,
    poll_for,
    up,
    worker_inside,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
ATTEMPTS = (
    PastAttempt("w1", 10.0, 10.5, Outcome.TIMED_OUT),
    PastAttempt("w2", 10.5, 10.75, Outcome.ANSWERED),
)
ANSWERED = TracedLookup("getbyname", None, 9.5, 10.75, ATTEMPTS)


def written(*lookups: TracedLookup) -> tuple[list[str], Sequence[ReadableSpan]]:
    """What is returned for these lookups, and the spans that are sent of them."""
    exporter = InMemorySpanExporter()
    writer = SpanWriter(report=pytest.fail, exporter=exporter)
    traces = [writer.sample(one.name, one.parent) for one in lookups]
    for trace_id, one in zip(traces, lookups, strict=True):
        if trace_id:
            writer.record(trace_id, one)
    writer.close()
    return traces, exporter.get_finished_spans()


def seconds(span: ReadableSpan) -> float:
    """How long a span was."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


# -- what is written --------------------------------------------------------------------------


def test_a_lookup_is_a_span_and_each_of_its_attempts_is_one_inside() -> None:
    [trace_id], (first, second, whole) = written(ANSWERED)
    assert f"{whole.context.trace_id:032x}" == trace_id
    assert (whole.name, first.name, second.name) == ("getbyname", "attempt", "attempt")
    assert whole.parent is None
    assert first.parent == second.parent == whole.context
    assert [seconds(one) for one in (whole, first, second)] == pytest.approx([1.25, 0.5, 0.25])
    assert whole.start_time is not None
    assert first.start_time is not None
    assert first.start_time - whole.start_time == pytest.approx(0.5e9)
    assert [one.status.status_code.name for one in (whole, first, second)] == [
        "UNSET",
        "ERROR",
        "UNSET",
    ]
    assert dict(first.attributes or {}) == {
        "rollcall.worker": "w1",
        "rollcall.outcome": "timed out",
    }


def test_a_span_has_the_time_of_day() -> None:
    now = time.monotonic()
    _, [whole] = written(TracedLookup("getbyname", None, now - 1.0, now, ()))
    assert whole.end_time is not None
    assert abs(whole.end_time / 1e9 - time.time()) < PATIENCE


def test_a_lookup_is_a_part_of_what_its_client_says() -> None:
    parent = TraceParent(TRACE, SPAN, sampled=True)
    [trace_id], spans = written(ANSWERED._replace(parent=parent))
    assert trace_id == TRACE
    assert spans[-1].parent is not None
    assert f"{spans[-1].parent.span_id:016x}" == SPAN


def test_what_is_not_recorded_where_it_was_asked_is_not_here() -> None:
    parent = TraceParent(TRACE, SPAN, sampled=False)
    assert written(ANSWERED._replace(parent=parent)) == ([""], ())


def test_the_sampler_is_opentelemetry_s_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    parent = TraceParent(TRACE, SPAN, sampled=True)
    traces, spans = written(ANSWERED, ANSWERED._replace(parent=parent))
    assert traces == ["", TRACE]
    assert len(spans) == 3


def test_a_failed_lookup_says_why_and_how_it_is_found_in_logs() -> None:
    failed = ANSWERED._replace(code="no_workers", request_id="0123456789ab", attempts=())
    _, [whole] = written(failed)
    assert whole.status.status_code.name == "ERROR"
    told = dict(whole.attributes or {})
    assert told["error.type"] == "no_workers"
    assert told["rollcall.request_id"] == "0123456789ab"


def test_the_service_is_called_as_its_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    _, spans = written(ANSWERED)
    assert spans[0].resource.attributes["service.name"] == "rollcall"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "people")
    _, spans = written(ANSWERED)
    assert spans[0].resource.attributes["service.name"] == "people"


class Collector(SpanExporter):
    """One that takes spans only sometimes."""

    takes = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if self.takes else SpanExportResult.FAILURE


def test_that_spans_cannot_be_sent_is_told_once_and_what_was_lost_at_the_end() -> None:
    said: list[str] = []
    collector = Collector()
    exporter = ReportingExporter(collector, said.append)
    _, spans = written(ANSWERED)
    exporter.export(spans)
    assert said == []
    collector.takes = False
    exporter.export(spans)
    exporter.export(spans)
    [first] = said
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in first
    collector.takes = True
    exporter.export(spans)
    exporter.export(spans)
    assert said == [first, "spans can be sent again; 6 spans are lost"]


class StuckCollector(SpanExporter):
    """One that takes its time."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        assert self.goes_on.wait(PATIENCE)
        return SpanExportResult.SUCCESS


def test_nobody_waits_for_a_collector_and_what_is_too_much_is_left_out_and_told() -> None:
    said: list[str] = []
    collector = StuckCollector()
    writer = SpanWriter(report=said.append, exporter=collector)
    lookups = 2 * MAX_UNSENT_SPANS
    for _ in range(lookups):
        writer.record(TRACE, ANSWERED)
    collector.goes_on.set()
    [told] = poll_for(lambda: said)
    left_out = int(told.split()[0].replace(",", ""))
    assert 3 * lookups - 2 * MAX_UNSENT_SPANS <= left_out <= 3 * lookups - MAX_UNSENT_SPANS + 3
    assert "OTEL_TRACES_SAMPLER" in told
    writer.close()


def test_that_spans_are_left_out_is_told_once_a_minute() -> None:
    said: list[str] = []
    now = 100.0
    exporter = ReportingExporter(Collector(), said.append, clock=lambda: now)
    for exporter.left_out in (3, 5, 9):
        exporter.export(())
    now += 61.0
    exporter.export(())
    exporter.export(())
    assert [one.split(":")[0] for one in said] == ["3 spans left out", "6 spans left out"]


def test_an_endpoint_that_is_none_is_told_and_no_header_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer s3cret")
    said: list[str] = []
    writer = SpanWriter(report=said.append)
    writer.record(TRACE, ANSWERED)
    writer.close()
    [told] = said
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in told
    assert caplog.text == ""


@pytest.mark.parametrize("piece", [1 << 20, 1], ids=["much", "a byte now and then"])
def test_a_reply_that_does_not_end_is_not_read_and_an_endpoint_is_not_logged(
    piece: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    taken: list[int] = []
    asked: list[str] = []
    ends = threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 40))
            self.end_headers()
            with contextlib.suppress(OSError):
                while not ends.wait(0.0 if piece > 1 else 0.01) and sum(taken) < 1 << 26:
                    self.wfile.write(b" " * piece)
                    taken.append(piece)

        def log_message(self, *args: object) -> None:
            del args

    monkeypatch.setenv("NO_PROXY", "*")
    with listening(Endless) as port:
        endpoint = f"http://127.0.0.1:{port}/v1/traces?key=s3cret"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        writer = SpanWriter(report=pytest.fail)
        for number in (1, 2):
            writer.record(TRACE, ANSWERED)
            poll_for(lambda: len(asked) == number)  # noqa: B023 - called at once
        writer.close()
        ends.set()
    assert sum(taken) < 1 << 25
    assert "s3cret" in asked[0] and "s3cret" not in caplog.text


# -- a cluster --------------------------------------------------------------------------------


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    """The spans that reach a collector, to which OpenTelemetry's variables lead."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            del args

    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("NO_PROXY", "*")
    with listening(Handler) as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield spans


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A collector that answers so; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Span) -> dict[str, Any]:
    """What a span says, texts and numbers."""
    values = {one.key: one.value for one in span.attributes}
    return {key: one.string_value or one.int_value for key, one in values.items()}


def named(spans: Sequence[Span], name: str) -> list[Span]:
    """Those of that name."""
    return [span for span in spans if span.name == name]


def test_a_collector_gets_the_spans_of_lookups_of_batches_and_of_what_was_hedged(
    collected: list[Span],
) -> None:
    with hosted(2, tracing=True) as cluster, Client(cluster.address) as client:
        client.getbyname("xander")
        client.lookup_many([("getbyname", "xander")] * 300)
        pids = {worker.id: worker.pid for worker in cluster.snapshot().workers}
        with FrozenProcess(pids["w1"]):
            pages = [client.page("getbyname", "xander")]
            while pages[-1].attempts == 1:
                pages.append(client.page("getbyname", "xander"))
        cluster.kill("w1")
        cluster.kill("w2")
        poll_for(lambda: not up(cluster))
        with pytest.raises(LookupFailed):
            client.getbyname("xander")
    lookups = named(collected, "getbyname")
    attempts = named(collected, "attempt")
    assert len(lookups) == 1 + len(pages) + 1
    [batch] = named(collected, "in batches")
    assert attributes(batch)["rollcall.lookups"] == 300
    inside = {
        span.span_id: [one for one in attempts if one.parent_span_id == span.span_id]
        for span in (*lookups, batch)
    }
    assert len(inside[batch.span_id]) == 2, "one for each part"
    assert sum(map(len, inside.values())) == len(attempts)
    [late] = [span for span in lookups if len(inside[span.span_id]) == 2]
    outcomes = {
        told["rollcall.worker"]: told["rollcall.outcome"]
        for told in map(attributes, inside[late.span_id])
    }
    assert outcomes == {"w1": "overtaken", "w2": "answered"}
    [failed] = [span for span in lookups if span.status.code == Status.STATUS_CODE_ERROR]
    assert attributes(failed)["error.type"] == NoWorkers.code


def test_what_a_client_says_is_in_slow_lookups_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With nobody who writes spans."""
    caplog.set_level(logging.DEBUG, "rollcall")
    with master_alone() as master:
        address = str(master.address)
        with worker_inside(master):
            poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
            with Client(address, traceparent=lambda: TRACEPARENT) as client:
                client.getbyname("xander")
            assert [one.trace_id for one in master.snapshot().slow] == [TRACE]
            with Client(address, traceparent=lambda: "mangled") as client:
                client.getbyname("xander")
            assert {one.trace_id for one in master.snapshot().slow} == {TRACE, ""}
        poll_for(lambda: [one.state for one in master.snapshot().workers] in ([], ["down"]))
        with (
            Client(address, timeout=0.2, traceparent=lambda: TRACEPARENT) as client,
            pytest.raises(LookupFailed) as raised,
        ):
            client.getbyname("xander")
        [failed] = [one for one in master.snapshot().slow if one.code]
        assert failed.trace_id == TRACE
    [line] = [one for one in caplog.records if vars(one).get("trace_id")]
    assert vars(line)["trace_id"] == TRACE
    assert f"request {raised.value.request_id} of trace {TRACE}:" in line.getMessage()


def test_every_way_to_ask_can_say_what_it_is_a_part_of(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = [f"{number:032x}" for number in range(1, 6)]
    asked = iter(traces)

    def traceparent() -> str:
        return f"00-{next(asked)}-{SPAN}-00"

    async def ask_async(address: str) -> None:
        async with AsyncClient(address, traceparent=traceparent) as client:
            await client.getbyname("xander")

    with master_alone() as master, worker_inside(master):
        poll_for(lambda: [one.state for one in master.snapshot().workers] == ["up"])
        address = str(master.address)
        with Client(address, traceparent=traceparent) as client:
            client.getbyname("xander")
            list(client.pages("getbyname", "xander"))
        asyncio.run(ask_async(address))
        with contextlib.closing(rpyc.connect(master.address.host, master.address.port)) as plain:
            plain.root.getbyname("xander", traceparent=traceparent())
            refused = json.loads(plain.root.getbyname("xander", traceparent=1))
        monkeypatch.setenv("TRACEPARENT", traceparent())
        found = CliRunner().invoke(lookup_command, ["getbyname", "xander", "--master", address])
        assert found.exit_code == 0
        seen = {one.trace_id for one in master.snapshot().slow}
    assert refused["error_message"] == "traceparent must be text, not int"
    assert seen == set(traces)


def test_a_direct_client_is_told_that_workers_have_no_use_for_it() -> None:
    with pytest.raises(ValueError, match="leave out direct"):
        Client(direct=True, traceparent=lambda: TRACEPARENT)


def test_without_opentelemetry_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nodes.monitoring.spans", None)
    with pytest.raises(StartError, match=r"pip install 'rollcall-console\[otel\]'"):
        open_master(host="127.0.0.1", port=0, balance="load", tracing=True)


@pytest.mark.long
def test_a_master_stops_in_time_when_nobody_takes_its_spans() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with Node("up", "--port", "0", "--workers", "1", "--tracing", "--json", env=env) as node:
        address = str(node.ready["master"])
        with Client(address) as client:
            client.getbyname("xander")
        node.signal(15)
        assert node.wait(timeout=8.0) == 0
