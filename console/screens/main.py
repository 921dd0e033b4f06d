"""The main screen: a head, charts, workers, the query line, and panels below."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from console.commands import COMMANDS
from console.config import Config
from console.lines import Run, Tone
from console.lookups_view import lowest_lines
from console.plan import (
    OF_FRONT,
    PANELS,
    PLACES,
    Part,
    Plan,
    make_plan,
    panels_at_start,
)
from console.screens.confirm import MessageScreen
from console.seen import Overview
from console.settings import Settings
from console.text import Glyphs, clean
from console.widgets.answer import AnswerPanel
from console.widgets.bar import CommandButton, WorkersHead
from console.widgets.board import Board
from console.widgets.command_line import CommandLine
from console.widgets.drawn import Drawn
from console.widgets.event_table import EventTable
from console.widgets.lookup_tables import LookupTables
from console.widgets.message import KeyLine, MessageLine
from console.widgets.panels import (
    ASK_ACTION,
    Charts,
    Head,
    HeatMap,
    Hint,
    Tabs,
    TooSmall,
    tabs_for,
)
from console.widgets.prompt import Complete, Explain, Prompt
from console.widgets.table import LiveTable
from console.widgets.worker_table import WorkerTable, command_bindings

HEADS = (Part.LEFT_TABS, Part.RIGHT_TABS, Part.LEFT_LOWER_TABS, Part.RIGHT_LOWER_TABS)
"""The heads of the panels below the workers."""


class MainScreen(Screen[None]):
    """Draws what is seen; what the operator asks for goes to the application.

    Args:
        settings: what was typed in earlier runs.
        glyphs: what the terminal can show.
        complete_query, complete_command: see `console.widgets.prompt.Complete`.
        explain_query: see `console.widgets.prompt.Explain`.
        read_only: whether the commands that steer are taken away.
        config: what the operator's settings file says.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *command_bindings(steers=False),
        *(
            Binding(digit, f"screen.panel('{part}')", f"Go to panel {digit}", show=False)
            for digit, part in PANELS.items()
        ),
        Binding("O", "turn", "Turn the order round", show=False),
        Binding("z", "zoom", "zoom"),
        Binding("escape", "back", "Back", show=False),
        Binding("exclamation_mark", "app.message", "All of a message", show=False),
    ]

    seen: reactive[Overview | None] = reactive(None, repaint=False, always_update=True)

    def __init__(
        self,
        *,
        settings: Settings,
        glyphs: Glyphs,
        complete_query: Complete,
        explain_query: Explain,
        complete_command: Complete,
        read_only: bool,
        config: Config,
    ) -> None:
        super().__init__()
        self.glyphs = glyphs
        self.zoomed: Part | None = None
        self._plan: Plan = {}
        self._settings = settings
        self._panels = panels_at_start(config.panels, settings.panels)
        self._figures = Part.LOOKUPS
        self._offered: list[str] = []
        self.head = Head(Part.HEAD, glyphs)
        self.workers_head = WorkersHead(glyphs, read_only=read_only)
        self.table = WorkerTable(glyphs, columns=config.columns, keys=config.keys)
        if settings.sort in {column.title for column in config.columns}:
            self.table.sort_column, self.table.descending = settings.sort, settings.descending
        self.prompt = Prompt(
            history=settings.queries,
            complete=complete_query,
            explain=explain_query,
            name=Part.ASK,
            placeholder='getbyname xander   getbyyear "New York City" 2002',
        )
        self.answers = AnswerPanel(glyphs, config.keys)
        self.events = EventTable(glyphs)
        self.message = MessageLine(glyphs)
        self.line = CommandLine(
            history=settings.commands, complete=complete_command, closed=self._line_closed
        )
        self._hint = Hint()
        self._tabs = {part: Tabs(part, glyphs) for part in HEADS}
        self._lookups = LookupTables(glyphs, config.keys)

    def compose(self) -> ComposeResult:
        """The parts, each where the plan has it."""
        seen = MainScreen.seen
        parts: list[Widget] = [
            TooSmall(id=Part.TOO_SMALL),
            self.head.data_bind(seen),
            self.workers_head,
            self.table.data_bind(seen),
            Charts(Part.CHARTS, self.glyphs).data_bind(seen),
            *self._tabs.values(),
            Drawn([(Run(" > ", Tone.STRONG, ASK_ACTION),)], id=Part.SIGN),
            self.prompt,
            self._hint,
            self.answers,
            self.events,
            self._lookups.slow,
            self._lookups.by_name,
            HeatMap(Part.HEAT, self.glyphs).data_bind(seen),
            self.line,
            self.message,
            KeyLine(),
        ]
        yield Board(*parts)

    def on_mount(self) -> None:
        """The keys work at once."""
        self.table.focus()

    @property
    def board(self) -> Board:
        """Where the parts stand."""
        return self.query_one(Board)

    @property
    def too_small(self) -> bool:
        """Whether the screen has no room for anything."""
        return self.is_mounted and Part.TOO_SMALL in self.board.plan

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key does anything on a screen that is too small."""
        if action in ("panel", "zoom", "turn", "back") and self.too_small:
            return False
        return super().check_action(action, parameters)

    # -- drawing ------------------------------------------------------------------

    def watch_seen(self) -> None:
        """Draws what is not bound to it by itself."""
        seen = self.seen
        if seen is None or not self.is_mounted:
            return
        snapshots = [one.snapshot for one in seen.clusters]
        offered = [one.name for one in COMMANDS if any(map(one.is_offered, snapshots))]
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()
        self.events.show(seen.events)
        self.events.say_replaying(replaying=seen.replay_at is not None)
        self._lookups.fill(seen.front, self._plan)
        self.message.expire()
        # The table, which is bound as well, has its rows by then.
        self.call_later(self.replan)

    @on(Board.Resized)
    def _resized(self) -> None:
        self.replan()

    def replan(self) -> None:
        """Lays the parts out for the size and the rows that there are now."""
        if not self.is_mounted:
            return
        plan = make_plan(
            (self.size.width, self.size.height),
            rows=self.table.lines_wanted,
            **self._panels,
            figures=self._figures,
            lowest=lowest_lines(self.seen) if self.seen is not None else 4,
            zoomed=self.zoomed,
            line_open=bool(self.line.kind),
        )
        was_small = self.too_small
        if plan != self._plan:
            self._plan = plan
            self.board.follow(plan)
            if self.seen is not None:
                self._lookups.fill(self.seen.front, plan)  # what has only now a place
        if self.too_small:
            self.set_focus(None)
        elif was_small or self.focused is None:
            self.table.focus()
        self._draw_heads()

    def _draw_heads(self) -> None:
        focused = self.focused
        seen = self.seen
        amount = str(sum(len(one.snapshot.workers) for one in seen.clusters)) if seen else ""
        of_front = f"cluster {seen.front.name}" if seen and seen.several else ""
        self.workers_head.show(
            amount, focused=focused is self.table, order=self.table.order_fields()
        )
        here = self._panel_of(focused) if focused is not None else None
        plan = self.board.plan
        for part, tabs in tabs_for(plan, self.size.width).items():
            named = [tab.part for tab in tabs]
            # Of the panels that a head names, one is on the screen; the query line always is.
            shown = next((one for one in named if one in plan), named[0])
            self._tabs[part].show(
                tabs,
                shown,
                focused=here in named and here == shown,
                note=of_front if shown in OF_FRONT else "",
            )

    # -- panels -------------------------------------------------------------------

    def _panel_of(self, widget: Widget) -> Part:
        """The panel that a widget belongs to."""
        if widget in (self.prompt, self.answers, self.answers.results):
            return Part.ANSWER
        if isinstance(widget, CommandButton) or widget.id is None:
            return Part.WORKERS
        return Part(widget.id) if widget.id in set(Part) else Part.WORKERS

    def show_panel(self, part: Part) -> None:
        """Has a panel on the screen, without the focus."""
        if self.zoomed is not None:
            self.zoomed = part
        for place, possible in PLACES.items():
            if part in possible:
                self._panels[place] = part
                self._settings.panels[place] = str(part)
        if part in (Part.SLOW, Part.LOOKUPS):
            self._figures = part
        self.replan()
        self.watch_seen()

    def action_panel(self, name: str) -> None:
        """Goes to a panel."""
        part = Part(name)
        self.show_panel(part)
        if part is Part.ANSWER:
            self.prompt.focus()
        else:
            self.query_one(f"#{part}").focus()

    def action_zoom(self) -> None:
        """Gives the panel with the focus the whole screen, or takes it back."""
        part = self._panel_of(self.focused) if self.focused is not None else Part.WORKERS
        self.zoomed = None if self.zoomed is not None else part
        self.replan()

    def action_back(self) -> None:
        """Takes back the last of: a zoom, marks, a filter; else goes to the workers."""
        table = self._focused_table()
        if self.zoomed is not None:
            self.action_zoom()
        elif table is self.table and self.table.unmark():
            pass
        elif table.filter_text:
            table.set_filter("")
        elif self.seen is not None and self.seen.replay_at is not None and self.seen.front.now:
            self.app.call_later(self.app.run_action, "app.command('live')")
        else:
            self.table.focus()

    def on_descendant_focus(self) -> None:
        """The heads tell which panel has the focus."""
        self._draw_heads()

    def _focused_table(self) -> LiveTable:
        """The table with the focus, else the workers'."""
        return self.focused if isinstance(self.focused, LiveTable) else self.table

    def action_turn(self) -> None:
        """Turns the order of the table round."""
        table = self._focused_table()
        table.sort_by(table.sort_column, descending=not table.descending)

    def sort_next(self) -> None:
        """Sorts the table with the focus by the next column."""
        self._focused_table().sort_step(1)

    @on(LiveTable.Arranged)
    def _arranged(self) -> None:
        self._settings.sort, self._settings.descending = (
            self.table.sort_column,
            self.table.descending,
        )
        self.replan()

    @on(AnswerPanel.Clicked)
    def _answer_clicked(self) -> None:
        self.prompt.focus()

    @on(Prompt.Suggested, f"#{Part.ASK}")
    def _suggested(self) -> None:
        text = clean(self.prompt.hint, 200) if self.prompt.has_focus else ""
        self._hint.say(text)

    @on(Prompt.NothingToTake)
    def _nothing_to_take(self) -> None:
        self.message.say("nothing to complete here: ESC leaves the line", bad=True)

    # -- the lines ----------------------------------------------------------------

    def open_line(self, kind: str, text: str = "") -> None:
        """Shows the command line: for a command (":") or for a filter ("/")."""
        self.line.open(kind, text, self._focused_table())
        self.replan()
        self.line.focus()

    def _line_closed(self, command: str) -> None:
        self.replan()
        self.line.table.focus()
        if command:
            self.app.call_later(self.app.run_action, f"app.line({command!r})")

    @on(Prompt.Left, f"#{Part.ASK}")
    def _ask_left(self) -> None:
        self.table.focus()

    @on(LiveTable.Opened, f"#{Part.EVENTS}")
    def _event_opened(self, event: LiveTable.Opened) -> None:
        self.app.push_screen(MessageScreen("Event", self.events.text_of(event.key)))
