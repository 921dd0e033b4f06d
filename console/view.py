"""From what is seen to what is drawn of it: pure, so that it is tested without a screen."""

from __future__ import annotations

from collections.abc import Sequence

from console.charts import resample, trend
from console.commands import BY_NAME
from console.history import TREND_S
from console.keys import Keys
from console.lines import Field, Line, Tone, fit
from console.seen import Seen
from console.states import is_up, live
from console.text import Glyphs, clean, clock, number, time_of_day
from console.widgets.rows import Column, Row
from nodes.security.expiry import expiry
from nodes.support.units import counted, duration, latency, milliseconds
from nodes.wire import ClusterSnapshot, Level, SlowLookup, Verdict

LEVEL_TONES = {
    Level.OUTAGE: Tone.BAD_BLOCK,
    Level.MASTER_LOST: Tone.BAD_BLOCK,
    Level.DEGRADED: Tone.WARNING_BLOCK,
    Level.STARTING: Tone.WARNING_BLOCK,
    Level.HEALTHY: Tone.GOOD_BLOCK,
}

TEXT_TONES = {
    Level.OUTAGE: Tone.BAD,
    Level.MASTER_LOST: Tone.BAD,
    Level.DEGRADED: Tone.WARNING,
    Level.STARTING: Tone.PLAIN,
    Level.HEALTHY: Tone.PLAIN,
}


def hint_text(found: Verdict, keys: Keys, *, read_only: bool) -> str:
    """The key that helps, "" for none."""
    command = BY_NAME.get(found.hint)
    if command is None or read_only:
        return ""
    return f"({keys.typed(command.name)} {command.label.lower()}s)"


def head_lines(seen: Seen, width: int, glyphs: Glyphs) -> tuple[Line, Line]:
    """The two lines at the top: what is to be said of the cluster, and its figures."""
    return fit(_verdict_fields(seen), width), fit(_figure_fields(seen, glyphs), width)


def _verdict_fields(seen: Seen) -> list[Field]:
    found, snapshot = seen.verdict, seen.snapshot
    version = "".join(snapshot.catalogs[:1])[:6]
    dataset = clean(f"{snapshot.dataset}@{version}" if version else snapshot.dataset, 60)
    less = any(one.frozen or one.state == "draining" for one in snapshot.workers)
    purpose = Tone.WARNING if less else Tone.MUTED
    where = "attached to" if seen.attached else "hosting"
    shown_time, now = "", ""
    if seen.replay_at is not None:
        where, shown_time = "recorded from", f" REPLAY {clock(seen.replay_at)} "
        now = f"now {seen.now.level.word}" if seen.now is not None else ""
    return [
        Field(shown_time, 101, Tone.FOCUS),
        Field(f" {found.level.word} ", 100, LEVEL_TONES[found.level]),
        Field(clean(found.text, 300), 99, TEXT_TONES[found.level], shrinks=True),
        Field(hint_text(found, seen.keys, read_only=seen.read_only), 96),
        Field(clean(found.purpose, 200), 97, purpose, shrinks=True),
        Field(now, 100, TEXT_TONES[seen.now.level] if seen.now else Tone.PLAIN, right=True),
        Field("Rollcall", 10, Tone.MUTED, right=True),
        Field(dataset, 50, Tone.MUTED, right=True),
        Field(counted(snapshot.records, "record"), 20, Tone.MUTED, right=True),
        Field(f"{where} {clean(snapshot.address, 60)}", 60, Tone.MUTED, right=True),
        Field(f"balance {clean(snapshot.balance, 20)}", 12, Tone.MUTED, right=True),
        Field(duration(snapshot.uptime_s), 40, Tone.MUTED, right=True),
    ]


def _figure_fields(seen: Seen, glyphs: Glyphs) -> list[Field]:
    now = seen.snapshot
    failed = Tone.BAD if now.errors_per_s else Tone.PLAIN
    fields = [
        Field(_rate_text(now), 90, Tone.STRONG),
        Field(f"(mean {number(round(now.mean_lookups_per_s, 1))})", 30, Tone.MUTED),
        Field(f"p50 {milliseconds(now.p50_ms)}", 80),
        Field(f"p99 {latency(now.p99_ms)}", 85),
        Field(f"err {number(round(now.errors_per_s, 1))}/s", 95, failed),
        Field(f"in flight {now.in_flight}", 60),
        Field(f"waiting {now.waiting}", 50 if now.waiting else 20),
        Field(up_text(now), 88),
        Field(clean(seen.traffic, 60), 70),
        Field(f"failed {number(now.errors)}" if now.errors else "", 45),
        Field(f"hedges {number(now.hedges)}", 18, Tone.MUTED),
        Field(f"reroutes {number(now.reroutes)}", 16, Tone.MUTED),
        Field(f"answered {now.answered}", 15, Tone.MUTED),
        Field(expiry(now.tls_expires_at, now.taken_at), 65, Tone.WARNING),
        Field(_spark(seen, glyphs), 14, Tone.MUTED),
    ]
    if seen.old:
        age = Field(f"figures of {duration(seen.age_s)} ago", 100, Tone.FAINT)
        return [age, *(field._replace(tone=Tone.FAINT) for field in fields)]
    return fields


def _rate_text(now: ClusterSnapshot) -> str:
    return f"{number(round(now.lookups_per_s, 1))}/s"


def _spark(seen: Seen, glyphs: Glyphs) -> str:
    """The rate of the last minute: for screens that have no room for a chart."""
    points = seen.history.points(lambda sample: sample.lookups_per_s)
    values = resample(points, seen.snapshot.taken_at, TREND_S, 20)
    top = max((value for value in values if value is not None), default=0.0)
    return trend(values, top, glyphs)


def up_text(snapshot: ClusterSnapshot) -> str:
    """How many workers are up, of those that are wanted; those that run elsewhere, whom nobody
    here can want, apart.
    """
    up = [worker for worker in snapshot.workers if is_up(worker)]
    if snapshot.wanted_workers is None:
        return f"up {len(up)}"
    local = sum(worker.local for worker in up)
    elsewhere = f" + {len(up) - local} elsewhere" if local < len(up) else ""
    return f"up {local} of {snapshot.wanted_workers}{elsewhere}"


# -- the other panels ----------------------------------------------------------------

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


def lowest_lines(snapshot: ClusterSnapshot) -> int:
    """Lines that lookups by name, and a heat map beside them, would fill."""
    rows = max(len(snapshot.lookups), len(live(snapshot.workers)), 2)
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
                    clean(f"{one.name} {one.arguments}", 200),
                ),
                order=(one.at, one.ms, one.attempts, one.worker, why, one.name),
                tones=(Tone.MUTED, Tone.STRONG, Tone.PLAIN, Tone.PLAIN, _why_tone(one)),
            )
        )
    return rows


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
