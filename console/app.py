"""The application: which cluster, which screens, and what each command does to them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console import commands, messages
from console.commands import BY_NAME, COMMANDS, Command
from console.driver import Driver, Open
from console.export import export
from console.history import History
from console.query import completions
from console.screens.confirm import ConfirmScreen, MessageScreen, StoppingScreen
from console.screens.help import HelpScreen
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.settings import Settings
from console.text import Glyphs, clean, duration
from console.traffic import Traffic
from console.view import BAD_EVENTS
from console.widgets.bar import CommandButton
from console.widgets.query import QueryPanel
from console.widgets.table import LiveTable
from nodes.errors import BadRequest, RollcallError
from nodes.wire import ClusterSnapshot, Event, WorkerView

MOST_EVENTS = 2000
MOST_TOASTS = 3
"""Notifications at one look; what is more is only counted."""

OWN_DOING = 10.0
"""Seconds for which what happens to a worker is taken for what the operator did to it."""

TRAFFIC_RATE = 50
"""Lookups a second of the built-in load, unless the operator says otherwise."""


class RollcallApp(App[int]):
    """The console.

    Args:
        open_cluster: hosts or attaches; see `console.driver.Open`.
        settings: of the last run; changed in place.
        glyphs: what the terminal can show.
        attached: whether the cluster runs on without this console.
        read_only: takes the commands that steer away.
        tls: the folder of certificates for the built-in load; None for no TLS.
        every: seconds between two looks at the cluster.
    """

    TITLE = "Rollcall"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c", "command('quit')", "Quit", show=False, priority=True),
    ]

    def __init__(
        self,
        *,
        open_cluster: Open,
        settings: Settings,
        glyphs: Glyphs,
        attached: bool,
        read_only: bool = False,
        every: float = 0.5,
        tls: Path | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.glyphs = glyphs
        self.attached = attached
        self.read_only = read_only
        self.driver = Driver(open_cluster, self.post_message, every=every)
        self.traffic = Traffic(self.post_message, tls=tls)
        self.snapshot: ClusterSnapshot | None = None
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.history = History()
        self._conditions: dict[str, str] = {"start": "starting the cluster"}
        self._stopping = False
        self._steered: dict[str, float] = {}
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
        self.call_after_refresh(self._show_conditions)

    def watch_theme(self, theme: str) -> None:
        """Remembers the theme."""
        self.settings.theme = theme

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: Textual's own, and every command."""
        for entry in super().get_system_commands(screen):
            if entry.title not in ("Quit", "Maximize", "Minimize", "Keys", "Screenshot"):
                yield entry
        for command in COMMANDS:
            if self._may(command):
                yield SystemCommand(command.label, command.help, self._doer(command.name))

    def _doer(self, name: str) -> Callable[[], None]:
        return lambda: self.action_command(name)

    # -- what happened ------------------------------------------------------------

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """The cluster was looked at."""
        first = self.snapshot is None
        snapshot = self.snapshot = message.snapshot
        self.history.note(snapshot)
        self.events.extend(message.events)
        for condition in ("start", "lost"):
            self._conditions.pop(condition, None)
        frozen = [worker.id for worker in snapshot.workers if worker.frozen]
        self._condition("frozen", f"FROZEN: {', '.join(frozen)} (f thaws)" if frozen else "")
        if not first:
            self._toast(message.events)
        if self.main.whole:
            rates = {worker.id: self.history.of(worker.id) for worker in snapshot.workers}
            self.main.show(snapshot, rates, self.events)
        top = self._top()
        if isinstance(top, WorkerScreen):
            shown = top.worker_id
            top.show(self._worker(shown), self.history.of(shown), self.events)

    def on_cluster_lost(self, message: messages.ClusterLost) -> None:
        """The cluster cannot be seen."""
        at = time.strftime("%H:%M:%S", time.localtime(message.since))
        self._conditions.pop("start", None)
        self._condition("lost", f"NOT SEEN since {at}: {message.why}; trying again")
        self.main.show_lost()

    def on_build_progressed(self, message: messages.BuildProgressed) -> None:
        """The catalog is being built."""
        share = message.done / message.total if message.total else 0.0
        self._condition("start", f"building the catalog: {message.stage} {share:.0%}")

    def on_start_failed(self, message: messages.StartFailed) -> None:
        """There is no cluster, and there will be none."""
        self._condition("start", "the cluster could not be started")
        self.push_screen(
            MessageScreen("The cluster could not be started", message.why),
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
        if self.main.whole:
            self.main.asking.show_answer(message)

    def on_lookup_refused(self, message: messages.LookupRefused) -> None:
        """A lookup did not."""
        if self.main.whole:
            self.main.asking.show_refusal(message)

    def on_log_read(self, message: messages.LogRead) -> None:
        """A part of a log came."""
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.show_log(message)

    def on_traffic_reported(self, message: messages.TrafficReported) -> None:
        """The built-in load said how it goes."""
        text = f"TRAFFIC {self.traffic.rate}/s wanted, {message.report} (t stops)"
        self._condition("traffic", text if message.running and self.traffic.running else "")

    def on_stopped(self, _message: messages.Stopped) -> None:
        """The cluster is closed."""
        if self._stopping:
            self.exit(0)

    def _top(self) -> Screen[object] | None:
        """The screen in front; None while the application goes down, and still hears things."""
        return self.screen_stack[-1] if self.screen_stack else None

    def _condition(self, name: str, text: str) -> None:
        if text:
            self._conditions[name] = text
        else:
            self._conditions.pop(name, None)
        self._show_conditions()

    def _show_conditions(self) -> None:
        if self.main.whole:
            self.main.show_status(clean("   ".join(self._conditions.values())))

    def _toast(self, events: list[Event]) -> None:
        # What the operator did here has been answered already, and its consequences with it.
        now = time.monotonic()
        own = {worker for worker, at in self._steered.items() if now - at < OWN_DOING}
        bad = [e for e in events if e.kind in BAD_EVENTS and e.worker not in own]
        for event in bad[:MOST_TOASTS]:
            title = clean(f"{event.worker} {event.kind.replace('_', '-')}", 60)
            self.notify(clean(event.text, 200), title=title, severity="warning", markup=False)
        if len(bad) > MOST_TOASTS:
            self.notify(f"and {len(bad) - MOST_TOASTS} more events", markup=False)

    # -- commands -----------------------------------------------------------------

    def _may(self, command: Command) -> bool:
        return not (self.read_only and command.steers)

    def on_command_button_pressed(self, event: CommandButton.Pressed) -> None:
        """A button of the command bar."""
        self._do(event.command, "")

    def action_command(self, name: str) -> None:
        """Does a command, on the selected worker if it takes one."""
        self._do(BY_NAME[name], "")

    def action_line(self, line: str) -> None:
        """Does what was typed after `:`."""
        try:
            command, argument = commands.parse(line)
        except BadRequest as error:
            self.notify(clean(str(error)), severity="error", markup=False)
            return
        self._do(command, argument)

    def _do(self, command: Command, argument: str) -> None:
        if not self._may(command):
            self.notify("this console is read-only", severity="warning", markup=False)
        elif command.run is None:
            getattr(self, f"do_{command.name}")(argument)
        elif command.takes == "count" and not argument:
            self.main.open_line(":", f"{command.name} ")
        else:
            self._steer(command, argument)

    def _steer(self, command: Command, argument: str) -> None:
        """Has the cluster do it, once the operator has confirmed what is dangerous."""
        worker: WorkerView | None = None
        if command.takes == "worker":
            argument = argument or self.main.table.cursor
            worker = self._worker(argument)
            if worker is None:
                text = f"there is no worker {argument}" if argument else "select a worker first"
                self.notify(clean(text), severity="warning", markup=False)
                return
            if command.name == "freeze" and worker.frozen:
                command = BY_NAME["thaw"]
        if not command.dangerous or self.snapshot is None:
            self._run(command, argument)
            return
        effect = command.effect(self.snapshot, worker) if command.effect is not None else ""
        # `argument` is of now: whatever is selected when the answer comes does not matter.
        self.push_screen(
            ConfirmScreen(f"{command.label} {argument}".strip() + "?", effect or command.help),
            lambda yes: self._run(command, argument) if yes else None,
        )

    def _run(self, command: Command, argument: str) -> None:
        if command.takes == "worker":
            self._steered[argument] = time.monotonic()
        self.driver.run(command, argument)

    def _worker(self, worker_id: str) -> WorkerView | None:
        found = self.snapshot.workers if self.snapshot is not None else ()
        return next((worker for worker in found if worker.id == worker_id), None)

    def do_ask(self, argument: str) -> None:
        """Goes to the query box."""
        self.main.asking.remove_class("-hidden")
        if argument:
            self.main.asking.prompt.value = argument
        self.main.asking.prompt.focus()

    def do_details(self, argument: str) -> None:
        """Shows one worker."""
        worker_id = argument or self.main.table.cursor
        if self._worker(worker_id) is None:
            self.notify("select a worker first", severity="warning", markup=False)
            return
        screen = WorkerScreen(worker_id, self.driver, self.glyphs)
        self.push_screen(screen)
        self.call_after_refresh(
            lambda: screen.show(self._worker(worker_id), self.history.of(worker_id), self.events)
        )

    def do_filter(self, argument: str) -> None:
        """Opens the line for a filter."""
        self.main.open_line("/", argument)

    def do_command(self, argument: str) -> None:
        """Opens the line for a command."""
        self.main.open_line(":", argument)

    def do_sort(self, _argument: str) -> None:
        """Sorts by the next column."""
        self.main.action_sort(1)

    def do_help(self, _argument: str) -> None:
        """Shows every key and command."""
        self.push_screen(HelpScreen(read_only=self.read_only))

    def do_export(self, argument: str) -> None:
        """Writes the records found to a file."""
        if not argument:
            self.main.open_line(":", "export ")
            return
        try:
            path = export(self.main.asking.records, argument)
        except BadRequest as error:
            self.push_screen(MessageScreen("Export: not done", str(error)))
            return
        self.notify(clean(f"{len(self.main.asking.records)} record(s) in {path}"), markup=False)

    def do_traffic(self, argument: str) -> None:
        """Starts or stops the built-in load."""
        if self.traffic.running and not argument:
            self.traffic.stop()
            self._condition("traffic", "")
        elif not self.driver.address:
            self.notify("the cluster is not there yet", severity="warning", markup=False)
        elif argument and not (argument.isascii() and argument.isdigit() and int(argument)):
            self.notify("traffic takes lookups a second, as in :traffic 200", markup=False)
        else:
            self.traffic.start(self.driver.address, int(argument or TRAFFIC_RATE))
            self._condition("traffic", f"TRAFFIC {self.traffic.rate}/s starts (t stops)")

    def do_quit(self, _argument: str) -> None:
        """Asks, says what stops with it, and goes."""
        if self._stopping or isinstance(self.screen, ConfirmScreen):
            return
        self.push_screen(
            ConfirmScreen("Quit?", self._quit_effect()), lambda yes: self._quit() if yes else None
        )

    def _quit_effect(self) -> str:
        if self.attached:
            text = "The cluster runs on."
        else:
            up = len(self.snapshot.workers) if self.snapshot is not None else 0
            ran = duration(self.snapshot.uptime_s) if self.snapshot is not None else "0s"
            text = f"The master (up {ran}) and its {up} worker(s) stop, after their last lookups."
        if self.traffic.running:
            text += " The traffic stops."
        if any(worker.frozen for worker in (self.snapshot.workers if self.snapshot else ())):
            text += " Workers frozen here are thawed."
        return text

    def _quit(self) -> None:
        self._stopping = True
        self.traffic.stop()
        self.push_screen(StoppingScreen("Stopping: the last lookups are being answered ..."))
        self.driver.ask_to_stop()

    # -- panels -------------------------------------------------------------------

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Enter on a worker shows it."""
        if event.table.id == "workers":
            self.do_details(event.key)

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
        self.driver.ask(event.words, after=event.after)

    def on_query_panel_export_wanted(self) -> None:
        """The records are to be written to a file."""
        self.do_export("")

    def _complete_query(self, line: str) -> list[str]:
        try:
            shapes = self.driver.describe().lookups
        except RollcallError:
            return []  # nobody to ask yet
        return completions(line, shapes, self.driver.values)

    def _complete_command(self, line: str) -> list[str]:
        workers = self.snapshot.workers if self.snapshot is not None else ()
        return commands.complete(line, [worker.id for worker in workers])
