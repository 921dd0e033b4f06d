"""The charts of the main screen, side by side; and the heat map: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

from console.bars import heat_cell
from console.charts import (
    AXIS_CELLS,
    Mark,
    Values,
    ago,
    chart,
    linear_scale,
    log_scale,
    merged,
    nice_top,
    resample,
    rule,
)
from console.cluster_names import worker_key
from console.histogram import histogram
from console.history import HISTORY_S, TREND_S, Sample, event_marks
from console.lines import Line, Run, Tone, line_width
from console.plan import is_wide
from console.seen import Overview, Seen
from console.text import Glyphs, clean, fit, middle_cut, number, time_of_day
from nodes.support.natural import natural_key
from nodes.support.units import latency, milliseconds
from nodes.wire import WorkerView

GAP_CELLS = 1

SPANS_S = (TREND_S, 2 * TREND_S, 3 * TREND_S, 4 * TREND_S, HISTORY_S)
"""Seconds that a wide chart may show."""

HEAT_ID_CELLS, HEAT_CLUSTER_CELLS, HEAT_MACHINE_CELLS = 8, 8, 10
"""Cells for a worker's id in the heat map, for its cluster and its machine."""

CALM_FACTOR = 10
"""Times the usual latency that the hottest digit is, at least: where all is well, all are cool."""


def chart_lines(seen: Seen, size: tuple[int, int], glyphs: Glyphs) -> list[Line]:
    """Lookups a second, latencies, and on a wide screen their histogram."""
    width, height = size
    span_s = span_of(seen) if is_wide(width) else TREND_S
    now = seen.snapshot.taken_at
    marks = [
        *seen.history.hedge_marks(),
        *event_marks(seen.events),
        *seen.history.error_marks(),
    ]
    if not is_wide(width):
        half = (width - GAP_CELLS) // 2
        parts = [
            (half, _rates(seen, (half, height), now, span_s, marks, glyphs)),
            (width - half - GAP_CELLS, []),
        ]
        parts[1] = (parts[1][0], _latencies(seen, (parts[1][0], height), now, span_s, glyphs))
        return _greyed(beside(parts), old=seen.old)
    third = width * 34 // 100
    last = width - 2 * third - 2 * GAP_CELLS
    parts = [
        (third, _rates(seen, (third, height), now, span_s, marks, glyphs)),
        (third, _latencies(seen, (third, height), now, span_s, glyphs)),
        (last, _histogram(seen, (last, height), glyphs)),
    ]
    return _greyed(beside(parts), old=seen.old)


def span_of(seen: Seen) -> float:
    """Seconds that wide charts show: as long as there is little to show, the time is stretched."""
    samples = seen.history.cluster
    age_s = seen.snapshot.taken_at - samples[0].at if samples else 0.0
    return next((span_s for span_s in SPANS_S if age_s <= span_s), SPANS_S[-1])


def _rates(
    seen: Seen,
    size: tuple[int, int],
    now: float,
    span_s: float,
    marks: Sequence[Mark],
    glyphs: Glyphs,
) -> list[Line]:
    width = size[0] - AXIS_CELLS
    asked = seen.history.points(lambda sample: sample.lookups_per_s + sample.errors_per_s)
    answered = seen.history.points(lambda sample: sample.lookups_per_s)
    high = resample(asked, now, span_s, width)
    return chart(
        f"Lookups/s{_of(seen)}, failed on top" if size[1] >= 4 else "/s",
        high,
        size=size,
        scale=linear_scale(high),
        glyphs=glyphs,
        marks=marks,
        now=now,
        span_s=span_s,
        age_s=seen.age_s,
        end=end_of_time(seen),
        low=resample(answered, now, span_s, width),
        upper=Tone.BAD,
        of=seen.name,
    )


def _of(seen: Seen) -> str:
    """The cluster that a chart is of, where there are several."""
    return f" of {seen.name}" if seen.name else ""


def empty_hint(seen: Seen, keys: str) -> str:
    """The keys that would fill an empty place, while they act."""
    return f": {keys}" if keys and seen.replay_at is None else ""


def end_of_time(seen: Seen) -> str:
    """What the right end of a chart is called."""
    return "now" if seen.replay_at is None else time_of_day(seen.replay_at)


def _latencies(
    seen: Seen, size: tuple[int, int], now: float, span_s: float, glyphs: Glyphs
) -> list[Line]:
    width = size[0] - AXIS_CELLS
    high = resample(seen.history.points(lambda s: s.p99_ms), now, span_s, width, mean=False)
    low = resample(seen.history.points(lambda s: s.p50_ms), now, span_s, width)
    logarithmic = "log" if seen.name else "logarithmic"
    title = f"p99 over p50{_of(seen)}, ms, {logarithmic}" if size[1] >= 4 else "p99"
    return chart(
        title,
        high,
        size=size,
        scale=log_scale(high, low),
        glyphs=glyphs,
        marks=[*seen.history.hedge_marks(), *seen.history.error_marks()],
        now=now,
        span_s=span_s,
        age_s=seen.age_s,
        low=low,
        text=milliseconds,
        end=end_of_time(seen),
        of=seen.name,
    )


def _histogram(seen: Seen, size: tuple[int, int], glyphs: Glyphs) -> list[Line]:
    lines = histogram(seen.snapshot.latencies, (size[0], size[1] - 1), glyphs)
    if not lines:
        hint = empty_hint(seen, seen.keys.traffic_comes)
        lines = [(Run(f"  none in 60 s{hint}", Tone.MUTED),)]
    return [rule(f"Latency{_of(seen)}, ms, 60 s", size[0], glyphs), *lines]


def beside(parts: Sequence[tuple[int, Sequence[Line]]]) -> list[Line]:
    """Blocks of lines, side by side, each as wide as it says."""
    joined: list[Line] = []
    blocks = [lines for _, lines in parts]
    for row in zip_longest(*blocks, fillvalue=()):
        line: list[Run] = []
        for (width, _), part in zip(parts, row, strict=True):
            if line:
                line.append(Run(" " * GAP_CELLS))
            line += part
            line.append(Run(" " * max(0, width - line_width(part))))
        joined.append(tuple(line))
    return joined


def _greyed(lines: list[Line], *, old: bool) -> list[Line]:
    if not old:
        return lines
    return [tuple(Run(run.text, Tone.FAINT) for run in line) for line in lines]


def heat_lines(overview: Overview, size: tuple[int, int], glyphs: Glyphs) -> list[Line]:
    """Workers down, time across: the p99 of each as a digit, high ones in the tone of trouble; and
    their shares below, where there is room for both. Of all clusters, on one scale; each ends at
    the newest that is seen of it.
    """
    width, height = size
    machines = bool(overview.machines_told)
    cells = HEAT_ID_CELLS + HEAT_CLUSTER_CELLS * overview.several + HEAT_MACHINE_CELLS * machines
    room = width - cells - 2
    span_s = max(map(span_of, overview.clusters)) if room >= HISTORY_S / 5 else TREND_S
    workers = sorted(
        (
            (seen, one)
            for seen in overview.clusters
            for one in seen.snapshot.workers
            if one.state != "down"
        ),
        key=lambda of: (not of[1].slow, natural_key(of[0].name), natural_key(of[1].id)),
    )
    if not workers:
        return [(Run("  No worker is up", Tone.MUTED),)]
    grid = _heat_grid(workers, room, span_s, lambda sample: sample.p99_ms)
    values = sorted(value for row in grid for value in row if value is not None)
    if not values or room < 10:
        hint = empty_hint(overview.front, overview.front.keys.lookups_come)
        return [(Run(f"  No latencies of late{hint}", Tone.MUTED),)]
    usual = values[len(values) // 4]
    top = max(values[-1], usual * CALM_FACTOR)
    axis = _heat_axis(overview.front, span_s)
    lines = [_heat_head("p99", f"9 is {latency(top)}", axis, (cells, room))]
    named = [
        _heat_name(seen, one, cells, glyphs, machine=one.machine if machines else "")
        for seen, one in workers[: height - 1]
    ]
    for name, (seen, _), row in zip(named, workers, grid, strict=False):
        tones = [_heat_tone(value, usual, old=seen.old) for value in row]
        lines.append((name, *_heat_cells(row, tones, top, glyphs)))
    rates = _heat_grid(workers, room, span_s, lambda sample: sample.lookups_per_s)
    highest = max((value for row in rates for value in row if value is not None), default=0.0)
    if height >= 2 + 2 * len(workers) and highest:
        end = nice_top(highest)
        lines.append(_heat_head("/s", f"9 is {number(end)}", axis, (cells, room)))
        for name, row in zip(named, rates, strict=False):
            lines.append((name, *_heat_cells(row, [Tone.FAINT] * room, end, glyphs)))
    return lines


def _heat_grid(
    workers: Sequence[tuple[Seen, WorkerView]],
    room: int,
    span_s: float,
    value: Callable[[Sample], float | None],
) -> list[list[float | None]]:
    """A figure of each worker in each place of time."""
    return [
        resample(
            seen.history.worker_points(one.id, value),
            seen.snapshot.taken_at,
            span_s,
            room,
            mean=False,
        )
        for seen, one in workers
    ]


def _heat_axis(front: Seen, span_s: float) -> tuple[str, str]:
    """What the two ends of time are called."""
    return ago(span_s + front.age_s), end_of_time(front) if front.age_s < 1 else ago(front.age_s)


def _heat_head(title: str, scale: str, axis: tuple[str, str], widths: tuple[int, int]) -> Line:
    back, end = axis
    cells, room = widths
    return (
        Run(fit(f"  {title}", cells + 2), Tone.HEADER),
        Run(fit(f"{back}   {scale}", room - len(end)), Tone.HEADER),
        Run(end, Tone.HEADER),
    )


def _heat_name(
    seen: Seen, worker: WorkerView, cells: int, glyphs: Glyphs, *, machine: str = ""
) -> Run:
    """Its id; beside it where it is, as far as that must be told."""
    on = f" {machine}" if machine else ""
    name = middle_cut(clean(f"{worker_key(seen.name, worker.id)}{on}"), cells - 1, glyphs)
    return Run(f"  {fit(name, cells)}", Tone.STRONG)


def _heat_cells(row: Values, tones: Sequence[Tone], top: float, glyphs: Glyphs) -> Line:
    return merged(
        Run(heat_cell(value, top, glyphs), tone) for value, tone in zip(row, tones, strict=True)
    )


def _heat_tone(value: float | None, usual: float, *, old: bool) -> Tone:
    if value is None or old:
        return Tone.FAINT
    if value < usual * 2:
        return Tone.FAINT
    if value > 25 * usual:
        return Tone.BAD
    return Tone.WARNING if value > 5 * usual else Tone.MUTED
