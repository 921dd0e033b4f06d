"""The head of the worker list: its name, a button for each command that has one, its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message

from console.command import Command
from console.commands import usable
from console.lines import Field, Run, Tone, fit, line_width
from console.plan import Part
from console.text import Glyphs
from console.widgets.drawn import Drawn

ORDER_CELLS = 16
"""Cells for what the list is sorted and filtered by, before buttons are left out for it."""

ALWAYS = ("spawn", "kill")
"""The buttons that are there at every size."""


class CommandButton(Drawn, can_focus=True):
    """A button as wide as its words. A reason makes it grey, and is said when it is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "press", key_display="ENTER")
    ]

    class Pressed(Message):
        """It was clicked, or Enter was pressed on it."""

        def __init__(self, command: Command, *, by_mouse: bool) -> None:
            super().__init__()
            self.command = command
            self.by_mouse = by_mouse

    def __init__(self, command: Command) -> None:
        super().__init__(id=f"do-{command.name}")
        self.command = command
        self._refusal = ""
        self.styles.width = len(self.text)
        self.refuse("")

    @property
    def text(self) -> str:
        """What it says."""
        plus = "+ " if self.command.name == "spawn" else ""
        return f"[{plus}{self.command.label}]"

    def refuse(self, why: str) -> None:
        """Makes it grey for a reason; "" makes it possible again."""
        self._refusal = why
        self.tooltip = why or self.command.help
        self.arrange_lines()

    def arrange_lines(self) -> None:
        """Draws it."""
        tone = Tone.FAINT if self._refusal else Tone.FOCUS if self.has_focus else Tone.BUTTON
        self.draw([(Run(self.text, tone),)])

    def on_focus(self) -> None:
        """It is shown to have the focus."""
        self.arrange_lines()

    def on_blur(self) -> None:
        """It has it no more."""
        self.arrange_lines()

    def on_click(self, event: events.Click) -> None:
        """Says which command is wanted."""
        event.stop()
        self.post_message(self.Pressed(self.command, by_mouse=True))

    def action_press(self) -> None:
        """The same, by a key."""
        self.post_message(self.Pressed(self.command, by_mouse=False))


class WorkersHead(Horizontal):
    """See the module.

    Args:
        glyphs: what the terminal can show.
        read_only: whether there are no buttons that steer.
    """

    def __init__(self, glyphs: Glyphs, *, read_only: bool) -> None:
        super().__init__(id=Part.WORKERS_HEAD)
        self._glyphs = glyphs
        self._title = Drawn(id="workers-name")
        self._order = Drawn(id="workers-order")
        self._buttons = [CommandButton(c) for c in usable(read_only=read_only) if c.button]
        self._read_only = read_only
        self._fields: list[Field] = []

    def compose(self) -> ComposeResult:
        """Name, buttons, order."""
        yield self._title
        yield from self._buttons
        yield self._order

    def show(self, amount: str, *, focused: bool, order: list[Field]) -> None:
        """Draws it.

        Args:
            amount: how many workers there are.
            focused: whether the list has the focus.
            order: what it is sorted and filtered by.
        """
        name = Run(f" 1 Workers {amount} ", Tone.FOCUS if focused else Tone.STRONG, _FOCUS)
        rule = self._glyphs.rule
        title = (Run(rule, Tone.FAINT), name, Run(rule, Tone.FAINT))
        self._title.draw([title])
        self._title.styles.width = line_width(title)
        self._fields = order
        self._arrange()

    def refuse(self, refusal: Callable[[Command], str], *, read_only: bool) -> None:
        """Makes grey what is not possible now, and takes away what steers from who may not."""
        if read_only is not self._read_only:
            self._read_only = read_only
            self._arrange()
        for button in self._buttons:
            button.refuse(refusal(button.command))

    def on_resize(self) -> None:
        """Other buttons may fit."""
        self._arrange()

    def _arrange(self) -> None:
        width = self.size.width
        named = 1 + sum(line_width(line) for line in self._title.lines)
        room = width - named - ORDER_CELLS
        for button in self._buttons:
            need = len(button.text) + 1
            if self._read_only and button.command.steers:
                button.display = False
                continue
            button.display = button.command.name in ALWAYS or need <= room
            room -= need if button.display else 0
        used = named + sum(len(b.text) + 1 for b in self._buttons if b.display)
        line = fit(self._fields, max(1, width - used), gap=1)
        rule = self._glyphs.rule
        ruled = tuple(
            Run(rule * len(run.text), Tone.FAINT) if not run.text.strip() else run for run in line
        )
        self._order.draw([ruled])


_FOCUS = "screen.panel('workers')"
