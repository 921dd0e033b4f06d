"""The parts that draw what is seen: head, charts, heat map; and the heads of the panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.reactive import reactive

from console.charts_view import chart_lines, heat_lines
from console.lines import Field, Line, Run, Tone, fit, line_width, plain
from console.plan import MIN_HEIGHT, MIN_WIDTH, PANELS, TITLES, Part, Plan, is_wide
from console.seen import Overview
from console.text import Glyphs
from console.text import fit as fit_text
from console.view import head_lines
from console.widgets.drawn import Drawn


class SeenDrawn(Drawn):
    """Draws something of what is seen, anew whenever that changes."""

    seen: reactive[Overview | None] = reactive(None, repaint=False, always_update=True)

    def __init__(self, part: Part, glyphs: Glyphs) -> None:
        super().__init__(id=part)
        self.glyphs = glyphs

    def watch_seen(self) -> None:
        """It changed."""
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """Makes the lines anew."""
        if self.seen is not None and self.size.area and self.display:
            self.draw(self.lines_of(self.seen))

    def lines_of(self, seen: Overview) -> Sequence[Line]:
        """What is drawn of it."""
        raise NotImplementedError


class Head(SeenDrawn):
    """The two lines at the top; before there is anything to see, what is awaited."""

    def lines_of(self, seen: Overview) -> Sequence[Line]:
        """See `console.view.head_lines`."""
        return head_lines(seen, self.size.width, self.glyphs)

    def show_start(self, text: str, *, failed: bool = False) -> None:
        """Says what is awaited, or why there is nothing to come; nothing once there is."""
        if self.seen is not None:
            return
        tone = Tone.BAD_BLOCK if failed else Tone.WARNING_BLOCK
        word = "FAILED" if failed else "STARTING"
        whole = len(word) + len(text) + 6 <= self.size.width
        fields = [
            Field(f" {word} ", 10, tone),
            Field(text, 1, Tone.PLAIN, "app.message", shrinks=True),
            Field("" if whole else "! shows all", 8, Tone.MUTED, "app.message", right=True),
        ]
        self.draw([fit(fields, self.size.width)])


class Charts(SeenDrawn):
    """Charts over time."""

    def lines_of(self, seen: Overview) -> Sequence[Line]:
        """See `console.charts_view.chart_lines`; of the cluster in front."""
        return chart_lines(seen.front, (self.size.width, self.size.height), self.glyphs)


class HeatMap(SeenDrawn, can_focus=True):
    """Workers down, time across."""

    def lines_of(self, seen: Overview) -> Sequence[Line]:
        """See `console.charts_view.heat_lines`."""
        return heat_lines(seen, (self.size.width, self.size.height), self.glyphs)


class TooSmall(Drawn):
    """Says how large the screen must be."""

    def arrange_lines(self) -> None:
        """One line, as much of it as there is room for."""
        text = f"Rollcall needs {MIN_WIDTH}x{MIN_HEIGHT}: make the terminal larger (q quits)"
        width = max(1, self.size.width)
        pieces = [text[start : start + width] for start in range(0, len(text), width)]
        self.draw([plain(piece) for piece in pieces[: max(1, self.size.height)]])


class Tab(NamedTuple):
    """A panel that a head names: its digit, its title, and how many there are in it."""

    part: Part
    digit: str
    title: str
    amount: str = ""


def tabs_for(plan: Plan, width: int) -> dict[Part, list[Tab]]:
    """The panels that each head below the workers names."""
    tabs = {part: Tab(part, digit, TITLES[part]) for digit, part in PANELS.items()}
    ask, events, heat = tabs[Part.ANSWER], tabs[Part.EVENTS], tabs[Part.HEAT]
    figures = [tabs[Part.SLOW], tabs[Part.LOOKUPS]]
    if Part.LEFT_LOWER_TABS in plan:
        return {
            Part.LEFT_TABS: [ask],
            Part.RIGHT_TABS: [events],
            Part.LEFT_LOWER_TABS: figures,
            Part.RIGHT_LOWER_TABS: [heat],
        }
    if is_wide(width) and Part.WORKERS in plan:
        return {Part.LEFT_TABS: [ask, *figures], Part.RIGHT_TABS: [events, heat]}
    answer = Tab(Part.ANSWER, "", "Answer")
    return {Part.LEFT_TABS: [ask], Part.RIGHT_TABS: [events, *figures, heat, answer]}


ASK_ACTION = "screen.panel('answer')"


class Hint(Drawn):
    """What Tab would take, at the right end of the query line."""

    def __init__(self) -> None:
        super().__init__(id=Part.HINT)
        self._text = ""

    def say(self, text: str) -> None:
        """Says something else; "" for nothing."""
        self._text = text
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """A click on it is a wish to ask."""
        text = fit_text(f"{self._text} ", self.size.width, right=True)
        self.draw([(Run(text, Tone.MUTED, ASK_ACTION),)])


class Tabs(Drawn):
    """The head of a place for panels: their names, the shown one strong; a click shows another."""

    def __init__(self, part: Part, glyphs: Glyphs) -> None:
        super().__init__(id=part)
        self._glyphs = glyphs
        self._tabs: tuple[Tab, ...] = ()
        self._current: Part | None = None
        self._focused = False
        self._note = ""

    def show(
        self, tabs: Sequence[Tab], current: Part | None, *, focused: bool, note: str = ""
    ) -> None:
        """Names these panels.

        Args:
            tabs: what can be shown in that place.
            current: the one that is.
            focused: whether it has the focus.
            note: said at the right end.
        """
        self._tabs, self._current, self._focused = tuple(tabs), current, focused
        self._note = note
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """Makes the line anew."""
        rule, width = self._glyphs.rule, self.size.width
        runs = [Run(rule, Tone.FAINT)]
        for tab in self._tabs:
            amount = f" {tab.amount}" if tab.amount else ""
            text = f" {tab.digit} {tab.title}{amount} ".replace("  ", " ")
            if tab.part == self._current:
                tone = Tone.FOCUS if self._focused else Tone.STRONG
            else:
                tone = Tone.MUTED
            if line_width(runs) + len(text) + 1 > width:
                break
            runs += (Run(text, tone, f"screen.panel('{tab.part}')"), Run(rule, Tone.FAINT))
        free = width - line_width(runs)
        note = f" {fit_text(self._note, min(len(self._note), free - 4))} " if self._note else ""
        if len(note) < 8 or free < len(note) + 2:
            note = ""
        runs.append(Run(rule * (free - len(note) - bool(note)), Tone.FAINT))
        if note:
            runs += (Run(note, Tone.MUTED), Run(rule, Tone.FAINT))
        self.draw([tuple(runs)])

    def on_click(self, event: events.Click) -> None:
        """Anywhere beside the names, the panel that is shown gets the focus."""
        if self._current is not None and "@click" not in event.style.meta:
            self.screen.call_later(self.screen.run_action, f"screen.panel('{self._current}')")
