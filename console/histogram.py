"""The histogram of latencies, a waterfall: each bar begins where the one above it ends; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from console.charts import merged
from console.lines import Line, Run, Tone
from console.text import Glyphs, fit, number
from nodes.support.units import milliseconds

LABEL_CELLS, FIGURE_CELLS = 6, 10


def histogram(
    latencies: Sequence[tuple[float, int]], size: tuple[int, int], glyphs: Glyphs
) -> list[Line]:
    """Bars of a latency histogram, quickest first, each with how many and which part it has. Before
    a bar is what was quicker: where it ends is the part that took no longer.

    Args:
        latencies: the upper bound of each bucket in milliseconds, and how many are in it.
        size: cells and lines that it takes.
        glyphs: what the terminal can show.
    """
    width, height = size
    buckets = _joined([bucket for bucket in latencies if bucket[1]], height)
    total = sum(amount for _, amount in buckets)
    room = max(1, width - LABEL_CELLS - FIGURE_CELLS - 1)
    lines: list[Line] = []
    before = 0
    for bound, amount in buckets:
        label = f"<{milliseconds(bound)}" if math.isfinite(bound) else "more"
        start = min(room - 1, before * room // total)
        before += amount
        end = max(start + 1, round(before / total * room))
        part = amount / total
        share = f"{part:.0%}" if part >= 0.01 else "<1%"
        lines.append(
            merged(
                (
                    Run(f"{fit(label, LABEL_CELLS, right=True)} ", Tone.MUTED),
                    Run(glyphs.shade * start, Tone.FAINT),
                    Run(glyphs.bar * (end - start), Tone.BAR),
                    Run(" " * (room - end)),
                    Run(f"{fit(number(amount), 5, right=True)} ", Tone.MUTED),
                    Run(fit(share, FIGURE_CELLS - 6, right=True)),
                )
            )
        )
    return lines


def _joined(buckets: Sequence[tuple[float, int]], most: int) -> list[tuple[float, int]]:
    """At most that many buckets: neighbours are joined."""
    if not buckets or most <= 0:
        return []
    each = math.ceil(len(buckets) / most)
    groups = [buckets[start : start + each] for start in range(0, len(buckets), each)]
    return [(group[-1][0], sum(amount for _, amount in group)) for group in groups]
