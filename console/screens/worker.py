"""One worker: its figures over the last five minutes, its events, its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from console.driver import Driver
from console.history import Sample
from console.messages import LogRead
from console.text import Glyphs, clean, memory_size, number, sparkline
from console.view import EVENT_COLUMNS, event_row, state_text
from console.widgets.table import Column, LiveTable, Row
from nodes.support.units import latency
from nodes.wire import Event, WorkerView

MAX_LINES = 5000
"""Lines of the log that are kept on the screen."""

LOG_POLL_S = 1.0
"""Seconds between two readings of the log."""


def figures_text(
    worker: WorkerView | None, samples: Sequence[Sample], width: int, glyphs: Glyphs
) -> str:
    """What the top of the screen says; None for a worker that is gone."""
    if worker is None:
        return "this worker is gone"
    head = (
        f"{clean(worker.id)}  {state_text(worker, glyphs)}  {clean(worker.why)}\n"
        f"{clean(worker.address) or 'no address'}  pid {worker.pid or '-'}  catalog "
        f"{clean(worker.catalog) or '-'}  registration {worker.generation}  "
        f"restarts {worker.restarts}"
    )
    wide = max(10, min(300, width - 34))
    lines = [
        ("lookups/s", [s.lookups_per_s for s in samples], number(round(worker.lookups_per_s, 1))),
        ("p99", [s.p99_ms for s in samples], latency(worker.p99_ms)),
        ("in flight", [float(s.in_flight) for s in samples], str(worker.in_flight)),
        ("CPU", [s.cpu_percent for s in samples], f"{worker.cpu_percent:.0f}%"),
        ("memory", [float(s.memory_bytes) for s in samples], memory_size(worker.memory_bytes)),
    ]
    drawn = [f"{name:<10}{now:>10}  {sparkline(v, wide, glyphs)}" for name, v, now in lines]
    return "\n".join([head, *drawn])


class WorkerScreen(Screen[None]):
    """Shows one worker until Escape.

    Args:
        worker_id: which.
        driver: reads its log.
        glyphs: what the terminal can show.
    """

    CSS_PATH = "worker.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back"),
        Binding("slash", "search", "Search the log"),
        Binding("F", "follow", "Follow the log"),
    ]

    def __init__(self, worker_id: str, driver: Driver, glyphs: Glyphs) -> None:
        super().__init__()
        self.worker_id = worker_id
        self._driver = driver
        self._glyphs = glyphs
        self._end = -1
        self._partial = ""
        self._lines: list[Row] = []
        self._read = 0
        self.following = True

    def compose(self) -> ComposeResult:
        """Figures, events, log, a line to search it."""
        yield Static("", id="figures", markup=False)
        yield LiveTable(EVENT_COLUMNS, name="events")
        yield LiveTable((Column("", 400),), name="log")
        yield Input(placeholder="search the log", id="search", compact=True)

    def on_mount(self) -> None:
        """Names the panels, and begins to read."""
        self.query_one("#events").border_title = "Events"
        log = self.query_one("#log")
        log.border_title = "Log"
        log.border_subtitle = "following   / search   F follow   Escape back"
        log.focus()
        self._ask_log()
        self.set_interval(LOG_POLL_S, self._ask_log)

    def show(
        self, worker: WorkerView | None, samples: Sequence[Sample], events: Sequence[Event]
    ) -> None:
        """Draws a snapshot's part of it."""
        text = figures_text(worker, samples, self.size.width, self._glyphs)
        figures = self.query_one("#figures", Static)
        if figures.content != text:
            figures.update(text)
        mine = [event_row(event) for event in reversed(events) if event.worker == self.worker_id]
        self.query_one("#events", LiveTable).set_rows(mine)

    def _ask_log(self) -> None:
        self._driver.read_log(self.worker_id, self._end)

    def show_log(self, part: LogRead) -> None:
        """Draws a part of the log."""
        if part.worker_id != self.worker_id:
            return
        table = self.query_one("#log", LiveTable)
        if part.why:
            if not self._lines:
                table.set_rows([Row("0", (clean(part.why),), (0,), "faint")])
            return
        self._end = part.end
        *whole, self._partial = (self._partial + part.text).split("\n")
        for line in whole:
            self._read += 1
            self._lines.append(Row(str(self._read), (clean(line, 1000),), (self._read,)))
        if not whole:
            return
        self._lines = self._lines[-MAX_LINES:]
        table.set_rows(self._lines)
        if self.following:
            table.scroll_end(animate=False)

    def action_follow(self) -> None:
        """Shows new lines as they come, or stays where it is."""
        self.following = not self.following
        log = self.query_one("#log", LiveTable)
        state = "following" if self.following else "not following"
        log.border_subtitle = f"{state}   / search   F follow   Escape back"
        if self.following:
            log.scroll_end(animate=False)

    def action_search(self) -> None:
        """Shows only the lines with a text."""
        self.query_one("#search").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters as it is typed."""
        self.query_one("#log", LiveTable).set_filter(event.value)

    def on_input_submitted(self) -> None:
        """Back to the lines."""
        self.query_one("#log").focus()

    def action_close(self) -> None:
        """Leaves the search, then the screen."""
        search = self.query_one("#search", Input)
        if search.value:
            search.value = ""
            self.query_one("#log").focus()
        else:
            self.dismiss()
