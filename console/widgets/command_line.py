"""The line at the bottom for commands (":") and filters ("/")."""

from __future__ import annotations

from console.plan import Part
from console.widgets.prompt import Complete, Prompt
from console.widgets.table import LiveTable

PLACEHOLDERS = {":": "a command, or help", "/": "show rows that contain"}


class CommandLine(Prompt):
    """See the module.

    Attributes:
        kind: ":" or "/"; "" while it is closed.
        table: which a filter is for, and which has the focus afterwards.
    """

    table: LiveTable

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

    def close(self) -> LiveTable:
        """Ends it; returns what has the focus afterwards."""
        self.kind = ""
        return self.table
