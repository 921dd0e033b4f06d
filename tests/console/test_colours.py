"""Colours that can be read: in every theme, dark and light."""

from __future__ import annotations

import pytest
from rich.color import Color
from rich.style import Style

from console.lines import Tone
from tests.console.fakes import FakeCluster, Shown, cluster_snapshot, run, shown, worker_view

LEAST_CONTRAST = 4.5
"""Between a text and what is behind it, as WCAG 2 has it."""

READ = [tone for tone in Tone if tone and tone not in (Tone.FAINT, Tone.BAR, Tone.GRID)]
"""Those in which something is said that must be read; what is faint is there to be passed over."""


def luminance(colour: Color) -> float | None:
    """How bright a colour is, as WCAG 2 has it; None for the terminal's own."""
    if colour.triplet is None:
        return None
    parts = (value / 255 for value in colour.triplet)
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    """The contrast of a style; infinite where the terminal's own colours are used."""
    if style.color is None or style.bgcolor is None:
        return float("inf")
    text, behind = luminance(style.color), luminance(style.bgcolor)
    if text is None or behind is None:
        return float("inf")
    return (max(text, behind) + 0.05) / (min(text, behind) + 0.05)


def too_faint(console: Shown) -> dict[str, float]:
    """The tones of the worker list that cannot be read."""
    table = console.table
    shown = {tone: contrast(table.get_component_rich_style(f"tone--{tone}")) for tone in READ}
    return {tone: round(ratio, 1) for tone, ratio in shown.items() if ratio < LEAST_CONTRAST}


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_every_tone_can_be_read_in_every_theme(every: bool) -> None:
    async def test() -> None:
        async with shown(FakeCluster(cluster_snapshot([worker_view(1)]))) as console:
            found = {}
            usual = (console.app.theme, "textual-light")
            for name in console.app.available_themes if every else usual:
                console.app.theme = name
                await console.pilot.pause()
                if faint := too_faint(console):
                    found[name] = faint
            assert found == {}

    run(test)
