"""The main screen: a header, workers, their load, the query box, events, and a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from console.commands import COMMANDS
from console.history import Sample
from console.settings import Settings
from console.text import Glyphs
from console.view import (
    EVENT_COLUMNS,
    LOAD_COLUMNS,
    WORKER_COLUMNS,
    event_row,
    header,
    load_rows,
    reason,
    totals_row,
    worker_row,
)
from console.widgets.bar import CommandBar
from console.widgets.prompt import Complete, Prompt
from console.widgets.query import QueryPanel
from console.widgets.table import LiveTable
from nodes.wire import ClusterSnapshot, Event

W = TypeVar("W", bound=Widget)

PANELS = ("load", "query", "events")
"""What the keys 1, 2, 3 hide."""


class MainScreen(Screen[None]):
    """Draws what it is shown; what the operator asks for goes to the application.

    Args:
        settings: what was typed in earlier runs.
        glyphs: what the terminal can show.
        complete_query, complete_command: see `console.widgets.prompt.Complete`.
        read_only: whether the commands that steer are taken away.
        attached: whether the cluster runs elsewhere.
    """

    CSS_PATH = "main.tcss"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it
        (0, "-narrow"),
        (100, "-normal"),
        (160, "-wide"),
    ]

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                command.key,
                f"app.command('{command.name}')",
                command.label,
                tooltip=command.help,
                id=command.name,
                show=False,
            )
            for command in COMMANDS
            if command.key
        ),
        Binding("O", "turn", "Turn the order round", show=False),
        Binding("greater_than_sign", "sort(1)", "Sort by the next column", show=False),
        Binding("less_than_sign", "sort(-1)", "Sort by the column before", show=False),
        Binding("1", "panel('load')", "Hide or show load", show=False),
        Binding("2", "panel('query')", "Hide or show the query box", show=False),
        Binding("3", "panel('events')", "Hide or show events", show=False),
        Binding("m", "widen", "Maximise", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(
        self,
        *,
        settings: Settings,
        glyphs: Glyphs,
        complete_query: Complete,
        complete_command: Complete,
        read_only: bool,
        attached: bool,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._glyphs = glyphs
        self._complete_query = complete_query
        self._complete_command = complete_command
        self._read_only = read_only
        self._attached = attached
        self._line_is = ""
        self._reason = ""

    def compose(self) -> ComposeResult:
        """The panels."""
        yield Static("starting ...", id="header", markup=False)
        yield Static("", id="status", markup=False)
        yield CommandBar(read_only=self._read_only)
        with Horizontal(id="middle"):
            yield self._panel(LiveTable(WORKER_COLUMNS, sort=0, name="workers"), "Workers")
            yield self._panel(LiveTable(LOAD_COLUMNS, sort=0, name="load"), "Load")
        with Widget(id="lower"):
            yield self._panel(
                QueryPanel(history=self._settings.queries, complete=self._complete_query), "Ask"
            )
            yield self._panel(LiveTable(EVENT_COLUMNS, name="events"), "Events")
        yield Prompt(
            history=self._settings.commands,
            complete=self._complete_command,
            name="line",
            placeholder="",
        )

    def _panel(self, widget: W, title: str) -> W:
        widget.add_class("panel")
        widget.border_title = title
        return widget

    def on_mount(self) -> None:
        """The keys work at once."""
        self.set_class(self._glyphs.ascii, "-ascii")
        self.table.focus()

    @property
    def is_composed(self) -> bool:
        """Whether the parts are there to draw on: they come after the screen, and go before it."""
        return len(self.query("#status, #header, #load, #workers, #events, #answer")) == 6

    # -- parts --------------------------------------------------------------------

    @property
    def table(self) -> LiveTable:
        """The worker table."""
        return self.query_one("#workers", LiveTable)

    @property
    def event_table(self) -> LiveTable:
        """The events."""
        return self.query_one("#events", LiveTable)

    @property
    def query_panel(self) -> QueryPanel:
        """The query box."""
        return self.query_one(QueryPanel)

    @property
    def line(self) -> Prompt:
        """The command line."""
        return self.query_one("#line", Prompt)

    # -- drawing ------------------------------------------------------------------

    def show(
        self,
        snapshot: ClusterSnapshot,
        rates: Mapping[str, Sequence[Sample]],
        events: Sequence[Event],
    ) -> None:
        """Draws a snapshot; what has not changed is not drawn again."""
        lines = header(snapshot, read_only=self._read_only, attached=self._attached)
        self._update("#header", "\n".join(lines))
        rows = [worker_row(w, snapshot.taken_at, self._glyphs) for w in snapshot.workers]
        self.table.set_rows(rows, totals_row(snapshot))
        self._reason = reason(snapshot, self.table.cursor, self._glyphs)
        self._show_title()
        load = self.query_one("#load", LiveTable)
        load.set_rows(load_rows(snapshot.workers, rates, load.content_size.width, self._glyphs))
        self.event_table.set_rows([event_row(event) for event in reversed(events)])
        self.remove_class("-stale")

    def show_status(self, text: str) -> None:
        """Conditions that last; nothing for none."""
        self._update("#status", text)
        self.query_one("#status").set_class(bool(text), "-shown")

    def show_lost(self) -> None:
        """What is on the screen is of the past."""
        self.add_class("-stale")

    def _show_title(self) -> None:
        """The filter of the worker table, and why a worker is not up: beside the name of the
        panel, as the column for it is off the screen of most terminals.
        """
        wanted = self.table.filter_text
        parts = ["Workers", f"/{wanted}" if wanted else "", self._reason]
        title = Content("  ".join(part for part in parts if part))
        if str(self.table.border_title) != title.plain:
            self.table.border_title = title

    def _update(self, selector: str, text: str) -> None:
        widget = self.query_one(selector, Static)
        if widget.content != text:
            widget.update(text)

    # -- keys ---------------------------------------------------------------------

    def _table(self) -> LiveTable:
        """The table with the focus, else the workers'."""
        return self.focused if isinstance(self.focused, LiveTable) else self.table

    def action_sort(self, step: int) -> None:
        """Sorts the table by the column before or after."""
        table = self._table()
        if step > 0:
            table.sort_next()
        else:
            table.sort_previous()

    def action_turn(self) -> None:
        """Turns the order of the table round."""
        table = self._table()
        table.sort_by(table.sort_column, descending=not table.descending)

    def action_panel(self, panel: str) -> None:
        """Hides or shows a panel."""
        self.query_one(f"#{panel}").toggle_class("-hidden")
        lower = [self.query_one(f"#{name}").has_class("-hidden") for name in PANELS[1:]]
        self.query_one("#lower").set_class(all(lower), "-hidden")

    def action_widen(self) -> None:
        """Gives the panel with the focus all of the screen."""
        panel = self.focused
        while panel is not None and not panel.has_class("panel"):
            panel = panel.parent if isinstance(panel.parent, Widget) else None
        if panel is not None:
            self.maximize(panel, container=False)

    def action_back(self) -> None:
        """Undoes the last of: a maximised panel, a filter; else goes to the workers."""
        if self.maximized is not None:
            self.minimize()
        elif self._table().filter_text:
            self._filter("")
        else:
            self.table.focus()

    # -- the line -----------------------------------------------------------------

    def open_line(self, kind: str, text: str = "") -> None:
        """Shows the command line: for a command (":") or for a filter ("/")."""
        self._line_is = kind
        self._filtered = self._table()
        self.line.placeholder = "a command, or help" if kind == ":" else "show rows that contain"
        self.line.add_class("-shown")
        self.line.value = text
        self.line.cursor_position = len(text)
        self.line.focus()

    def _close_line(self) -> None:
        self.line.remove_class("-shown")
        self._line_is = ""
        self._filtered.focus()

    def _filter(self, text: str) -> None:
        table = self._filtered if self._line_is else self._table()
        table.set_filter(text)
        if table is self.table:
            self._show_title()
        elif table.has_class("panel"):
            title = {"load": "Load", "events": "Events"}[table.id or ""]
            table.border_title = Content(f"{title}  /{text}" if text else title)

    @on(Prompt.Changed, "#line")
    def _line_changed(self, event: Prompt.Changed) -> None:
        if self._line_is == "/":
            self._filter(event.value)

    @on(Prompt.Submitted, "#line")
    def _line_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        kind = self._line_is
        self._close_line()
        if kind == ":":
            self.line.remember(event.value)
            self.app.call_later(self.app.run_action, f"app.line({event.value!r})")

    @on(Prompt.Left)
    def _line_left(self, event: Prompt.Left) -> None:
        event.stop()
        if event.prompt is self.line:
            if self._line_is == "/":
                self._filter("")
            self._close_line()
        else:
            self.table.focus()
