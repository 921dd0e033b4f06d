"""The tables of lookups, by name and of the slow ones, from what is seen; pure."""

from __future__ import annotations

from collections.abc import Sequence

from console.bars import trend
from console.charts import resample
from console.history import TREND_S
from console.lines import Tone
from console.seen import Overview, Seen
from console.states import live
from console.text import Glyphs, clean, number, time_of_day
from console.widgets.rows import Column, Row
from nodes.support.units import milliseconds
from nodes.wire import SlowLookup

SLOW_COLUMNS = (
    Column("TIME", 8),
    Column("MS", 6, right=True),
    Column("TRIES", 5, right=True),
    Column("ID", 6),
    Column("WHY", 14),
    Column("LOOKUP", 120),
)

LOOKUP_COLUMNS = (
    Column("LOOKUP", 14),
    Column("/S", 5, right=True),
    Column("P50", 5, right=True),
    Column("P99", 5, right=True),
    Column("FOUND", 5, right=True),
    Column("EMPTY", 5, right=True),
    Column("FAIL", 5, right=True),
)

MIN_TREND_CELLS = 6


MAX_LOWEST_LINES = 10
"""Lines that lookups by name and the heat map have at most, before the charts have more."""


def lowest_lines(seen: Overview) -> int:
    """Lines that lookups by name, and a heat map beside them, would fill."""
    workers = sum(len(live(one.snapshot.workers)) for one in seen.clusters)
    rows = max(len(seen.front.snapshot.lookups), workers, 2)
    return min(MAX_LOWEST_LINES, 1 + rows)


def lookup_columns(width: int) -> list[Column]:
    """The columns of lookups by name: a trend where there is room for one."""
    room = width - 2 - sum(column.width + 1 for column in LOOKUP_COLUMNS)
    if room < MIN_TREND_CELLS:
        return list(LOOKUP_COLUMNS)
    return [
        *LOOKUP_COLUMNS,
        Column("60 S, ONE SCALE" if room >= 15 else "60 S", room, sorted_as="60 S"),
    ]


def slow_rows(slow: Sequence[SlowLookup]) -> list[Row]:
    """A row for each of the slowest, and of those that failed."""
    rows = []
    for index, one in enumerate(slow):
        why = clean(one.code or one.why, 40)
        rows.append(
            Row(
                key=f"{one.at} {index}",
                cells=(
                    time_of_day(one.at),
                    milliseconds(one.ms),
                    str(one.attempts),
                    clean(one.worker, 20) or "-",
                    why or "-",
                    clean(_asked(one), 200),
                ),
                order=(one.at, one.ms, one.attempts, one.worker, why, one.name),
                tones=(Tone.MUTED, Tone.STRONG, Tone.PLAIN, Tone.PLAIN, _why_tone(one)),
            )
        )
    return rows


def _asked(one: SlowLookup) -> str:
    trace = f"  (trace {one.trace_id})" if one.trace_id else ""
    return f"{one.name} {one.arguments}{trace}"


def _why_tone(one: SlowLookup) -> Tone:
    return Tone.BAD if one.code else Tone.WARNING if one.why else Tone.PLAIN


def lookup_rows(seen: Seen, columns: Sequence[Column], glyphs: Glyphs) -> list[Row]:
    """A row for each name of a lookup."""
    lookups = seen.snapshot.lookups
    points = {one.name: seen.history.lookup_points(one.name) for one in lookups}
    lately = (point for of_name in points.values() for point in of_name[-int(TREND_S) :])
    top = max((point.value or 0.0 for point in lately), default=0.0)
    width = columns[-1].width if len(columns) > len(LOOKUP_COLUMNS) else 0

    def drawn(name: str) -> str:
        values = resample(points[name], seen.snapshot.taken_at, TREND_S, width)
        return trend(values, top, glyphs)

    return [
        Row(
            key=one.name,
            cells=(
                clean(one.name, 40),
                number(round(one.per_s, 1)),
                milliseconds(one.p50_ms),
                milliseconds(one.p99_ms),
                number(one.answered - one.empty),
                number(one.empty),
                number(one.errors),
                drawn(one.name),
            ),
            order=(
                one.name,
                one.per_s,
                one.p50_ms,
                one.p99_ms,
                one.answered - one.empty,
                one.empty,
                one.errors,
                one.per_s,
            ),
            tones=(
                Tone.STRONG,
                *[Tone.PLAIN] * 5,
                Tone.BAD if one.errors else Tone.FAINT,
                Tone.BAR,
            ),
        )
        for one in lookups
    ]
