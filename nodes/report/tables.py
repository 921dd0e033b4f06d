"""The tables of a report's page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nodes.report.charts import spark
from nodes.report.markup import Markup, element
from nodes.report.model import Report, VerdictFigures, WorkerFigures
from nodes.report.telling import Clock, said, share
from nodes.support.event_kinds import BAD, GOOD
from nodes.support.units import counted, duration, latency
from nodes.wire import Level, SlowLookup

Cell = str | Markup

MIB = 2**20


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], kinds: Mapping[str, str] = {}
) -> Markup:
    """A table.

    Args:
        head: the names of its columns.
        rows: texts, or elements.
        kinds: classes of columns, by name, as the page's style has them.
    """
    classes = [kinds.get(name) for name in head]
    return element(
        "div",
        element(
            "table",
            element(
                "thead",
                element(
                    "tr",
                    (
                        element("th", name, class_="number" if kind == "number" else None)
                        for name, kind in zip(head, classes, strict=True)
                    ),
                ),
            ),
            element(
                "tbody",
                (
                    element(
                        "tr",
                        (
                            element("td", cell, class_=kind)
                            for cell, kind in zip(row, classes, strict=True)
                        ),
                    )
                    for row in rows
                ),
            ),
        ),
        class_="scroll",
    )


def _numbers(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "number")


def stretch_table(verdict: VerdictFigures, clock: Clock) -> Iterator[Markup]:
    """When it was not well."""
    if not verdict.stretches:
        if verdict.seconds:
            yield element("p", "It was healthy all the time of which something is known.")
        return
    yield table(
        ["from", "for", "verdict", "what it said"],
        (
            [
                clock.time(one.begin),
                duration(round(one.end - one.begin)),
                element("b", Level[one.level].word, class_=one.level.lower()),
                _words(one.first_words, one.last_words),
            ]
            for one in verdict.stretches
        ),
        {"from": "at", "for": "number", "what it said": "wide"},
    )
    if verdict.left_out:
        more = counted(verdict.left_out, "more stretch", "more stretches")
        yield element(
            "p",
            f"{more}, less grave or shorter, {_verb(verdict.left_out)} left out.",
            class_="muted",
        )


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _words(first: str, last: str) -> Markup:
    first, last = said(first), said(last)
    if first == last:
        return element("span", first)
    return element(
        "span", first, element("br"), element("span", f"at last: {last}", class_="muted")
    )


def latency_table(latencies: Sequence[tuple[float, int]]) -> Markup:
    """How many took how long, up to the longest."""
    whole = sum(count for _, count in latencies)
    highest = max(count for _, count in latencies)
    below = 0.0
    rows = []
    seen = 0
    for bound, count in latencies:
        if seen == whole:
            break
        seen += count
        bar = element("span", class_="bar", style=f"width:{100 * count / highest:.2f}%")
        told = f"{latency(below)} to {latency(bound)}" if below else f"up to {latency(bound)}"
        rows.append([told, share(count, whole), share(seen, whole), bar if count else ""])
        below = bound
    names = ["took", "of all", "so far", ""]
    return table(names, rows, {"took": "short", **_numbers("of all", "so far"), "": "bars"})


def worker_table(report: Report) -> Iterator[Markup]:
    """Each worker's figures."""
    if not report.workers:
        yield element("p", "No worker was seen.", class_="muted")
        return
    highest = max((rate or 0.0 for one in report.workers for rate in one.rates), default=0.0)
    names = [
        *("worker", "lookups/s", "state", "served", "errors", "hedged", "rerouted", "restarts"),
        *("p50", "p99", "highest p99", "CPU", "memory", "machine"),
    ]
    yield table(
        names,
        (_worker_row(one, highest) for one in report.workers),
        {
            **_numbers("served", "errors", "hedged", "rerouted", "restarts", "p50", "p99"),
            **_numbers("highest p99", "CPU", "memory"),
        },
    )
    yield element(
        "p",
        "State, p50 and p99 are the last that are known; hedged and rerouted are lookups that were "
        "sent to another worker as well; CPU and memory are the highest. What a process served in "
        "the second in which it died may be missing.",
        class_="muted",
    )
    if report.workers_left_out:
        more = counted(report.workers_left_out, "more worker")
        yield element("p", f"{more} {_verb(report.workers_left_out)} left out.", class_="muted")


def _worker_row(one: WorkerFigures, highest: float) -> list[Cell]:
    tone = {"up": "good", "down": "bad"}.get(one.state, "warning")
    return [
        element("b", one.id),
        spark(one.rates, one.states, highest),
        element("span", element("span", one.state, class_=f"{tone}-text"), _why(one.why)),
        f"{one.served:,}",
        f"{one.errors:,}",
        f"{one.hedged_away:,}",
        f"{one.rerouted_away:,}",
        str(one.restarts),
        latency(one.p50_ms),
        latency(one.p99_ms),
        latency(one.highest_p99_ms),
        f"{one.highest_cpu_percent:.0f} %",
        f"{one.highest_memory_bytes / MIB:,.0f} MiB",
        one.machine,
    ]


def _why(text: str) -> tuple[Markup, ...]:
    return (element("span", text, class_="why"),) if text else ()


def lookup_table(report: Report) -> Iterator[Markup]:
    """Lookups by name, and errors by code."""
    yield table(
        ["lookup", "answered", "found nothing", "errors", "p50", "p99", "highest p99"],
        (
            [
                one.name,
                f"{one.answered:,}",
                f"{one.empty:,}",
                f"{one.errors:,}",
                latency(one.p50_ms),
                latency(one.p99_ms),
                latency(one.highest_p99_ms),
            ]
            for one in report.lookups
        ),
        _numbers("answered", "found nothing", "errors", "p50", "p99", "highest p99"),
    )
    codes = report.totals.errors_by_code
    if codes:
        told = ", ".join(f"{code} {count:,}" for code, count in codes.items())
        yield element("p", element("b", "Errors by code: "), told)


def slow_table(lookups: Sequence[SlowLookup], clock: Clock) -> Markup:
    """Single lookups."""
    traced = ["trace"] if any(one.trace_id for one in lookups) else []
    return table(
        [
            "at",
            "lookup",
            "arguments",
            "took",
            "workers asked",
            "the last",
            "why",
            "request",
            *traced,
        ],
        (
            [
                clock.time(one.at),
                one.name,
                one.arguments,
                latency(one.ms),
                str(one.attempts),
                one.worker,
                ", ".join(filter(None, (one.code, one.why))),
                one.request_id,
                *[one.trace_id for _ in traced],
            ]
            for one in lookups
        ),
        {"at": "at", "arguments": "wide", **_numbers("took", "workers asked")},
    )


def event_table(report: Report, clock: Clock) -> Iterator[Markup]:
    """What happened."""
    events = report.events
    count = sum(events.counts.values())
    if not count:
        yield element("p", "Nothing happened that is known.", class_="muted")
        return
    yield element(
        "p", ", ".join(f"{kind} {n:,}" for kind, n in events.counts.items()), class_="muted"
    )
    if count > len(events.shown):
        yield element("p", f"The newest {len(events.shown):,} of {count:,}:")
    yield table(
        ["at", "worker", "what", ""],
        (
            [
                clock.time(one.at),
                one.worker,
                element("span", one.kind, class_=_tone(one.kind)),
                one.text,
            ]
            for one in events.shown
        ),
        {"at": "at", "": "wide"},
    )


def _tone(kind: str) -> str | None:
    return "bad-text" if kind in BAD else "good-text" if kind in GOOD else None


def configuration_list(told: Mapping[str, str]) -> Markup:
    """What a cluster is."""
    return element(
        "dl",
        (
            part
            for name, text in told.items()
            for part in (element("dt", name), element("dd", text))
        ),
    )
