"""The row of buttons: one for each command that has one."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from console.commands import Command, usable

KEYS = {"plus": "+", "minus": "-", "slash": "/", "colon": ":", "question_mark": "?"}
"""Keys whose name is not what is printed on them."""


def key_text(command: Command) -> str:
    """A command's key as a person knows it."""
    return KEYS.get(command.key, command.key)


class CommandButton(Static):
    """A button as wide as its words: ten of them fit on 80 columns.

    The keys do the same, so it takes no focus: Tab goes between the panels.
    """

    class Pressed(Message):
        """It was clicked."""

        def __init__(self, command: Command) -> None:
            super().__init__()
            self.command = command

    def __init__(self, command: Command) -> None:
        super().__init__(
            f"{key_text(command)} {command.label}", id=f"do-{command.name}", markup=False
        )
        self.tooltip = command.help
        self._command = command

    def on_click(self) -> None:
        """Says which command is wanted."""
        self.post_message(self.Pressed(self._command))


class CommandBar(Horizontal):
    """Buttons for the commands that have one, and may be used."""

    DEFAULT_CSS = """
    CommandBar { height: 1; background: $panel; }
    CommandBar CommandButton { width: auto; margin: 0 1 0 0; color: $text-accent; }
    CommandBar CommandButton:hover { background: $accent; color: $text; }
    """

    def __init__(self, *, read_only: bool) -> None:
        super().__init__(id="bar")
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        """The buttons."""
        for command in usable(read_only=self._read_only):
            if command.button:
                yield CommandButton(command)
