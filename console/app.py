"""The application: shows what the driver learns of the cluster, and carries out commands."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console import commands, messages
from console.actions import Actions
from console.commands import (
    BY_NAME,
    Argument,
    ClusterCommand,
    Command,
    ConsoleCommand,
    usable,
)
from console.driver import Driver, OpenCluster
from console.history import History
from console.notifications import NotificationFilter
from console.query import completions
from console.screens.confirm import ConfirmScreen, MessageScreen
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.settings import Settings
from console.status import Condition, Status
from console.text import Glyphs, clean
from console.traffic import Traffic
from console.widgets.bar import CommandButton
from console.widgets.query import QueryPanel
from console.widgets.table import LiveTable
from nodes.errors import BadRequest, RollcallError
from nodes.wire import ClusterSnapshot, Event, WorkerView

MAX_EVENTS = 2000
MAX_TOASTS = 3
"""Notifications for one snapshot; what is more is only counted."""


class RollcallApp(App[int]):
    """The console.

    Args:
        open_cluster: hosts or attaches; see `console.driver.OpenCluster`.
        settings: of the last run; changed in place.
        glyphs: what the terminal can show.
        attached: whether the cluster runs on without this console.
        read_only: takes the commands that steer away.
        tls: the folder of certificates for the built-in load; None for no TLS.
        poll_interval_s: between two polls of the cluster.
    """

    TITLE = "Rollcall"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c", "command('quit')", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        *,
        open_cluster: OpenCluster,
        settings: Settings,
        glyphs: Glyphs,
        attached: bool,
        read_only: bool = False,
        poll_interval_s: float = 0.5,
        tls: Path | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.glyphs = glyphs
        self.attached = attached
        self.read_only = read_only
        self.driver = Driver(open_cluster, self.post_message, poll_interval_s=poll_interval_s)
        self.traffic = Traffic(self.post_message, tls=tls)
        self.snapshot: ClusterSnapshot | None = None
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.history = History()
        self.actions = Actions(self)
        self._status = Status()
        self._status.set(
            Condition.STARTING, "connecting to the cluster" if attached else "starting the cluster"
        )
        self._notification_filter = NotificationFilter()
        self.main = MainScreen(
            settings=settings,
            glyphs=glyphs,
            complete_query=self._complete_query,
            complete_command=self._complete_command,
            read_only=read_only,
            attached=attached,
        )

    def on_mount(self) -> None:
        """Shows the screen at once; the cluster comes up behind it."""
        if self.settings.theme in self.available_themes:
            self.theme = self.settings.theme
        self.push_screen(self.main)
        self.driver.start()
        self.call_after_refresh(self._show_status)

    def watch_theme(self, theme: str) -> None:
        """Remembers the theme."""
        self.settings.theme = theme

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: Textual's own, and every command."""
        for entry in super().get_system_commands(screen):
            if entry.title not in ("Quit", "Maximize", "Minimize", "Keys", "Screenshot"):
                yield entry
        for command in usable(read_only=self.read_only):
            yield SystemCommand(
                command.label, command.help, partial(self.action_command, command.name)
            )

    # -- what happened ------------------------------------------------------------

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """A snapshot of the cluster came."""
        first = self.snapshot is None
        snapshot = self.snapshot = message.snapshot
        self.history.add(snapshot)
        self.events.extend(message.events)
        self._status.set(Condition.STARTING, "")
        self._status.set(Condition.LOST, "")
        frozen = [worker.id for worker in snapshot.workers if worker.frozen]
        self.set_condition(
            Condition.FROZEN, f"FROZEN: {', '.join(frozen)} (f thaws)" if frozen else ""
        )
        self.set_condition(Condition.JOURNAL, snapshot.journal_trouble)
        if not first:
            self._toast(message.events)
        if self.main.is_composed:
            rates = {worker.id: self.history.samples(worker.id) for worker in snapshot.workers}
            self.main.show(snapshot, rates, self.events)
        top = self._top()
        if isinstance(top, WorkerScreen):
            self.draw_worker(top)

    def on_cluster_lost(self, message: messages.ClusterLost) -> None:
        """The cluster cannot be seen."""
        at = time.strftime("%H:%M:%S", time.localtime(message.since))
        self._status.set(Condition.STARTING, "")
        self.set_condition(Condition.LOST, f"NOT SEEN since {at}: {message.why}; trying again")
        self.main.show_lost()

    def on_build_progressed(self, message: messages.BuildProgressed) -> None:
        """The catalog is being built."""
        share = message.done / message.total if message.total else 0.0
        self.set_condition(Condition.STARTING, f"building the catalog: {message.stage} {share:.0%}")

    def on_start_failed(self, message: messages.StartFailed) -> None:
        """There is no cluster, and there will be none."""
        done = "reached" if self.attached else "started"
        self.set_condition(Condition.STARTING, f"the cluster could not be {done}")
        self.push_screen(
            MessageScreen(f"The cluster could not be {done}", message.why),
            lambda _none: self.exit(2, return_code=2, message=clean(message.why)),
        )

    def on_command_done(self, message: messages.CommandDone) -> None:
        """A command was carried out."""
        self.notify(clean(message.text), title=message.command.label, markup=False, timeout=4)

    def on_command_failed(self, message: messages.CommandFailed) -> None:
        """A command was not."""
        title = f"{message.command.label} {message.argument}".strip()
        self.push_screen(MessageScreen(f"{title}: not done", message.why))

    def on_lookup_answered(self, message: messages.LookupAnswered) -> None:
        """A lookup came back."""
        if self.main.is_composed:
            self.main.query_panel.show_answer(message)

    def on_lookup_refused(self, message: messages.LookupRefused) -> None:
        """A lookup did not."""
        if self.main.is_composed:
            self.main.query_panel.show_refusal(message)

    def on_log_read(self, message: messages.LogRead) -> None:
        """A part of a log came."""
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.show_log(message)

    def on_traffic_reported(self, message: messages.TrafficReported) -> None:
        """The built-in load said how it goes."""
        text = f"TRAFFIC {self.traffic.rate}/s wanted, {message.report} (t stops)"
        self.set_condition(
            Condition.TRAFFIC, text if message.running and self.traffic.running else ""
        )

    def on_stopped(self, _message: messages.Stopped) -> None:
        """The cluster is closed."""
        if self.actions.quitting:
            self.exit(0)

    def draw_worker(self, screen: WorkerScreen) -> None:
        """Draws the newest snapshot's part of a worker's screen."""
        worker_id = screen.worker_id
        screen.show(self.worker(worker_id), self.history.samples(worker_id), self.events)

    def _top(self) -> Screen[object] | None:
        """The screen in front; None while the application goes down, and still hears things."""
        return self.screen_stack[-1] if self.screen_stack else None

    def set_condition(self, condition: Condition, text: str) -> None:
        """What the status line says of a condition; "" when it has ended."""
        self._status.set(condition, text)
        self._show_status()

    def _show_status(self) -> None:
        if self.main.is_composed:
            self.main.show_status(self._status.line)

    def _toast(self, events: list[Event]) -> None:
        bad = self._notification_filter.select(events, time.monotonic())
        for event in bad[:MAX_TOASTS]:
            title = clean(f"{event.worker} {event.kind.replace('_', '-')}", 60)
            self.notify(clean(event.text, 200), title=title, severity="warning", markup=False)
        if len(bad) > MAX_TOASTS:
            self.notify(f"and {len(bad) - MAX_TOASTS} more events", markup=False)

    # -- commands -----------------------------------------------------------------

    def on_command_button_pressed(self, event: CommandButton.Pressed) -> None:
        """A button of the command bar."""
        self._dispatch(event.command, "")

    def action_command(self, name: str) -> None:
        """Does a command, on the selected worker if it takes one."""
        self._dispatch(BY_NAME[name], "")

    def action_line(self, line: str) -> None:
        """Does what was typed after `:`."""
        try:
            command, argument = commands.parse(line)
        except BadRequest as error:
            self.notify(clean(str(error)), severity="error", markup=False)
            return
        self._dispatch(command, argument)

    def _dispatch(self, command: Command, argument: str) -> None:
        match command:
            case ConsoleCommand():
                command.run(self.actions, argument)
            case ClusterCommand() if self.read_only:
                self.notify("this console is read-only", severity="warning", markup=False)
            case ClusterCommand(argument=Argument.COUNT) if not argument:
                self.main.open_line(":", f"{command.name} ")
            case ClusterCommand():
                self._confirm(command, argument)

    def _confirm(self, command: ClusterCommand, argument: str) -> None:
        """Has the cluster do it, once the operator has confirmed what is dangerous."""
        worker: WorkerView | None = None
        if command.argument is Argument.WORKER:
            argument = argument or self.main.table.cursor
            worker = self.worker(argument)
            if worker is None:
                text = f"there is no worker {argument}" if argument else "select a worker first"
                self.notify(clean(text), severity="warning", markup=False)
                return
            if command.undo is not None and command.is_done(worker):
                command = command.undo
        if command.effect is None or self.snapshot is None:
            self.run_on_cluster(command, argument)
            return
        # `argument` is of now: whatever is selected when the answer comes does not matter.
        self.push_screen(
            ConfirmScreen(
                f"{command.label} {argument}".strip() + "?", command.effect(self.snapshot, worker)
            ),
            lambda yes: self.run_on_cluster(command, argument) if yes else None,
        )

    def run_on_cluster(self, command: ClusterCommand, argument: str) -> None:
        """Has the cluster do it, without a question."""
        if command.argument is Argument.WORKER:
            self._notification_filter.acted_on(argument, time.monotonic())
        self.driver.run(command, argument)

    def worker(self, worker_id: str) -> WorkerView | None:
        """A worker as the newest snapshot has it; None if it is not in it."""
        found = self.snapshot.workers if self.snapshot is not None else ()
        return next((worker for worker in found if worker.id == worker_id), None)

    # -- panels -------------------------------------------------------------------

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Enter on a worker shows it."""
        if event.table.id == "workers":
            self.actions.show_details(event.key)

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        """An event, or a load bar, that is selected selects its worker."""
        if event.table.id == "load" and event.key:
            self.main.table.select(event.key)
        if event.table.id == "events" and event.table.screen is self.main and event.key:
            found = (one for one in reversed(self.events) if str(one.number) == event.key)
            one = next(found, None)
            if one is not None and one.worker:
                self.main.table.select(one.worker)

    def on_query_panel_asked(self, event: QueryPanel.Asked) -> None:
        """A lookup was typed."""
        self.driver.look_up(event.words, after=event.after)

    def on_query_panel_export_wanted(self) -> None:
        """The records are to be written to a file."""
        self.actions.export_records()

    def _complete_query(self, line: str) -> list[str]:
        try:
            shapes = self.driver.describe().lookups
        except RollcallError:
            return []  # nobody to ask yet
        return completions(line, shapes, self.driver.values)

    def _complete_command(self, line: str) -> list[str]:
        workers = self.snapshot.workers if self.snapshot is not None else ()
        return commands.complete(line, [worker.id for worker in workers])
