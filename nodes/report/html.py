"""A report as one page of HTML, which needs nothing else: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nodes.report.charts import (
    Axes,
    Curve,
    band,
    chart,
    count_scale,
    letters,
    linear_scale,
    log_scale,
)
from nodes.report.columns import MAX_GAP_S
from nodes.report.event_tally import MEANINGS
from nodes.report.markup import Markup, element
from nodes.report.model import Report, Series
from nodes.report.tables import (
    configuration_list,
    event_table,
    latency_table,
    lookup_table,
    slow_table,
    stretch_table,
    worker_table,
)
from nodes.report.telling import Clock, number, said, share
from nodes.support.units import duration, latency
from nodes.wire import Level

STYLE = Path(__file__).with_name("page.css")

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing."""


def page(report: Report) -> str:
    """The page; the same for the same report."""
    clock = Clock(report.utc_offset_s, report.first, report.last)
    axes = Axes.of(report, clock)
    title = f"Rollcall report, {report.configuration.get('dataset', 'unknown dataset')}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}, {clock.full(report.first)}"),
        element("style", Markup(STYLE.read_text())),
    )
    body = element("body", _lead(report, clock, title), _sections(report, axes, clock))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sections(report: Report, axes: Axes, clock: Clock) -> Iterator[Markup]:
    yield _section("The verdict over time", *_verdict(report, axes, clock))
    yield _section("Over time", *_charts(report, axes, clock))
    if any(count for _, count in report.latencies):
        yield _section("How long lookups took", latency_table(report.latencies))
    yield _section("Workers", *worker_table(report))
    if report.lookups:
        yield _section("Lookups", *lookup_table(report))
    if report.failed:
        yield _section("Lookups that failed, newest first", slow_table(report.failed, clock))
    if report.slow:
        yield _section("The slowest lookups", slow_table(report.slow, clock))
    yield _section("Events", *event_table(report, clock))
    if report.configuration:
        yield _section("Configuration", configuration_list(report.configuration))


def _section(title: str, *content: str) -> Markup:
    return element("section", element("h2", title), content)


def _lead(report: Report, clock: Clock, title: str) -> Iterator[Markup]:
    verdict = report.verdict
    span = duration(report.last - report.first)
    yield element("h1", title)
    yield element(
        "p",
        f"{clock.full(report.first)} to {clock.full(report.last)} ({span}), times in {clock.zone}. "
        f"From {report.source}; made at {clock.full(report.made_at)} by Rollcall {report.program}.",
        class_="muted",
    )
    yield element(
        "div",
        element("b", _word(verdict.level)),
        said(verdict.words),
        element("div", _as_of(report, clock), class_="muted"),
        class_=f"verdict {verdict.level.lower()}",
    )
    tiles = _tiles(report)
    yield element(
        "div",
        (element("div", element("b", value), element("span", name)) for name, value in tiles),
        class_="tiles",
    )
    if report.notes:
        yield element("ul", (element("li", note) for note in report.notes), class_="muted")


def _as_of(report: Report, clock: Clock) -> str:
    at = report.verdict.at
    silent_s = report.last - at
    silence = f"; nothing was written down in the {duration(silent_s)} after it"
    return f"as of {clock.full(at)}{silence if silent_s > MAX_GAP_S else ''}"


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    totals, charts = report.totals, report.charts
    asked = totals.answered + totals.errors
    yield "lookups answered", f"{totals.answered:,}"
    yield f"failed, {share(totals.errors, asked)}", f"{totals.errors:,}"
    yield "lookups/s, at the highest", _peak(charts.lookups_per_s, number)
    yield "p99 of 10 s, at the highest", _peak(charts.p99_ms, latency)
    yield "p99 of all, at most", "-" if totals.p99_ms is None else latency(totals.p99_ms[1])
    yield "reroutes", f"{totals.reroutes:,}"
    yield "hedges", f"{totals.hedges:,}"
    yield "workers up", _between(charts.workers_up)


def _peak(series: Series, text: Callable[[float], str]) -> str:
    return "-" if series.peak is None else text(series.peak.value)


def _between(series: Series) -> str:
    known = [one for one in series.columns if one is not None]
    if not known:
        return "-"
    low, high = min(one[0] for one in known), max(one[2] for one in known)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _word(level: str) -> str:
    return Level[level].word if level in Level.__members__ else "UNKNOWN"


def _verdict(report: Report, axes: Axes, clock: Clock) -> Iterator[Markup]:
    verdict = report.verdict
    yield band(axes, report.charts.levels)
    whole = report.last - report.first
    lasted = [(level.name, level.word, verdict.seconds.get(level.name, 0.0)) for level in Level]
    told = [*lasted, ("unknown", "nothing written down", verdict.unknown_s)]
    yield element(
        "div",
        (
            element(
                "span",
                element("i", class_=kind.lower()),
                f"{word} {duration(seconds)} ({share(seconds, whole)})",
            )
            for kind, word, seconds in told
            if seconds >= 2
        ),
        class_="key",
    )
    shown = {mark.letter: mark.bad for mark, _ in letters(axes)}
    if shown:
        yield element(
            "div",
            (
                element(
                    "span",
                    element("b", letter, class_="bad" if shown[letter] else None),
                    f" {meaning}",
                )
                for letter, meaning in MEANINGS.items()
                if letter in shown
            ),
            class_="key",
        )
    yield from stretch_table(verdict, clock)


def _charts(report: Report, axes: Axes, clock: Clock) -> Iterator[Markup]:
    charts, totals = report.charts, report.totals

    def highest(series: Series, text: Callable[[float], str] = number) -> str:
        if series.peak is None:
            return ""
        return f"highest {_peak(series, text)} at {clock.time(series.peak.at)}"

    yield element(
        "p",
        f"Each column is {duration(charts.step_s)}: the line is the mean of its seconds, the area "
        "reaches from the lowest to the highest of them."
        + (" Dashed lines are the events above." if axes.marks and axes.marks_are_few else ""),
        class_="muted",
    )
    rate, errors = charts.lookups_per_s, charts.errors_per_s
    p50, p99, up = charts.p50_ms, charts.p99_ms, charts.workers_up
    failed = f"{totals.errors:,} failed, {highest(errors)}" if totals.errors else "none failed"
    late = f"of the 10 s before each second; p99 {highest(p99, latency)}" if p99.peak else ""
    yield from (
        chart(axes, title, told, curves, scale)
        for title, told, curves, scale in (
            ("lookups/s", highest(rate), [Curve(rate, "rate")], linear_scale(_top(rate))),
            ("errors/s", failed, [Curve(errors, "errors")], linear_scale(_top(errors))),
            (
                "p50 and p99 in ms",
                late,
                [Curve(p99, "p99"), Curve(p50, "p50")],
                log_scale(*_ends(p50, p99)),
            ),
            ("workers up", _between(up), [Curve(up, "up")], count_scale(_top(up))),
        )
    )


def _top(series: Series) -> float:
    return series.peak.value if series.peak is not None else 0.0


def _ends(*some: Series) -> tuple[float, float]:
    known = [one for series in some for one in series.columns if one is not None]
    return min((one[0] for one in known), default=0.1), max((one[2] for one in known), default=1.0)
