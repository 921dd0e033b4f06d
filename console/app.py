"""The application: shows what the drivers learn of the clusters, and carries out commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console import messages
from console.actions import Actions
from console.asking import Asking
from console.clusters import Clusters, Target
from console.colours import console_colours
from console.command_text import parse
from console.commands import BY_NAME, usable
from console.config import Config
from console.driver import OpenCluster
from console.replaying import Replaying
from console.screens.confirm import MessageScreen
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.seen import Overview
from console.settings import Settings
from console.signals import heed_signals
from console.steering import Steering
from console.text import Glyphs, clean
from console.type_ahead import TypeAheadApp
from console.watched import WatchedCluster
from console.widgets.answer import AnswerPanel
from console.widgets.bar import CommandButton
from console.widgets.prompt import Prompt
from console.widgets.table import LiveTable
from nodes.errors import BadRequest
from nodes.wire import ClusterSnapshot

if TYPE_CHECKING:
    from console.recorded_file import RecordedFile

AGE_EVERY_S = 1.0
"""Seconds between two looks at how old the newest snapshot is."""


class RollcallApp(TypeAheadApp):
    """The console.

    Args:
        clusters: what hosts or attaches to each, by its name; see `console.cluster_names` and
            `console.driver.OpenCluster`.
        settings: of the last run; changed in place.
        glyphs: what the terminal can show.
        attached: whether the clusters run on without this console.
        read_only: takes the commands that steer away.
        tls: the folder of certificates for the built-in load; None for no TLS.
        config: what the operator's settings file says; None for nothing.
        poll_interval_s: between two polls of a cluster; None for what the file says.
        recorded: what is shown in the place of a cluster; None where there is one.
    """

    TITLE = "Rollcall"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c", "command('quit')", "Quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, priority=True),
    ]

    def __init__(
        self,
        *,
        clusters: Mapping[str, OpenCluster],
        settings: Settings,
        glyphs: Glyphs,
        attached: bool,
        read_only: bool = False,
        config: Config | None = None,
        poll_interval_s: float | None = None,
        tls: Path | None = None,
        recorded: RecordedFile | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.config = config = config or Config()
        if poll_interval_s is None:
            poll_interval_s = config.refresh_s
        self.glyphs = glyphs
        self.attached = attached
        self.read_only = read_only
        self.clusters = Clusters(
            WatchedCluster(
                name,
                opening,
                self.post_message,
                poll_interval_s=poll_interval_s,
                tls=tls,
                recorded=recorded,
            )
            for name, opening in clusters.items()
        )
        self.actions = Actions(self)
        self.steering = Steering(self)
        self.asking = Asking(self)
        self.replaying = Replaying(self, recorded)
        self.main = MainScreen(
            settings=settings,
            glyphs=glyphs,
            complete_query=self.asking.complete_query,
            complete_command=self.asking.complete_command,
            read_only=read_only,
            config=config,
        )
        self.set_keymap(config.keys.keymap)

    def on_mount(self) -> None:
        """Shows the screen at once; the cluster comes up behind it."""
        chosen = self.config.theme or self.settings.theme
        if chosen in self.available_themes:
            self.theme = chosen
        elif not self.is_headless and self.console.color_system == "standard":
            self.theme = "ansi-dark"  # sixteen colours, as the terminal has them
        self.set_class(self.glyphs.ascii, "-ascii")
        if not self.is_headless:
            heed_signals(self.leave)
        self.push_screen(self.main)
        if self.replaying.recorded is not None:
            self.call_after_refresh(self.replaying.open)
            return
        self.clusters.start()
        self.call_after_refresh(self._show_start)
        self.set_interval(AGE_EVERY_S, self._look_at_age)

    def on_unmount(self) -> None:
        """Whatever of a recording is being read is given up."""
        self.replaying.stop()

    def leave(self) -> None:
        """A signal asks to end: the screen is put back; whoever runs the application lets go of
        the clusters in order.
        """
        self.exit(0)

    def watch_theme(self, theme: str) -> None:
        """Remembers the theme that was chosen."""
        if self.is_running and theme != "ansi-dark":
            self.settings.theme = theme

    def get_css_variables(self) -> dict[str, str]:
        """The theme's, and colours of states that can be read on it."""
        variables = super().get_css_variables()
        return {**variables, **console_colours(variables)}

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: Textual's own, and every command."""
        for entry in super().get_system_commands(screen):
            if entry.title not in ("Quit", "Maximize", "Minimize", "Keys", "Screenshot"):
                yield entry
        for command in usable(read_only=self.read_only):
            yield SystemCommand(
                command.label, command.help, partial(self.action_command, command.name)
            )

    # -- what is seen -------------------------------------------------------------

    @property
    def front(self) -> WatchedCluster:
        """The cluster in front: that of the worker's screen, or of the row under the cursor."""
        top = self._top()
        return self.clusters.follow(
            top.key if isinstance(top, WorkerScreen) else self.main.table.cursor
        )

    @property
    def snapshot(self) -> ClusterSnapshot | None:
        """The newest of the cluster in front; None before the first."""
        return self.front.snapshot

    def on_snapshot_taken(self, message: messages.SnapshotTaken) -> None:
        """A snapshot of a cluster came."""
        bad_news = self.clusters[message.cluster].take(message.snapshot, message.events)
        if bad_news:
            now = "now: " if self.replaying.frame is not None else ""
            self.say(f"{now}{bad_news}", bad=True)
        self.show_seen()

    def on_history_read(self, message: messages.HistoryRead) -> None:
        """What the journal has of the time before."""
        self.clusters[message.cluster].seed(message.seconds)
        self.show_seen()

    def on_replayed(self, message: messages.Replayed) -> None:
        """Another time was read, or was not."""
        self.replaying.replayed(message)

    def on_cluster_lost(self, message: messages.ClusterLost) -> None:
        """A cluster cannot be seen."""
        self.clusters[message.cluster].lose(message.why)
        self._show_start()
        self.show_seen()

    def _show_start(self) -> None:
        """Says what is awaited, as long as nothing is seen."""
        if self.main.is_mounted:
            start = "connecting to the cluster" if self.attached else "starting the cluster"
            self.main.head.show_start(self.clusters.not_reached or start)

    def _look_at_age(self) -> None:
        seen = self.seen
        if seen is not None and (seen.old or seen.replay_at is not None):
            self.show_seen()

    @property
    def seen(self) -> Overview | None:
        """What there is to be seen: of now, or of another time."""
        now = self.clusters.overview(
            self.front,
            read_only=self.read_only,
            attached=self.attached,
            keys=self.config.keys,
        )
        return self.replaying.overview(now) or now

    def show_seen(self) -> None:
        """Draws what is seen, on every screen that shows some of it."""
        seen = self.seen
        if seen is None or not self.main.is_mounted:
            return
        self.main.seen = seen
        self.main.workers_head.refuse(self.steering.refusal)
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.seen = seen

    def on_build_progressed(self, message: messages.BuildProgressed) -> None:
        """The catalog is being built."""
        share = message.done / message.total if message.total else 0.0
        if self.main.is_mounted:
            self.main.head.show_start(f"building the catalog: {message.stage} {share:.0%}")

    def on_start_failed(self, message: messages.StartFailed) -> None:
        """There is no such cluster, and there will be none: without any, the console ends."""
        cluster = self.clusters[message.cluster]
        cluster.failed = True
        cluster.lose(message.why)
        if not all(one.failed for one in self.clusters):
            self.show_seen()
            return
        done = "reached" if self.attached else "started"
        self.main.head.show_start(f"the cluster could not be {done}", failed=True)
        self.push_screen(
            MessageScreen(f"The cluster could not be {done}", message.why),
            lambda _none: self.exit(2, return_code=2, message=clean(message.why)),
        )

    def on_traffic_reported(self, message: messages.TrafficReported) -> None:
        """The built-in load said how it goes."""
        report = f"traffic {message.report}" if message.running else ""
        self.clusters[message.cluster].traffic_report = report
        self.show_seen()

    def on_log_read(self, message: messages.LogRead) -> None:
        """A part of a log came."""
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.show_log(message)

    def on_stopped(self, message: messages.Stopped) -> None:
        """A cluster is closed."""
        self.clusters[message.cluster].stopped = True
        if self.actions.quitting and all(one.stopped for one in self.clusters):
            self.exit(0)

    def _top(self) -> Screen[object] | None:
        """The screen in front; None while the application goes down, and still hears things."""
        return self.screen_stack[-1] if self.screen_stack else None

    # -- what is said -------------------------------------------------------------

    def say(self, text: str, *, bad: bool = False) -> None:
        """Says what became of something, on the line at the bottom."""
        self.main.message.say(text, bad=bad)
        top = self._top()
        if isinstance(top, WorkerScreen):
            top.message.say(text, bad=bad)

    def notify(self, message: str, *_args: object, severity: str = "", **_kw: object) -> None:
        """What Textual itself has to say is said there as well: nothing floats."""
        self.say(message, bad=severity in ("warning", "error"))

    def action_message(self) -> None:
        """Shows all of the newest message."""
        if self.main.message.text:
            self.push_screen(MessageScreen("Message", self.main.message.text))

    def on_command_done(self, message: messages.CommandDone) -> None:
        """A command was carried out, or was not."""
        text, failed = self.steering.outcome(message)
        self.say(text, bad=failed)

    # -- commands -----------------------------------------------------------------

    @property
    def targets(self) -> list[str]:
        """The keys of the workers that a command without one acts on: those on the screen."""
        top = self._top()
        if isinstance(top, WorkerScreen):
            return [top.key]
        return self.main.table.targets if self.main.is_mounted else []

    def find(self, key: str) -> Target | None:
        """A worker as it is seen, by its key; see `Clusters.find`."""
        seen = self.seen
        return self.clusters.find(key, seen) if seen is not None else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key does anything on a screen that is too small, but quit; a read-only console has
        no key that steers.
        """
        if action != "command" or not parameters:
            return True
        command = BY_NAME[str(parameters[0])]
        if (command.steers and self.read_only) or not self.steering.offered(command):
            return False
        if command.name == "live" and self.replaying.recorded is not None:
            return False  # a recording has no now
        return command.name == "quit" or not self.main.too_small

    def on_command_button_pressed(self, event: CommandButton.Pressed) -> None:
        """A button of the worker list."""
        if event.by_mouse:
            self.main.table.focus()
        self.steering.dispatch(event.command)

    def action_command(self, name: str) -> None:
        """Does a command, on the marked workers or the one under the cursor if it takes any."""
        self.steering.dispatch(BY_NAME[name])

    def action_line(self, line: str) -> None:
        """Does what was typed after `:`."""
        try:
            command, argument = parse(line)
        except BadRequest as error:
            self.say(str(error), bad=True)
            return
        self.steering.dispatch(command, argument)

    # -- panels -------------------------------------------------------------------

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        """Another worker is under the cursor, and so perhaps another cluster in front."""
        if event.table is self.main.table and len(list(self.clusters)) > 1:
            self.show_seen()

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        """Enter on a worker shows it."""
        if event.table is self.main.table:
            self.actions.show_details(event.key)

    def on_input_submitted(self, event: Prompt.Submitted) -> None:
        """A lookup was typed."""
        if event.input is self.main.prompt:
            self.asking.ask(event.value.strip())

    def on_answer_panel_more_wanted(self, event: AnswerPanel.MoreWanted) -> None:
        """The next page of an answer."""
        if why := self.replaying.refusal:
            self.say(why, bad=True)
            return
        self.clusters[event.cluster].driver.look_up(event.words, after=event.after)

    def on_answer_panel_export_wanted(self) -> None:
        """The records are to be written to a file."""
        self.actions.export_records()

    def on_lookup_answered(self, message: messages.LookupAnswered) -> None:
        """A lookup came back."""
        if self.main.is_mounted:
            self.asking.answered(message)

    def on_lookup_refused(self, message: messages.LookupRefused) -> None:
        """A lookup did not."""
        if self.main.is_mounted:
            self.asking.refused(message)
