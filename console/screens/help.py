"""Every key and command, from their declarations."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from console.commands import Argument, key_text, usable

MORE = (
    ("ENTER", "details", "Show the selected worker: figures, events, log."),
    ("SPC", "", "Mark a worker: commands then act on all that are marked."),
    ("j k g G", "", "Move the cursor: down, up, to the first, to the last."),
    ("1 ... 6", "", "Go to a panel: workers, ask, events, slow, lookups, heat."),
    ("z", "", "Give the panel with the focus the whole screen."),
    ("O", "", "Turn the order of the sort round."),
    ("v", "", "In the events: only those that are bad."),
    ("n y Y e", "", "In an answer: next page, copy one, copy all, export."),
    ("Tab", "", "In a line, take the completion; else go to the next panel."),
    ("Up Down", "", "In a line, walk through what was typed before."),
    ("!", "", "Show all of the message at the bottom."),
    ("Escape", "", "Leave a line, a zoom, marks, a filter, a screen."),
    ("Ctrl+P", "", "Find a command by typing a part of it."),
    ("Ctrl+Z", "", "Put the console to sleep; fg wakes it."),
    ("marks", "", "s spawned, K killed, x lost, F frozen, f thawed, h hedged, R reload."),
)


def help_lines(*, read_only: bool) -> list[str]:
    """One line for each command that can be used, then for what is no command."""
    lines = []
    for command in usable(read_only=read_only):
        takes = {Argument.WORKER: " ID", Argument.COUNT: " N"}.get(command.argument, "")
        typed = f":{command.name}{takes}"
        lines.append(f"{key_text(command):<8} {typed:<14} {command.help}")
    lines.append("")
    lines += [f"{keys:<8} {f':{name}' if name else '':<14} {text}" for keys, name, text in MORE]
    return lines


class HelpScreen(ModalScreen[None]):
    """The list, to scroll through."""

    CSS_PATH = "help.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "close", "Close")]

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        """The list."""
        with VerticalScroll(id="help") as scroll:
            scroll.border_title = "Keys and commands"
            scroll.border_subtitle = "Escape closes"
            yield Static("\n".join(help_lines(read_only=self._read_only)), markup=False)

    def action_close(self) -> None:
        """A key was pressed."""
        self.dismiss()
