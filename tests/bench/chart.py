"""A small picture of measured lines, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 310, 220
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 52, 34
RATE, LATENCY = "#1f6feb", "#d1481f"


class Panel(NamedTuple):
    """Lookups a second, and the median latency in seconds, over `xs`."""

    title: str
    xs: Sequence[int]
    rates: Sequence[float]
    latencies: Sequence[float]


def draw(panels: Sequence[Panel]) -> str:
    """The picture: a panel beside the other, each with two lines on logarithmic scales."""
    rates = _decades([rate for panel in panels for rate in panel.rates])
    micros = _decades([latency * 1e6 for panel in panels for latency in panel.latencies])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(panels)}" '
        f'height="{2 * HEIGHT}" font-family="sans-serif" font-size="11" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        left = number * WIDTH
        parts += _plot(left, 0, panel, panel.rates, rates, "lookups a second", RATE)
        micro = [latency * 1e6 for latency in panel.latencies]
        parts += _plot(left, HEIGHT, panel, micro, micros, "median latency, us", LATENCY)
    return "\n".join([*parts, "</svg>", ""])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all of them. What is under one, none at all even, counts as one."""
    logs = [math.log10(max(value, 1.0)) for value in values]
    low = math.floor(min(logs))
    return low, max(low + 1, math.ceil(max(logs)))


def _plot(
    left: int,
    top: int,
    panel: Panel,
    ys: Sequence[float],
    ends: tuple[int, int],
    what: str,
    colour: str,
) -> list[str]:
    """One plot. Its x values stand apart evenly: they are few, and each has its label."""
    bottom, right = top + HEIGHT - BOTTOM, left + WIDTH - RIGHT
    low, high = ends
    scale = (bottom - top - TOP) / (high - low)
    step = (right - left - LEFT - 30) / max(1, len(panel.xs) - 1)
    points = [
        (left + LEFT + 15 + step * index, bottom - (math.log10(max(y, 1.0)) - low) * scale)
        for index, y in enumerate(ys)
    ]
    parts = [
        f'<text x="{left + LEFT}" y="{top + 20}" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{left + LEFT}" y="{top + 36}" fill="{colour}">{escape(what)}</text>',
    ]
    for power in range(low, high + 1):
        y = bottom - (power - low) * scale
        parts += [
            f'<path d="M{left + LEFT} {y:.1f}H{right}" stroke="#ddd"/>',
            f'<text x="{left + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>',
        ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    for (x, y), size, value in zip(points, panel.xs, ys, strict=True):
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>',
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:,.0f}</text>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{size:,}</text>',
        ]
    return parts
