"""Where workers are to start: a machine, chosen from those there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from console.placing import Choice
from console.screens.confirm import MIN_HEIGHT, MIN_WIDTH
from console.text import clean


class WhereScreen(ModalScreen[Choice | None]):
    """Dismissed with what was chosen, by Enter or a click, and with None for Escape.

    Args:
        question: what is asked.
        choices: the first that is possible is under the cursor.
    """

    CSS_PATH = "confirm.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "leave", "Leave"),
        Binding("j", "down", "Down"),
        Binding("k", "up", "Up"),
    ]

    def __init__(self, question: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self.question = question
        self._choices = choices
        self._list = OptionList(
            *(Option(one.text, disabled=one.refused) for one in choices),
            id="choices",
            markup=False,
            compact=True,
        )

    def compose(self) -> ComposeResult:
        """The question, a line for each choice, and what to press."""
        with Vertical(id="dialog"):
            yield Static(clean(self.question), id="question", markup=False)
            yield self._list
            yield Static("ENTER chooses, ESC leaves", id="told", markup=False)
        yield Static("too small to ask: n leaves", id="too-small", markup=False)

    @property
    def readable(self) -> bool:
        """Whether the choices can be seen."""
        width, height = self.app.size
        return width >= MIN_WIDTH and height >= MIN_HEIGHT

    def on_resize(self, _event: events.Resize) -> None:
        """What cannot be read is not asked."""
        self.set_class(not self.readable, "-too-small")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        event.stop()
        if self.readable:
            self.dismiss(self._choices[event.option_index])

    def action_down(self) -> None:
        """The next choice."""
        self._list.action_cursor_down()

    def action_up(self) -> None:
        """The one before."""
        self._list.action_cursor_up()

    def action_leave(self) -> None:
        """Nothing is started."""
        self.dismiss(None)
