"""From what is seen to what is drawn of it: pure, so that it is tested without a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from rich.cells import cell_len

from console.bars import trend
from console.charts import resample
from console.cluster_names import said_of
from console.commands import BY_NAME
from console.history import TREND_S
from console.keys import Keys
from console.lines import GAP, Field, Line, Tone, fit
from console.seen import Overview, Seen, Unseen
from console.text import Glyphs, clean, clock, number
from nodes.security.expiry import expiry
from nodes.support.units import counted, duration, latency, milliseconds
from nodes.wire import ClusterSnapshot, Level, Verdict
from nodes.wire.conditions import up_here, up_text

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


def head_lines(seen: Overview, width: int, glyphs: Glyphs) -> tuple[Line, Line]:
    """The two lines at the top: what is to be said of each cluster, the worst first, and the
    figures of all together.
    """
    first, *others = sorted(seen.all, key=lambda one: one.verdict.level)
    fields = [*_verdict_fields(first, seen.front), *_other_fields(first, others, width)]
    fields += _place_fields(seen)
    return fit(fields, width), fit(_figure_fields(seen, glyphs), width)


def _verdict_fields(of: Seen | Unseen, front: Seen) -> list[Field]:
    """All that is to be said of one cluster. A key helps the one in front."""
    found = of.verdict
    workers = of.snapshot.workers if isinstance(of, Seen) else ()
    less = any(one.frozen or one.state == "draining" for one in workers)
    purpose = Tone.WARNING if less else Tone.MUTED
    shown_time = ""
    if isinstance(of, Seen) and of.replay_at is not None:
        shown_time = f" REPLAY {clock(of.replay_at)} "
    return [
        Field(shown_time, 101, Tone.FOCUS),
        Field(of.name, 100, Tone.STRONG),
        Field(f" {found.level.word} ", 100, LEVEL_TONES[found.level]),
        Field(clean(found.text, 300), 99, TEXT_TONES[found.level], shrinks=True),
        Field(hint_text(found, front.keys, read_only=front.read_only) if of is front else "", 96),
        Field(clean(found.purpose, 200), 97, purpose, shrinks=True),
    ]


FIRST_TEXT_CELLS = 30
"""Cells for what is said of the worst cluster, before the others are only counted for it."""


def _other_fields(first: Seen | Unseen, others: Sequence[Seen | Unseen], width: int) -> list[Field]:
    """The other clusters, in short: each by its name or, where there is no room for that, how many
    are in which state. What is said of them comes where there is room yet.
    """
    named = [cell_len(one.name) + len(one.verdict.level.word) + 2 + 2 * GAP for one in others]
    used = cell_len(first.name) + len(first.verdict.level.word) + 4 + GAP
    used += min(FIRST_TEXT_CELLS, cell_len(first.verdict.text))
    if used + sum(named) > width:
        levels = [one.verdict.level for one in others]
        return [
            Field(f" {levels.count(level)} {level.word} ", 100, LEVEL_TONES[level])
            for level in dict.fromkeys(levels)
        ]
    fields: list[Field] = []
    for one in others:
        found = one.verdict
        text = "  ".join(filter(None, (found.text, found.purpose)))
        fields += [
            Field(one.name, 100, Tone.STRONG),
            Field(f" {found.level.word} ", 100, LEVEL_TONES[found.level]),
            Field(clean(text, 300), 70, TEXT_TONES[found.level], shrinks=True),
        ]
    return fields


def _place_fields(seen: Overview) -> list[Field]:
    """Where that is: of several clusters, the one in front."""
    front, snapshot = seen.front, seen.front.snapshot
    version = "".join(snapshot.catalogs[:1])[:6]
    dataset = clean(f"{snapshot.dataset}@{version}" if version else snapshot.dataset, 60)
    where, now = "attached to" if front.attached else "hosting", ""
    if front.replay_at is not None:
        where, now = "recorded from", f"now {front.now.level.word}" if front.now else ""
    return [
        Field(now, 100, TEXT_TONES[front.now.level] if front.now else Tone.PLAIN, right=True),
        Field(f"in front {front.name}" if seen.several else "", 61, Tone.MUTED, right=True),
        Field("Rollcall", 10, Tone.MUTED, right=True),
        Field(dataset, 50, Tone.MUTED, right=True),
        Field(counted(snapshot.records, "record"), 20, Tone.MUTED, right=True),
        Field(f"{where} {clean(snapshot.address, 60)}", 60, Tone.MUTED, right=True),
        Field(f"balance {clean(snapshot.balance, 20)}", 12, Tone.MUTED, right=True),
        Field(duration(snapshot.uptime_s), 40, Tone.MUTED, right=True),
    ]


def _figure_fields(seen: Overview, glyphs: Glyphs) -> list[Field]:
    """The figures of those clusters whose figures are not old; of all of them, if all are."""
    fresh = [one for one in seen.clusters if not one.old] or seen.clusters
    now = summed([one.snapshot for one in fresh])
    failed = Tone.BAD if now.errors_per_s else Tone.PLAIN
    fields = [
        Field(_rate_text(now), 90, Tone.STRONG),
        Field(f"(mean {number(round(now.mean_lookups_per_s, 1))})", 30, Tone.MUTED),
        Field("" if seen.several else f"p50 {milliseconds(now.p50_ms)}", 80),
        Field(_p99_text(fresh), 85),
        Field(f"err {number(round(now.errors_per_s, 1))}/s", 95, failed),
        Field(f"in flight {now.in_flight}", 60),
        Field(f"waiting {now.waiting}", 50 if now.waiting else 20),
        Field(up_text(now), 88),
        *(
            Field(clean(said_of(one.name, one.traffic), 60) if one.traffic else "", 70)
            for one in fresh
        ),
        Field(f"failed {number(now.errors)}" if now.errors else "", 45),
        Field(f"hedges {number(now.hedges)}", 18, Tone.MUTED),
        Field(f"reroutes {number(now.reroutes)}", 16, Tone.MUTED),
        Field(f"answered {now.answered}", 15, Tone.MUTED),
        Field(expiry(now.tls_expires_at, now.taken_at), 65, Tone.WARNING),
        Field("" if seen.several else _spark(seen.front, glyphs), 14, Tone.MUTED),
    ]
    summed_up = {one.name for one in fresh}
    missing = [one.name for one in seen.all if one.name not in summed_up]
    if missing:
        without = f"without {', '.join(missing)}"
        fields.insert(0, Field(without, 100, Tone.WARNING, shrinks=True))
    if all(one.old for one in fresh):
        age_s = max(one.age_s for one in fresh)
        age = Field(f"figures of {duration(age_s)} ago", 100, Tone.FAINT)
        return [age, *(field._replace(tone=Tone.FAINT) for field in fields)]
    return fields


def summed(snapshots: Sequence[ClusterSnapshot]) -> ClusterSnapshot:
    """One snapshot of several clusters: their sums, where a sum is a figure. It has no percentile,
    as those of parts have none of the whole. Of a single one, itself.
    """
    first, *more = snapshots
    if not more:
        return first

    def total(figure: Callable[[ClusterSnapshot], float]) -> float:
        return sum(map(figure, snapshots))

    def count(figure: Callable[[ClusterSnapshot], int]) -> int:
        return sum(map(figure, snapshots))

    unwanted = any(one.wanted_workers is None for one in snapshots)
    return msgspec.structs.replace(
        first,
        lookups_per_s=total(lambda one: one.lookups_per_s),
        mean_lookups_per_s=total(lambda one: one.mean_lookups_per_s),
        errors_per_s=total(lambda one: one.errors_per_s),
        p50_ms=None,
        p99_ms=None,
        in_flight=count(lambda one: one.in_flight),
        waiting=count(lambda one: one.waiting),
        # One that has more than it wants makes up for none that lacks some.
        wanted_workers=None
        if unwanted
        else count(lambda one: max(one.wanted_workers or 0, up_here(one))),
        answered=count(lambda one: one.answered),
        errors=count(lambda one: one.errors),
        hedges=count(lambda one: one.hedges),
        reroutes=count(lambda one: one.reroutes),
        tls_expires_at=min(
            (one.tls_expires_at for one in snapshots if one.tls_expires_at is not None),
            default=None,
        ),
        workers=tuple(worker for one in snapshots for worker in one.workers),
    )


def _p99_text(seen: Sequence[Seen]) -> str:
    """The p99; of several clusters, the highest: that of all together is no more."""
    worst = max(seen, key=lambda one: one.snapshot.p99_ms or 0.0)
    text = f"p99 {latency(worst.snapshot.p99_ms)}"
    return f"{text} of {worst.name}" if worst.name and worst.snapshot.p99_ms else text


def _rate_text(now: ClusterSnapshot) -> str:
    return f"{number(round(now.lookups_per_s, 1))}/s"


def _spark(seen: Seen, glyphs: Glyphs) -> str:
    """The rate of the last minute: for screens that have no room for a chart."""
    points = seen.history.points(lambda sample: sample.lookups_per_s)
    values = resample(points, seen.snapshot.taken_at, TREND_S, 20)
    top = max((value for value in values if value is not None), default=0.0)
    return trend(values, top, glyphs)
