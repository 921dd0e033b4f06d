"""A widget of lines that are made elsewhere, by a pure function, and only drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from console.lines import Line, Tone

TONE_CLASSES = {f"tone--{tone}" for tone in Tone if tone}
"""The component classes by which tones get their colours; see `console/app.tcss`."""


def tone_style(widget: Widget, tone: Tone, base: Style) -> Style:
    """How a tone is drawn on a widget."""
    return base + widget.get_component_rich_style(f"tone--{tone}") if tone else base


def as_strip(widget: Widget, line: Line, width: int, base: Style) -> Strip:
    """A line, drawn; exactly `width` cells of it."""
    segments = []
    for run in line:
        style = tone_style(widget, run.tone, base)
        if run.action:
            style += Style.from_meta({"@click": run.action})
        segments.append(Segment(run.text, style))
    return Strip(segments).crop_extend(0, width, base)


class Drawn(Widget):
    """Draws the lines that it is given. A click on a run with an action does that."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES

    def __init__(self, lines: Sequence[Line] = (), *, id: str) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = tuple(lines)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is drawn."""
        return self._lines

    def draw(self, lines: Sequence[Line]) -> None:
        """Draws other lines; nothing if they are the same."""
        fresh = tuple(lines)
        if fresh != self._lines:
            self._lines = fresh
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of it."""
        base = self.rich_style
        if y < len(self._lines):
            return as_strip(self, self._lines[y], self.size.width, base)
        return Strip.blank(self.size.width, base)

    def on_resize(self, _event: events.Resize) -> None:
        """It is drawn for its size."""
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """Makes the lines anew for the size that there is; for those that depend on it."""
