"""The keys that do something else than a command, and so cannot be given to one: from the bindings
of all that may have the focus beside a text field.
"""

from __future__ import annotations

from textual.app import App
from textual.binding import Binding

from console.commands import BY_NAME
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.widgets.answer import AnswerPanel
from console.widgets.bar import CommandButton
from console.widgets.event_table import EventTable
from console.widgets.worker_table import SORT_ACTION, WorkerTable

BOUND = (MainScreen, WorkerScreen, WorkerTable, EventTable, AnswerPanel, CommandButton)


def fixed_keys() -> dict[str, str]:
    """What each of them does."""
    fixed = {App.COMMAND_PALETTE_BINDING: "the palette", "ctrl+z": "suspend"}
    for bound in BOUND:
        for base in bound.__mro__:
            for binding in Binding.make_bindings(base.__dict__.get("BINDINGS", ())):
                moves = binding.id in BY_NAME or binding.action.startswith(SORT_ACTION)
                if not moves:
                    fixed.setdefault(binding.key, binding.description.lower() or binding.action)
    return fixed
