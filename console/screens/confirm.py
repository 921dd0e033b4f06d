"""Yes or no: the command and its target as they were at the key press."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from console.text import clean


class ConfirmScreen(ModalScreen[bool]):
    """Dismissed with True for `y` or a click on it, False for `n`, Escape, or Enter.

    Args:
        question: what is asked, naming the target.
        effect: what will follow.
    """

    CSS_PATH = "confirm.tcss"

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
            yield Static(clean(self.question), id="question", markup=False)
            yield Static(clean(self._effect), id="effect", markup=False)
            with Horizontal(id="answers"):
                yield Button("n No", id="no", compact=True)
                yield Button("y Yes", id="yes", compact=True, variant="error")

    def on_mount(self) -> None:
        """Enter is never yes by default."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was clicked."""
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """A key was pressed."""
        self.dismiss(answer)


class MessageScreen(ModalScreen[None]):
    """Something that must be read: a request that failed. Any of Enter, Escape, Space closes it."""

    CSS_PATH = "confirm.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,space,q", "close", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, and a button."""
        with Vertical(id="dialog"):
            yield Static(clean(self._title), id="question", markup=False)
            yield Static(clean(self._text), id="effect", markup=False)
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
