"""Colours of states that can be read on any theme's background; pure."""

from __future__ import annotations

from collections.abc import Mapping

from textual.color import Color, ColorParseError

LEAST_CONTRAST = 4.5
"""Between a text and what is behind it, as WCAG 2 has it."""

STEPS = 20
"""Steps from a colour to black or white."""

STATES = {"state-good": "success", "state-warning": "warning", "state-bad": "error"}
"""The variables for states, and the theme's own that they begin from."""


def luminance(colour: Color) -> float:
    """How bright a colour is to the eye, from 0 to 1."""
    parts = (value / 255 for value in colour.rgb)
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    """How well one can be told from the other, from 1 to 21."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def readable(colour: Color, *behind: Color, least: float = LEAST_CONTRAST) -> Color:
    """The nearest to a colour, on its way to black or white, that can be read on all of these."""
    dark = luminance(behind[0]) < 0.18
    end = Color(255, 255, 255) if dark else Color(0, 0, 0)
    for step in range(STEPS + 1):
        tried = colour.blend(end, step / STEPS)
        if min(contrast(tried, one) for one in behind) >= least:
            return tried
    return end


def console_colours(variables: Mapping[str, str]) -> dict[str, str]:
    """The colours of texts and states for a theme of these variables, such that they can be read
    on its background, and on a row with the cursor.
    """
    own = {"console-text": "foreground", "console-muted": "foreground", **STATES}
    try:
        behind = Color.parse(variables["background"])
        found = {name: Color.parse(variables[base]) for name, base in own.items()}
    except (ColorParseError, KeyError):
        return {name: variables.get(base, "ansi_default") for name, base in own.items()}
    if any(colour.ansi is not None for colour in (behind, *found.values())):
        return {name: variables[base] for name, base in own.items()}
    row = behind.blend(found["console-text"], CURSOR_PART)
    found["console-muted"] = found["console-muted"].blend(behind, MUTED_PART)
    return {name: readable(colour, behind, row).hex for name, colour in found.items()}


CURSOR_PART = 0.18
"""How much of the foreground is in the background of the row with the cursor."""

MUTED_PART = 0.2
"""How much of the background is in what matters less."""
