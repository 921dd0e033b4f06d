"""The application: carries out commands on the clusters that it watches."""

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
from console.opening import OpenCluster
from console.replaying import Replaying
from console.screens.main import MainScreen
from console.screens.worker import WorkerScreen
from console.settings import Settings
from console.signals import heed_signals
from console.steering import Steering
from console.text import Glyphs
from console.watched import WatchedCluster
from console.watching import WatchingApp
from console.widgets.answer import AnswerPanel
from console.widgets.bar import CommandButton
from console.widgets.prompt import Prompt
from console.widgets.table import LiveTable
from nodes.errors import BadRequest
from nodes.support.supervision import Supervision, shielded

if TYPE_CHECKING:
    from console.recorded_file import RecordedFile

AGE_EVERY_S = 1.0
"""Seconds between two looks at how old the newest snapshot is."""


class RollcallApp(WatchingApp):
    """The console.

    Args:
        clusters: what hosts or attaches to each, by its name; see `console.cluster_names` and
            `console.driver.OpenCluster`.
        settings: of the last run; changed in place.
        glyphs: what the terminal can show.
        attached: whether the clusters run on without this console.
        read_only: takes the commands that steer away.
        guest: whether whoever looks on is a guest of this machine's: nothing is written on it.
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
        guest: bool = False,
        config: Config | None = None,
        poll_interval_s: float | None = None,
        tls: Path | None = None,
        recorded: RecordedFile | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        config = config or Config()
        self.config = config = config._replace(keys=config.keys._replace(read_only=read_only))
        if poll_interval_s is None:
            poll_interval_s = config.refresh_s
        self.glyphs = glyphs
        self.attached = attached
        self.told_read_only = read_only
        self.guest = guest
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
            explain_query=self.asking.explain_query,
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
        look = shielded(self._look_at_age, Supervision("the look at the screen's age"))
        self.set_interval(AGE_EVERY_S, look)

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
        for command in filter(self.steering.able, usable(read_only=self.read_only)):
            yield SystemCommand(
                command.label, command.help, partial(self.action_command, command.name)
            )

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
