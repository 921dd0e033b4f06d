"""One worker: its figures over the last five minutes, its events, its log; and the same keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Input

from console.bars import trend
from console.charts import resample
from console.cluster_names import worker_key
from console.commands import TIME_COMMANDS
from console.driver import Driver
from console.history import HISTORY_S, History, Sample
from console.last_words import MAX_SAID, last_words_lines, run_before
from console.lines import Field, Line, Run, Tone, fit
from console.messages import LogRead
from console.plan import Part
from console.refusals import WITHOUT
from console.screens.confirm import MessageScreen
from console.seen import Overview
from console.states import is_measured, shown_state
from console.text import Glyphs, clean, memory_size, number
from console.widgets.drawn import Drawn
from console.widgets.event_table import EventTable
from console.widgets.message import KeyLine, MessageLine
from console.widgets.panels import Head, Tab, Tabs
from console.widgets.rows import Column, Row
from console.widgets.table import LiveTable
from console.widgets.worker_table import command_bindings
from nodes.support.supervision import Supervision, shielded
from nodes.support.units import duration, latency
from nodes.wire import WorkerView, reason

MAX_LINES = 5000
"""Lines of the log that are kept on the screen."""

LOG_POLL_S = 1.0
"""Seconds between two readings of the log."""

LOW_LINES = 30
"""Lines of a screen below which a worker's last words take the place of its charts."""

LOG_ACTIONS = ("search", "follow", "run_before")
"""The actions of its own that are for the log."""

FIGURE_CELLS = 24
"""Cells before a trend: what it is of, and its value now."""


def figure_lines(
    worker: WorkerView | None, history: History, now: float, width: int, glyphs: Glyphs
) -> list[Line]:
    """What the top of the screen says; None for a worker that is gone."""
    if worker is None:
        return [(Run(" this worker is gone; ESC goes back", Tone.BAD),)]
    state = shown_state(worker)
    head = [
        Field(f"{glyphs.states.get(state.name, ' ')} {state.name}", 10, state.tone),
        Field(clean(reason(worker, now), 300), 9, state.tone, shrinks=True),
        Field(f"for {duration(now - worker.state_since)}", 8, Tone.MUTED),
        Field(f"on {clean(worker.machine, 40)}" if worker.machine else "", 5, right=True),
        Field(clean(worker.address) or "no address", 5, right=True),
        Field(f"pid {worker.pid or '-'}", 6, right=True),
        Field(f"catalog {clean(worker.catalog) or '-'}", 4, Tone.MUTED, right=True),
        Field(f"up {duration(worker.uptime_s)}", 7, right=True),
        Field(f"restarts {worker.restarts}", 3, Tone.MUTED, right=True),
        Field(_program(worker), 2, Tone.MUTED, right=True),
    ]
    lines: list[Line] = [fit(head, width)]
    lines.append(fit(_counts(worker), width))
    samples = history.samples(worker.id)
    for name, value, shown in _figures(worker):
        points = history.worker_points(worker.id, value)
        room = max(10, width - FIGURE_CELLS - 2)
        values = resample(points, now, HISTORY_S, room, mean=False)
        top = max((v for v in (value(sample) for sample in samples) if v is not None), default=0.0)
        lead = f" {name:<11}{shown:>10}  "
        lines.append((Run(lead, Tone.STRONG), Run(trend(values, top, glyphs), Tone.MUTED)))
    return lines


def _program(worker: WorkerView) -> str:
    return f"Rollcall {clean(worker.program, 20)}" if worker.program else ""


def _bad_if(amount: int) -> Tone:
    return Tone.WARNING if amount else Tone.PLAIN


def _counts(worker: WorkerView) -> list[Field]:
    away = f"{worker.hedged_away} hedged, {worker.rerouted_away} rerouted away"
    return [
        Field(f"served {worker.served}"),
        Field(f"attempts {worker.attempts}"),
        Field(f"failed {worker.errors}", tone=_bad_if(worker.errors)),
        Field(away, tone=_bad_if(worker.hedged_away + worker.rerouted_away)),
    ]


Figure = tuple[str, Callable[[Sample], float | None], str]


def _figures(worker: WorkerView) -> Sequence[Figure]:
    """What is drawn over time: its name, its value in a sample, its value now."""
    cpu = f"{worker.cpu_percent:.0f}%" if is_measured(worker) else "-"
    return (
        ("lookups/s", lambda s: s.lookups_per_s, number(round(worker.lookups_per_s, 1))),
        ("p99", lambda s: s.p99_ms, latency(worker.p99_ms)),
        ("in flight", lambda s: float(s.in_flight), str(worker.in_flight)),
        ("CPU", lambda s: s.cpu_percent, cpu),
        ("memory", lambda s: float(s.memory_bytes), memory_size(worker.memory_bytes)),
    )


class WorkerScreen(Screen[None]):
    """Shows one worker until Escape. The keys that steer act on it.

    Args:
        cluster: the name of its cluster.
        worker_id: which.
        driver: of that cluster; it reads the worker's log.
        glyphs: what the terminal can show.
    """

    CSS_PATH = "worker.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back"),
        Binding("q", "close", "back", id="quit", show=False),
        *command_bindings(steers=True),
        *command_bindings(steers=False, commands=TIME_COMMANDS),
        Binding("slash", "search", "search the log", id="filter"),
        Binding("F", "follow", "follow the log"),
        Binding("b", "run_before", "run before"),
        Binding("question_mark", "app.command('help')", "help", id="help"),
        Binding("exclamation_mark", "app.message", "All of a message", show=False),
    ]

    seen: reactive[Overview | None] = reactive(None, repaint=False, always_update=True)

    def __init__(self, cluster: str, worker_id: str, driver: Driver, glyphs: Glyphs) -> None:
        super().__init__()
        self.cluster = cluster
        self.worker_id = worker_id
        self.following = True
        self._driver = driver
        self._glyphs = glyphs
        self._end = -1
        self._partial = ""
        self._lines: list[Row] = []
        self._read = 0
        self._replaying = False
        self._path = Tabs(Part.WORKERS_HEAD, glyphs)
        self._figures = Drawn(id="figures")
        self._end_head = Tabs(Part.RIGHT_TABS, glyphs)
        self._last_words = Drawn(id="last-words")
        self._events = EventTable(glyphs, name="worker-events")
        self._log_head = Tabs(Part.LEFT_TABS, glyphs)
        self._log = LiveTable((Column("", 400),), name="log", glyphs=glyphs)
        self._search = Input(placeholder="search the log", id="search", compact=True)
        self.message = MessageLine(glyphs)

    @property
    def key(self) -> str:
        """What the worker is known by on the screen."""
        return worker_key(self.cluster, self.worker_id)

    def compose(self) -> ComposeResult:
        """The verdict on the cluster; the way here; figures, last words, events, log; a line to
        search it.
        """
        yield Head(Part.HEAD, self._glyphs).data_bind(WorkerScreen.seen)
        yield self._path
        yield self._figures
        yield self._end_head
        yield self._last_words
        yield self._events
        yield self._log_head
        yield self._log
        yield self._search
        yield self.message
        yield KeyLine()

    def on_mount(self) -> None:
        """Begins to read."""
        self._log.focus()
        self._ask_log()
        ask = shielded(self._ask_log, Supervision("the question for the log"))
        self.set_interval(LOG_POLL_S, ask)
        self._draw_heads()

    def watch_seen(self) -> None:
        """Draws its part of it."""
        seen = self.seen.of(self.cluster) if self.seen is not None else None
        if seen is None or not self.is_mounted:
            return
        replaying, self._replaying = self._replaying, seen.replay_at is not None
        if replaying != self._replaying:
            self._show_lines()
        workers = seen.snapshot.workers
        worker = next((one for one in workers if one.id == self.worker_id), None)
        now, width = seen.snapshot.taken_at, self.size.width
        self._figures.draw(figure_lines(worker, seen.history, now, width, self._glyphs))
        self._draw_end(worker)
        mine = [event for event in seen.events if event.worker == self.worker_id]
        self._events.show({"": mine})
        self._draw_heads()

    def _draw_end(self, worker: WorkerView | None) -> None:
        """Its last words, if it is down."""
        low = self.size.height < LOW_LINES
        lines: list[Line] = []
        if worker is not None and worker.state == "down":
            # Logs are not recorded: what this one has may have been said later.
            log = [] if self._replaying else [row.cells[0] for row in self._lines]
            lines = last_words_lines(worker, log, self.size.width, most=1 if low else MAX_SAID)
            lines = lines[:1] if self._replaying else lines
        self._figures.styles.height = 2 if lines and low else 7
        if bool(lines) is not self._last_words.display:
            self._end_head.display = self._last_words.display = bool(lines)
            self.refresh_bindings()  # of what can be done now
        self._last_words.styles.height = len(lines)
        self._last_words.draw(lines)

    def _draw_heads(self) -> None:
        name = Tab(Part.WORKERS, "", f"Workers > {clean(self.key, 60)}")
        self._path.show([name], Part.WORKERS, focused=False, note="ESC goes back")
        self._end_head.show(
            [Tab(Part.EVENTS, "", "Last words")],
            None,
            focused=False,
            note="" if self._replaying else "b: the run before",
        )
        log = Tab(Part.ANSWER, "", "Log")
        note = "following" if self.following else "not following"
        note = "" if self._replaying else note
        searched = f"/{clean(self._search.value, 60)}  " if self._search.value else ""
        focused = self.focused is self._log
        self._log_head.show([log], Part.ANSWER, focused=focused, note=f"{searched}{note}")

    def action_panel(self, name: str) -> None:
        """A click on the way here goes back; one on another head goes to the log."""
        if name == Part.WORKERS:
            self.dismiss()
        else:
            self._log.focus()

    def action_run_before(self) -> None:
        """Goes to where the run before the one under the cursor starts."""
        if self._replaying:
            self.message.say("logs are not recorded", bad=True)
            return
        log = [row.cells[0] for row in self._lines]
        keys = [row.key for row in self._lines]
        now = keys.index(self._log.cursor) if self._log.cursor in keys else len(keys)
        start = run_before(log, now)
        if start is None:
            self.message.say("the log has no run before this one", bad=True)
            return
        self.following = False
        self._log.set_filter("")
        self._log.select(keys[start])
        self._draw_heads()

    @on(LiveTable.Opened, "#worker-events")
    def _event_opened(self, event: LiveTable.Opened) -> None:
        self.app.push_screen(MessageScreen("Event", self._events.text_of(event.key)))

    @property
    def _has_logs(self) -> bool:
        """Whether its master has logs, as far as that is known."""
        seen = self.seen.of(self.cluster) if self.seen is not None else None
        return seen is None or "log" in seen.snapshot.abilities

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a log there is nothing to do in it."""
        if action in LOG_ACTIONS and not self._has_logs:
            return False
        return super().check_action(action, parameters)

    def _ask_log(self) -> None:
        if self._replaying:
            return
        if not self._has_logs:
            self._log.set_rows([Row("0", (WITHOUT["log"],), (0,), Tone.FAINT)])
            return
        self._driver.read_log(self.worker_id, self._end)

    def show_log(self, part: LogRead) -> None:
        """Draws a part of the log."""
        if (part.cluster, part.worker_id) != (self.cluster, self.worker_id):
            return
        if part.why:
            if not self._lines and not self._replaying:
                self._log.set_rows([Row("0", (clean(part.why),), (0,), Tone.FAINT)])
            return
        self._end = part.end
        *whole, self._partial = (self._partial + part.text).split("\n")
        for line in whole:
            self._read += 1
            self._lines.append(Row(str(self._read), (clean(line, 1000),), (self._read,)))
        if not whole:
            return
        self._lines = self._lines[-MAX_LINES:]
        self._show_lines()

    def _show_lines(self) -> None:
        """Draws the log, which is of now alone."""
        if self._replaying:
            self._log.set_rows([Row("0", ("logs are not recorded",), (0,), Tone.FAINT)])
            return
        self._log.set_rows(self._lines)
        if self.following:
            self._log.action_edge(1)

    def action_follow(self) -> None:
        """Shows new lines as they come, or stays where it is."""
        self.following = not self.following
        if self.following:
            self._log.action_edge(1)
        self._draw_heads()

    def action_search(self) -> None:
        """Shows only the lines with a text."""
        self._search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters as it is typed."""
        self._log.set_filter(event.value)
        self._draw_heads()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the lines; the search stays."""
        event.stop()
        self._log.focus()

    def action_close(self) -> None:
        """Leaves the search, then the screen."""
        if self._search.value:
            self._search.value = ""
            self._log.focus()
        else:
            self.dismiss()
