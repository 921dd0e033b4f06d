"""The line at the bottom for commands (":") and filters ("/")."""

from __future__ import annotations

from console.plan import Part
from console.widgets.prompt import Complete, Prompt
from console.widgets.table import LiveTable

PLACEHOLDERS = {":": "a command, or help", "/": "show rows that contain"}


class CommandLine(Prompt):
    """See the module. A filter acts as it is typed; a command is told of by `Closed`.

    Attributes:
        kind: ":" or "/"; "" while it is closed.
        table: which a filter is for, and which has the focus afterwards.
    """

    table: LiveTable

    class Closed(Prompt.OfPrompt):
        """It is done with; `command` is what is to be carried out, "" for nothing."""

        def __init__(self, line: CommandLine, command: str) -> None:
            super().__init__(line)
            self.command = command

    def __init__(self, *, history: list[str], complete: Complete) -> None:
        super().__init__(history=history, complete=complete, name=Part.LINE, placeholder="")
        self.kind = ""

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

    def on_input_submitted(self, event: Prompt.Submitted) -> None:
        """A filter stays; a command is carried out."""
        event.stop()
        command = event.value if self.kind == ":" and event.value.strip() else ""
        if command:
            self.remember(command)
        self._close(command)

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Nothing is to be done; a filter ends."""
        event.stop()
        if self.kind == "/":
            self.table.set_filter("")
        self._close()

    def _close(self, command: str = "") -> None:
        self.kind = ""
        self.post_message(self.Closed(self, command))
