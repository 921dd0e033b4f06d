"""A line to type into, with what was typed before and what it may become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

Complete = Callable[[str], list[str]]
"""`complete(line)`: whole lines that it may become. It may wait: it has a thread of its own."""


Explain = Callable[[str], str]
"""`explain(line)`: what is typed at its end, in a few words; "" where nothing is to be said. It may
wait as well.
"""


class _Completer(Suggester):
    def __init__(
        self, complete: Complete, explain: Explain, explained: Callable[[], object]
    ) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete
        self._explain = explain
        self._explained = explained
        self.found: list[str] = []
        self.meaning = ""
        self._asked = ""

    async def get_suggestion(self, value: str) -> str | None:
        """The first completion that goes on from what is typed."""
        self._asked = value
        meaning = await asyncio.to_thread(self._explain, value)
        if value == self._asked and meaning != self.meaning:  # nothing was typed meanwhile
            self.meaning = meaning
            self._explained()
        found = await asyncio.to_thread(self._complete, value)
        self.found = [line for line in found if line.startswith(value) and line != value]
        return next(iter(self.found), None)


class Prompt(Input):
    """Up and Down walk through what was typed before, Tab takes the completion, Escape leaves.

    Args:
        history: lines typed before, oldest first; lines submitted are added to it.
        complete: see `Complete`.
        explain: see `Explain`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older", "Older", show=False),
        Binding("down", "newer", "Newer", show=False),
        Binding("tab", "take", "complete", key_display="TAB"),
        Binding("escape", "leave", "leave", key_display="ESC"),
    ]

    class OfPrompt(Message):
        """Something happened to a line."""

        def __init__(self, prompt: Prompt) -> None:
            super().__init__()
            self.prompt = prompt

        @property
        def control(self) -> Prompt:
            """That line."""
            return self.prompt

    class Left(OfPrompt):
        """Escape was pressed."""

    class Suggested(OfPrompt):
        """What Tab would take has changed."""

    class NothingToTake(OfPrompt):
        """Tab was pressed, and there is no completion."""

    def __init__(
        self,
        *,
        history: list[str],
        complete: Complete,
        placeholder: str,
        name: str,
        explain: Explain = lambda _line: "",
    ) -> None:
        self._completer = _Completer(
            complete, explain, lambda: self.post_message(self.Suggested(self))
        )
        super().__init__(
            placeholder=placeholder,
            suggester=self._completer,
            compact=True,
            id=name,
            max_length=10_000,
            select_on_focus=False,
        )
        self.offered = ""
        """A whole line that Tab takes in place of what is typed; "" for none."""
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

    @property
    def hint(self) -> str:
        """What Tab would take, and what is typed, in a few words; "" for nothing."""
        if self.offered and self.offered != self.value:
            return f"TAB {self.offered}"
        meaning = self._completer.meaning if self.value else ""
        if not self._suggestion:
            return meaning
        more = len(self._completer.found) - 1
        others = f"  {more} more" if more > 0 else ""
        if meaning:  # what Tab would take stands in the line as well
            return f"{meaning}  TAB{others}"
        return f"TAB {self._suggestion[len(self.value) :].strip()}{others}"

    def offer(self, line: str) -> None:
        """Lets Tab take a whole line in place of what is typed, until something else is typed."""
        self.offered = line
        self.post_message(self.Suggested(self))

    def _watch__suggestion(self, _value: str) -> None:
        self.post_message(self.Suggested(self))

    def watch_value(self, _value: str) -> None:
        """What was offered for another line is no longer."""
        self.offered = ""
        self.post_message(self.Suggested(self))

    def action_take(self) -> None:
        """Takes the completion. Without one it goes on to the next panel if nothing is typed."""
        taken = self._suggestion or self.offered
        if taken and taken != self.value:
            self.value = taken
            self.cursor_position = len(taken)
        elif self.value:
            self.post_message(self.NothingToTake(self))
        else:
            self.screen.focus_next()

    def _on_paste(self, event: events.Paste) -> None:
        """Lines that are pasted become one: nothing is dropped in silence."""
        if "\n" in event.text or "\r" in event.text:
            event.prevent_default()
            event.stop()
            self.insert_text_at_cursor(" ".join(event.text.split()))

    def action_leave(self) -> None:
        """Leaves the line."""
        self.post_message(self.Left(self))


def _mark(char: str) -> str:
    return char if char.isprintable() else "?"
