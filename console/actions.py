"""What the console does by itself for a command: lines, screens, files, the built-in load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console import effects
from console.export import export
from console.screens.confirm import ConfirmScreen, MessageScreen, StoppingScreen
from console.screens.help import HelpScreen
from console.screens.worker import WorkerScreen
from console.status import Condition
from console.text import clean
from nodes.errors import BadRequest

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
        """Goes to the query box, with `lookup` typed into it if there is one."""
        panel = self._app.main.query_panel
        panel.remove_class("-hidden")
        if lookup:
            panel.prompt.value = lookup
        panel.prompt.focus()

    def show_details(self, worker_id: str = "") -> None:
        """Opens the screen of a worker, the selected one unless it is named."""
        app = self._app
        worker_id = worker_id or app.main.table.cursor
        if app.worker(worker_id) is None:
            text = f"there is no worker {worker_id}" if worker_id else "select a worker first"
            app.notify(clean(text), severity="warning", markup=False)
            return
        screen = WorkerScreen(worker_id, app.driver, app.glyphs)
        app.push_screen(screen)
        app.call_after_refresh(lambda: app.draw_worker(screen))

    def open_filter(self, text: str = "") -> None:
        """Opens the line for a filter."""
        self._app.main.open_line("/", text)

    def open_command_line(self, text: str = "") -> None:
        """Opens the line for a command."""
        self._app.main.open_line(":", text)

    def sort_by_next_column(self) -> None:
        """Sorts the table with the focus."""
        self._app.main.action_sort(1)

    def show_help(self) -> None:
        """Opens the list of every key and command."""
        self._app.push_screen(HelpScreen(read_only=self._app.read_only))

    def export_records(self, target: str = "") -> None:
        """Writes the records found to a file; asks for its name unless it is given."""
        app = self._app
        if not target:
            app.main.open_line(":", "export ")
            return
        records = app.main.query_panel.records
        try:
            path = export(records, target)
        except BadRequest as error:
            app.push_screen(MessageScreen("Export: not done", str(error)))
            return
        app.notify(clean(f"{len(records)} record(s) in {path}"), markup=False)

    def toggle_traffic(self, rate: str = "") -> None:
        """Starts the built-in load at `rate` lookups a second, or stops it if none is given."""
        app = self._app
        if app.traffic.running and not rate:
            app.traffic.stop()
            app.set_condition(Condition.TRAFFIC, "")
        elif not app.driver.address:
            app.notify("the cluster is not there yet", severity="warning", markup=False)
        elif rate and not int(rate):
            app.notify("traffic takes lookups a second, as in :traffic 200", markup=False)
        else:
            app.traffic.start(app.driver.address, int(rate or DEFAULT_TRAFFIC_PER_S))
            app.set_condition(Condition.TRAFFIC, f"TRAFFIC {app.traffic.rate}/s starts (t stops)")

    def confirm_quit(self) -> None:
        """Asks, says what stops with it, and quits."""
        app = self._app
        if self.quitting or isinstance(app.screen, ConfirmScreen):
            return
        effect = effects.leave(
            app.snapshot,
            attached=app.attached,
            traffic=app.traffic.running,
            frozen_here=app.driver.has_to_undo,
        )
        app.push_screen(ConfirmScreen("Quit?", effect), lambda yes: self._quit() if yes else None)

    def _quit(self) -> None:
        self.quitting = True
        app = self._app
        app.traffic.stop()
        app.push_screen(
            StoppingScreen(
                "Leaving ..."
                if app.attached
                else "Stopping: the last lookups are being answered ..."
            )
        )
        app.driver.request_stop()
