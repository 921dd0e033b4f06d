"""A line to type into, with what was typed before and what it may become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

Complete = Callable[[str], list[str]]
"""`complete(line)`: whole lines that it may become. It may wait: it has a thread of its own."""


class _Completer(Suggester):
    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """The first completion that goes on from what is typed."""
        found = await asyncio.to_thread(self._complete, value)
        return next((line for line in found if line.startswith(value) and line != value), None)


class Prompt(Input):
    """Up and Down walk through what was typed before, Tab takes the completion, Escape leaves.

    Args:
        history: lines typed before, oldest first; lines submitted are added to it.
        complete: see `Complete`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older", "Older", show=False),
        Binding("down", "newer", "Newer", show=False),
        Binding("tab", "take", "Complete", show=False),
        Binding("escape", "leave", "Leave", show=False),
    ]

    class Left(Message):
        """Escape was pressed."""

        def __init__(self, prompt: Prompt) -> None:
            super().__init__()
            self.prompt = prompt

        @property
        def control(self) -> Prompt:
            """The line that was left."""
            return self.prompt

    def __init__(
        self, *, history: list[str], complete: Complete, placeholder: str, name: str
    ) -> None:
        super().__init__(
            placeholder=placeholder,
            suggester=_Completer(complete),
            compact=True,
            id=name,
            max_length=10_000,
            select_on_focus=False,
        )
        self.history = history
        self._at = len(history)
        self._draft = ""

    def render_line(self, y: int) -> Strip:
        """What is typed or offered, a mark in place of whatever would move the terminal's cursor
        or turn the writing: a pasted text, or a value from the records.
        """
        strip = super().render_line(y)
        if strip.text.isprintable():
            return strip
        shown = [Segment("".join(map(_mark, text)), style) for text, style, _ in strip]
        return Strip(shown).adjust_cell_length(strip.cell_length, self.rich_style)

    def remember(self, line: str) -> None:
        """Adds a line to the history, unless it is the last one again."""
        if line and self.history[-1:] != [line]:
            self.history.append(line)
        self._at = len(self.history)

    def action_older(self) -> None:
        """Shows the line typed before."""
        if self._at == len(self.history):
            self._draft = self.value
        self._go(self._at - 1)

    def action_newer(self) -> None:
        """Shows the line typed after."""
        self._go(self._at + 1)

    def _go(self, index: int) -> None:
        if 0 <= index <= len(self.history):
            self._at = index
            self.value = self.history[index] if index < len(self.history) else self._draft
            self.cursor_position = len(self.value)

    def action_take(self) -> None:
        """Takes the completion, or goes on to the next widget when there is none."""
        if self._suggestion:
            self.value = self._suggestion
            self.cursor_position = len(self.value)
        else:
            self.screen.focus_next()

    def action_leave(self) -> None:
        """Leaves the line."""
        self.post_message(self.Left(self))


def _mark(char: str) -> str:
    return char if char.isprintable() else "?"
