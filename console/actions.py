"""What the console does by itself for a command: lines, screens, files, the built-in load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import effects
from console.cluster_names import said_of
from console.export import exists, export
from console.replay import Way
from console.screens.confirm import ConfirmScreen, StoppingScreen
from console.screens.help import HelpScreen
from console.screens.worker import WorkerScreen
from nodes.errors import BadRequest
from nodes.support.units import counted

if TYPE_CHECKING:
    from console.app import RollcallApp

DEFAULT_TRAFFIC_PER_S = 50
"""Lookups a second of the built-in load, unless the operator says otherwise."""


class Actions:
    """A method for each `console.commands.ConsoleCommand`.

    Args:
        app: the application to act on.

    Attributes:
        quitting: whether the operator has confirmed to quit.
    """

    def __init__(self, app: RollcallApp) -> None:
        self._app = app
        self.quitting = False

    def focus_query(self, lookup: str = "") -> None:
        """Goes to the query line; what is typed next replaces what is there."""
        prompt = self._app.main.prompt
        if lookup:
            prompt.value = lookup
            prompt.cursor_position = len(lookup)
        prompt.focus()
        if not lookup:
            prompt.select_all()

    def show_details(self, key: str = "") -> None:
        """Opens the screen of a worker, the one under the cursor unless it is named."""
        app = self._app
        key = key or app.main.table.cursor
        target = app.find(key)
        if target is None:
            app.say(f"there is no worker {key}".rstrip(), bad=True)
            return
        cluster, worker = target
        app.push_screen(WorkerScreen(cluster.name, worker.id, cluster.driver, app.glyphs))
        app.call_after_refresh(app.show_seen)

    def open_filter(self, text: str = "") -> None:
        """Opens the line for a filter."""
        self._app.main.open_line("/", text)

    def open_command_line(self, text: str = "") -> None:
        """Opens the line for a command."""
        self._app.main.open_line(":", text)

    def sort_by_next_column(self) -> None:
        """Sorts the table with the focus."""
        self._app.main.sort_next()

    def group_by_machine(self) -> None:
        """Puts the workers below the machine that they run on, or back into one list."""
        app = self._app
        if app.seen is not None and app.seen.machines_told:
            app.main.table.group()
        else:
            app.say("all workers are on one machine: there is nothing to group", bad=True)

    def show_help(self) -> None:
        """Opens the list of every key and command."""
        app = self._app
        app.push_screen(
            HelpScreen(app.config.keys, read_only=app.read_only, able=app.steering.able)
        )

    def export_records(self, target: str = "") -> None:
        """Writes the records found to a file, as they are sorted; asks for its name unless it is
        given, and whether a file that is there is to be replaced.
        """
        app = self._app
        if app.guest:
            app.say(
                "export: a browser that may only look writes no files; a terminal does", bad=True
            )
        elif not target:
            app.main.open_line(":", "export ")
        elif exists(target):
            app.push_screen(
                ConfirmScreen(f"Replace {target}?", "There is such a file already."),
                lambda yes: self._export(target, replace=True) if yes else None,
            )
        else:
            self._export(target)

    def _export(self, target: str, *, replace: bool = False) -> None:
        records = self._app.main.answers.sorted_records
        try:
            path = export(records, target, replace=replace)
        except BadRequest as error:
            self._app.say(f"export: not done: {error}", bad=True)
            return
        self._app.say(f"{counted(len(records), 'record')} in {path}")

    def toggle_traffic(self, rate: str = "") -> None:
        """Starts the built-in load at `rate` lookups a second, or stops it if none is given."""
        app, cluster = self._app, self._app.front
        traffic, address = cluster.traffic, cluster.driver.address
        bad = False
        if traffic.running and not rate:
            traffic.stop()
            said = "traffic stopped"
        elif not address:
            said, bad = "the cluster is not there yet", True
        elif rate and not int(rate):
            said, bad = "traffic takes lookups a second, as in :traffic 200", True
        else:
            traffic.start(address, int(rate or DEFAULT_TRAFFIC_PER_S))
            key = app.config.keys.typed("traffic")
            said = f"traffic of {traffic.rate}/s starts ({key} stops it)"
        app.say(said_of(cluster.name, said), bad=bad)
        app.show_seen()

    def move(self, way: Way) -> None:
        """Shows another time."""
        self._app.replaying.move(way)

    def move_to(self, time: str = "") -> None:
        """Shows the time that is named; asks for it if none is."""
        if time:
            self._app.replaying.move(Way.TO, time)
        else:
            self._app.main.open_line(":", "at ")

    def show_now(self) -> None:
        """Shows the cluster as it is now."""
        self._app.replaying.leave()

    def confirm_quit(self) -> None:
        """Asks, says what stops with it, and quits."""
        app = self._app
        if self.quitting or isinstance(app.screen, ConfirmScreen):
            return
        if app.replaying.recorded is not None:
            app.exit(0)  # nothing stops with it
            return
        effect = effects.leave(
            app.snapshot,
            attached=app.attached,
            traffic=any(one.traffic.running for one in app.clusters),
            frozen_here=any(one.driver.has_to_undo and not one.lost for one in app.clusters),
            lost=[one.name for one in app.clusters if one.lost],
            run_on=[one.name for one in app.clusters if not one.lost],
        )
        app.push_screen(ConfirmScreen("Quit?", effect), lambda yes: self._quit() if yes else None)

    def _quit(self) -> None:
        self.quitting = True
        app = self._app
        app.push_screen(
            StoppingScreen(
                "Leaving ..."
                if app.attached
                else "Stopping: the last lookups are being answered ..."
            )
        )
        app.clusters.request_stop()
