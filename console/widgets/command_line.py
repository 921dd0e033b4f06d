"""The line at the bottom for commands (":") and filters ("/")."""

from __future__ import annotations

from collections.abc import Callable

from console.plan import Part
from console.widgets.prompt import Complete, Prompt
from console.widgets.table import LiveTable

PLACEHOLDERS = {":": "a command, or help", "/": "show rows that contain"}


class CommandLine(Prompt):
    """See the module. A filter acts as it is typed; a command is carried out when it is done.

    Args:
        history, complete: see `Prompt`.
        closed: called when it is done with, with the command that is to be carried out or "" for
            none. That is within the handling of the key, so that the next key is not for the line.

    Attributes:
        kind: ":" or "/"; "" while it is closed.
        table: which a filter is for, and which has the focus afterwards.
    """

    table: LiveTable

    def __init__(
        self, *, history: list[str], complete: Complete, closed: Callable[[str], None]
    ) -> None:
        super().__init__(history=history, complete=complete, name=Part.LINE, placeholder="")
        self.kind = ""
        self._when_closed = closed

    def open(self, kind: str, text: str, table: LiveTable) -> None:
        """Begins a line."""
        self.kind = kind
        self.table = table
        self.placeholder = f"{kind} {PLACEHOLDERS[kind]}"
        self.value = text
        self.cursor_position = len(text)

    def on_input_changed(self, event: Prompt.Changed) -> None:
        """A filter acts as it is typed."""
        event.stop()
        if self.kind == "/":
            self.table.set_filter(event.value)

    async def action_submit(self) -> None:
        """A filter stays; a command is carried out."""
        if self.kind == "/":
            self.table.set_filter(self.value)
        command = self.value if self.kind == ":" and self.value.strip() else ""
        if command:
            self.remember(command)
        self._close(command)

    def action_leave(self) -> None:
        """Nothing is to be done; a filter ends."""
        if self.kind == "/":
            self.table.set_filter("")
        self._close()

    def _close(self, command: str = "") -> None:
        self.kind = ""
        self._when_closed(command)
