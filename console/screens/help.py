"""Every key and command, from their declarations."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from console.columns import WORKER_COLUMNS
from console.command import Argument, Command
from console.commands import usable
from console.keys import DECLARED_KEYS, Keys, key_sign

MORE = (
    ("ENTER", "details", "Show the selected worker: figures, events, log."),
    ("SPC", "", "Mark a worker: commands then act on all that are marked."),
    ("j k g G", "", "Move the cursor: down, up, to the first, to the last."),
    ("1 ... 6", "", "Go to a panel: workers, ask, events, slow, lookups, heat."),
    ("w1 of A", "", "In a command, a worker of the cluster A; else of the one in front."),
    ("z", "", "Give the panel with the focus the whole screen."),
    ("O", "", "Turn the order of the sort round."),
    ("v", "", "In the events: only those that are bad."),
    ("F b", "", "In a worker's log: follow it; go to the run before."),
    ("n y Y e", "", "In an answer: next page, copy one, copy all, export."),
    ("Tab", "", "In a line, take the completion; else go to the next panel."),
    ("Up Down", "", "In a line, walk through what was typed before."),
    ("!", "", "Show all of the message at the bottom."),
    ("Escape", "", "Leave a line, a zoom, marks, a filter, a screen, another time."),
    ("Ctrl+P", "", "Find a command by typing a part of it."),
    ("Ctrl+Z", "", "Put the console to sleep; fg wakes it."),
    ("marks", "", "s spawned, K killed, x lost, F frozen, f thawed, h hedged, R reload."),
)


TAKES = {Argument.WORKER: " ID", Argument.COUNT: " N", Argument.PLACED_COUNT: " N WHERE"}


def help_lines(
    keys: Keys = DECLARED_KEYS,
    *,
    read_only: bool,
    able: Callable[[Command], bool] = lambda _command: True,
) -> list[str]:
    """One line for each command that can be used, then for what is no command.

    Args:
        keys: of the commands.
        read_only: whether the commands that steer are left out.
        able: whether the fleet can do a command; others are left out as well.
    """
    lines = []
    for command in filter(able, usable(read_only=read_only)):
        takes = TAKES.get(command.argument, "")
        typed = f":{command.name}{takes}"
        signs = " ".join(map(key_sign, keys.of(command.name)))
        lines.append(f"{signs:<8} {typed:<14} {command.help}")
    lines.append("")
    lines += [f"{signs:<8} {f':{name}' if name else '':<14} {text}" for signs, name, text in MORE]
    return lines + letter_lines(keys)


def letter_lines(keys: Keys) -> list[str]:
    """Which capital letter sorts by which column, as long as it is no key of a command."""
    told = [
        f"{column.letter} {column.name}"
        for column in WORKER_COLUMNS
        if column.letter and column.letter not in keys.used
    ]
    half = (len(told) + 1) // 2
    lines = (f"Sort the workers: {', '.join(told[:half])},", f"{', '.join(told[half:])}.")
    return [f"{'' if index else 'capitals':<24}{line}" for index, line in enumerate(lines)]


class HelpScreen(ModalScreen[None]):
    """The list, to scroll through."""

    CSS_PATH = "help.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("q", "close", "Close", id="quit"),
        Binding("question_mark", "close", "Close", id="help"),
    ]

    def __init__(self, keys: Keys, *, read_only: bool, able: Callable[[Command], bool]) -> None:
        super().__init__()
        self._lines = help_lines(keys, read_only=read_only, able=able)

    def compose(self) -> ComposeResult:
        """The list."""
        with VerticalScroll(id="help") as scroll:
            scroll.border_title = "Keys and commands"
            scroll.border_subtitle = "Escape closes"
            yield Static("\n".join(self._lines), markup=False)

    def action_close(self) -> None:
        """A key was pressed."""
        self.dismiss()
