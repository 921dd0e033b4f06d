"""A report's page and bundle: whole in themselves, the same each time, and text stays text."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.report.bundle import FOLDER, bundle
from nodes.report.charts import count_scale, linear_scale, log_scale
from nodes.report.html import page
from nodes.report.model import Report
from nodes.report.telling import number, share
from nodes.wire import LookupView
from tests.console.fakes import NOON, machine_view
from tests.report.kit import (
    Tags,
    durations,
    event,
    material,
    report_of,
    seconds_of,
    slow_lookup,
    snapshot,
    worker,
)

HOSTILE = "\"'><script>alert(1)</script><img src=http://x/ onerror=x>&lt;\x00\x1b[2J\u202e\ud800"


def report_saying(text: str, **options: Any) -> Report:
    """A report in which whatever comes from outside is that text."""
    views = (
        worker(1, 30, id=text, machine=text, state=text, why=text, program=text, catalog=text),
        worker(2, 5),
    )
    taken = [
        snapshot(
            n,
            workers=views,
            address=text,
            balance=text,
            dataset=text,
            catalogs=(text,),
            program=text,
            activity=text,
            journal_trouble=text if n > 30 else "",
            errors=2,
            errors_by_code={text: 2},
            machines=(machine_view(name=text, lost=text),),
            abilities=(text,),
            durations=(durations(text, n, n),),
            lookups=(LookupView(text, 1.0, 0.3, 2.0, 10, 1, 0),),
            slow=(
                slow_lookup(name=text, arguments=text, worker=text, why=text, request_id=text),
                slow_lookup(NOON + 2, name=text, arguments=text, code=text or "x"),
            ),
        )
        for n in range(0, 61, 5)
    ]
    events = [event(10, text, text, text), event(11, "lost", text, text)]
    found = material(taken, events=events, source=text, missing=lambda: [text])
    return report_of(found, **options)


PLAIN = report_saying("harmless")
HARMLESS = Tags(page(PLAIN))


def check_harmless(report: Report) -> str:
    """Whether a report's texts change nothing of its page but the text; returns the page."""
    drawn = page(report)
    found = Tags(drawn)
    assert [tag for tag in found.names if tag != "br"] == [
        tag for tag in HARMLESS.names if tag != "br"
    ]
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith(("on", "src", "href"))], tag
    drawn.encode()
    return drawn


def test_hostile_text_is_shown_as_text() -> None:
    drawn = check_harmless(report_saying(HOSTILE))
    assert "<script" not in drawn and "<img" not in drawn
    assert not set("\x00\x1b\u202e\ud800") & set(drawn)
    assert "<script>alert(1)</script>" in Tags(drawn).text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=10)
def test_no_text_is_markup(text: str) -> None:
    encoded = msgspec.json.encode(PLAIN)
    other = encoded.replace(b"harmless", msgspec.json.encode(f"a{text}")[1:-1])
    check_harmless(msgspec.json.decode(other, type=Report))


def test_a_page_needs_nothing_else() -> None:
    drawn = page(report_saying("people"))
    for wanted in ("http:", "https:", "url(", "@import", "src=", "href=", "<script", "<link"):
        assert wanted not in drawn
    policies = [
        attributes["content"]
        for tag, attributes in HARMLESS.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "prefers-color-scheme: dark" in drawn and "@media print" in drawn


def test_the_same_report_is_the_same_bytes() -> None:
    one, other = report_saying("people"), report_saying("people")
    assert page(one) == page(other)
    assert bundle(one) == bundle(other)


@pytest.mark.long
def test_a_page_stays_small_whatever_happened_in_a_day() -> None:
    """64 workers, each second another verdict, and an event with a text that grows by escaping."""
    day = 86400
    crowd = tuple(worker(n, n, why="<" * 2000) for n in range(1, 65))
    taken = [snapshot(n, workers=crowd, slow=(slow_lookup(NOON + n),)) for n in range(0, day, 60)]
    [second] = seconds_of([snapshot(1)])
    seconds = (
        msgspec.structs.replace(
            second,
            at=NOON + n,
            answered=n * n,
            p99_ms=n * 7 % 1000 + 0.1,
            level="DEGRADED" if n % 2 else "HEALTHY",
            verdict="<" * 300,
        )
        for n in range(day)
    )
    events = [event(n, ("lost", "reload")[n % 2], f"w{n}", "<" * 2000) for n in range(0, day, 10)]
    report = report_of(material(taken, seconds, events), 0, day)
    assert len(page(report)) < 4_000_000
    assert len(bundle(report)) < 1_000_000
    assert (len(report.events.shown), len(report.verdict.stretches)) == (1000, 100)


def test_a_letter_that_there_is_no_room_for_is_not_explained() -> None:
    taken = [snapshot(n) for n in range(601)]
    events = [event(10, "draining"), event(11, "lost"), event(400, "draining")]
    assert "drains" in page(report_of(material(taken, events=events), last=600))
    assert "drains" not in page(report_of(material(taken, events=events[:2]), last=600))


def test_times_are_told_in_the_zone_that_is_asked_for() -> None:
    drawn = Tags(page(report_saying("people", utc_offset_s=19800))).text
    assert "2025-12-31 17:30:00 to 2025-12-31 17:31:00" in drawn
    assert "UTC+05:30" in drawn


def test_a_bundle_has_all_of_the_report_as_json() -> None:
    report = report_saying(HOSTILE)
    parts: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(bundle(report))) as tar:
        for entry in tar.getmembers():
            assert (entry.uid, entry.mode, entry.mtime) == (0, 0o600, int(report.made_at))
            file = tar.extractfile(entry)
            assert file is not None
            name = entry.name.removeprefix(f"{FOLDER}/").removesuffix(".json")
            parts[name] = json.loads(file.read())
    fields = parts.pop("report") | parts
    assert msgspec.convert(fields, Report, strict=False) == report


def test_what_is_not_known_is_drawn_as_such() -> None:
    [second] = seconds_of([snapshot(1, p50_ms=None, p99_ms=None)])
    older = msgspec.structs.replace(second, level="", verdict="")
    shown = Tags(page(report_of(material(seconds=[older])))).text
    assert "UNKNOWN" in shown and "nothing is known of it" in shown and "No worker" in shown


@pytest.mark.parametrize("highest", [0.0, 0.3, 1.0, 7.0, 40.0, 41.0, 1234.0, 1e12, float("inf")])
def test_a_scale_holds_what_it_is_for(highest: float) -> None:
    for scale in (linear_scale(highest), log_scale(0.2, min(highest, 1e15))):
        assert scale.low < scale.high
        assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
        assert scale.y(scale.high) == 0.0 and scale.y(scale.low) == 100.0
        assert highest == float("inf") or scale.high >= highest * 0.999
    assert all(tick == int(tick) for tick in count_scale(min(highest, 1e9)).ticks)


def test_figures_are_told_in_few_digits() -> None:
    assert [number(n) for n in (0, 0.123, 12.34, 99.97, 1234.5)] == [
        *("0", "0.12", "12.3", "100", "1,234"),
    ]
    assert [share(1, 100_000), share(1, 8), share(0, 8), share(8, 8), share(1, 0)] == [
        *("< 0.01 %", "12.5 %", "0 %", "100 %", "-"),
    ]
    assert share(99_999, 100_000) == "> 99.99 %"
