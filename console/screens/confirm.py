"""Yes or no: the command and its target as they were at the key press."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from console.text import clean

MIN_WIDTH, MIN_HEIGHT = 30, 8
"""Cells and lines below which a question cannot be read, and so is not answered with yes."""


class ConfirmScreen(ModalScreen[bool]):
    """Dismissed with True for `y` or a click on it, False for `n`, Escape, or Enter.

    Args:
        question: what is asked, naming the target.
        effect: what will follow.
    """

    CSS_PATH = "confirm.tcss"

    AUTO_FOCUS = "#no"
    """Enter is never yes by default."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str, effect: str) -> None:
        super().__init__()
        self.question = question
        self._effect = effect

    def compose(self) -> ComposeResult:
        """The question, its effect, two buttons; No has the focus."""
        with Vertical(id="dialog"):
            with VerticalScroll(id="said", can_focus=False):
                yield Static(clean(self.question), id="question", markup=False)
                yield Static(clean(self._effect), id="effect", markup=False)
            with Horizontal(id="answers"):
                yield Button("n No", id="no", compact=True)
                yield Button("y Yes", id="yes", compact=True, variant="error")
        yield Static("too small to ask: n leaves", id="too-small", markup=False)

    @property
    def readable(self) -> bool:
        """Whether the question can be read, and its answers seen."""
        width, height = self.app.size
        if width < MIN_WIDTH or height < MIN_HEIGHT:
            return False
        lines = len(clean(self.question)) // max(1, min(width, 64) - 6) + 1
        return lines <= height - 6

    def on_resize(self, _event: events.Resize) -> None:
        """What cannot be read is not asked."""
        self.set_class(not self.readable, "-too-small")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was clicked."""
        event.stop()
        self.action_answer(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """A key was pressed."""
        if not answer or self.readable:
            self.dismiss(answer)


class MessageScreen(ModalScreen[None]):
    """Something to read. Any of Enter, Escape, Space closes it."""

    CSS_PATH = "confirm.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,space,q", "close", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, and a button."""
        with Vertical(id="dialog"):
            with VerticalScroll(id="said", can_focus=False):
                yield Static(clean(self._title), id="question", markup=False)
                yield Static(
                    "\n".join(map(clean, self._text.split("\n"))), id="effect", markup=False
                )
            with Horizontal(id="answers"):
                yield Button("Close", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The button was clicked."""
        event.stop()
        self.dismiss()

    def action_close(self) -> None:
        """A key was pressed."""
        self.dismiss()


class StoppingScreen(ModalScreen[None]):
    """Shown while the workers answer their last lookups."""

    CSS_PATH = "confirm.tcss"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text."""
        with Vertical(id="dialog"):
            yield Static(clean(self._text), id="question", markup=False)
