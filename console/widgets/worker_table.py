"""The list of workers: rows and columns from what is seen, marks, and the keys that steer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from console.columns import WORKER_COLUMNS, Scene, WorkerColumn
from console.command import Command
from console.commands import COMMANDS
from console.keys import DECLARED_KEYS, Keys, unbound
from console.lines import Field, Tone
from console.plan import Part
from console.seen import Seen
from console.text import Glyphs
from console.widgets.rows import Row
from console.widgets.table import LiveTable
from console.worker_rows import (
    Chosen,
    bare_row,
    choose,
    make_scene,
    search_text,
    table_columns,
    total_row,
    worker_row,
)
from nodes.support.natural import natural_key
from nodes.wire import WorkerView, is_crash_looping

MAX_GONE = 3
"""Workers that are gone and have a line each; more are one line."""

SORT_ACTION = "sort_letter("
"""What the action of a column's letter begins with."""

GONE_KEY = "*gone"
"""The key of that line: no worker can be called so."""


def command_bindings(*, steers: bool, commands: Sequence[Command] = COMMANDS) -> list[BindingType]:
    """The keys of commands: those that steer are for the worker list and a worker's own screen,
    the others for every part of a screen.
    """
    return [
        Binding(
            command.key or unbound(command.name),
            f"app.command('{command.name}')",
            command.label.lower(),
            tooltip=command.help,
            id=command.name,
            show=bool(command.footer),
        )
        for command in commands
        if command.steers is steers
    ]


class WorkerTable(LiveTable):
    """See the module.

    Attributes:
        marked: the ids of the workers that a command is to act on together.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", key_display="SPC"),
        *command_bindings(steers=True),
        *(
            Binding(column.letter, f"{SORT_ACTION}'{column.title}')", show=False)
            for column in WORKER_COLUMNS
            if column.letter
        ),
    ]

    seen: reactive[Seen | None] = reactive(None, repaint=False, always_update=True)

    def __init__(
        self,
        glyphs: Glyphs,
        *,
        columns: Sequence[WorkerColumn] = WORKER_COLUMNS,
        keys: Keys = DECLARED_KEYS,
    ) -> None:
        super().__init__((), sort="ID", name=Part.WORKERS, glyphs=glyphs)
        self._possible_columns = columns
        self._taken_keys = keys.used
        self._clear_key = keys.typed("clear")
        self.marked: set[str] = set()
        self._unfolded = False
        self._scene: Scene | None = None
        self._chosen: Sequence[Chosen] = ()

    def watch_seen(self) -> None:
        """Draws the difference."""
        self.arrange_rows()

    def on_resize(self, _event: events.Resize) -> None:
        """Other columns may fit."""
        self.arrange_rows()

    def arrange_rows(self) -> None:
        """Makes the rows anew: those that are gone below, in one line if they are many."""
        seen = self.seen
        if seen is None or not self.size.area:
            return
        workers = seen.snapshot.workers
        self.marked &= {worker.id for worker in workers}
        gone = [one for one in workers if _is_gone(one)]
        self._unfolded &= len(gone) > MAX_GONE
        folded = len(gone) > MAX_GONE and not self._unfolded and not self.filter_text
        shown = [one for one in self._unfiltered(workers) if not (folded and _is_gone(one))]
        troubled = any(one.why for one in shown)
        ids = [one.id for one in workers]
        chosen = choose(self.size.width, ids, troubled=troubled, columns=self._possible_columns)
        scene = make_scene(
            seen.snapshot,
            seen.history,
            shown,
            self.glyphs,
            stale=seen.old,
            searched=bool(self.filter_text),
        )
        self._chosen, self._scene = chosen, scene
        rows = [self._bare(one) for one in workers if not _is_gone(one)]
        if folded:
            forgets = f", {self._clear_key} forgets them" if seen.replay_at is None else ""
            text = f"{len(gone)} gone (ENTER shows them{forgets})"
            rows.append(Row(GONE_KEY, (text,), (), Tone.MUTED, below=True, spans=True))
        else:
            rows += [self._bare(one, below=True) for one in _newest(gone)]
        self.set_columns(table_columns(chosen))
        self.set_rows(rows, total_row(chosen, scene) if len(shown) > 1 else None)

    def _bare(self, worker: WorkerView, *, below: bool = False) -> Row:
        assert self._scene is not None  # noqa: S101 - for the type checker
        return bare_row(worker, self._chosen, self._scene, sort=self.sort_column, below=below)

    def whole(self, row: Row) -> Row:
        """A worker's row is made when it is drawn."""
        if self._scene is None or not isinstance(row.data, tuple):
            return row
        return worker_row(row.data[0], self._chosen, self._scene)._replace(below=row.below)

    def sort_by(self, column: str, *, descending: bool | None = None) -> None:
        """Sort by a column; by the same one again turns the order round."""
        super().sort_by(column, descending=descending)
        self.arrange_rows()

    def _unfiltered(self, workers: tuple[WorkerView, ...]) -> list[WorkerView]:
        """Those that a filter leaves: totals are of nothing else."""
        if not self.filter_text:
            return list(workers)
        wanted = self.filter_text.casefold()
        return [one for one in workers if wanted in search_text(one).casefold()]

    def set_filter(self, text: str) -> None:
        """Show only the workers that contain `text`; the totals are of those."""
        super().set_filter(text)
        self.arrange_rows()

    @property
    def lines_wanted(self) -> int:
        """Lines that it would fill: its header, its rows, its total."""
        return 1 + max(1, len(self.keys)) + (self.footer is not None)

    @property
    def targets(self) -> list[str]:
        """The workers that a command acts on: the marked ones that are shown, else the one under
        the cursor.
        """
        shown = [key for key in self.keys if key != GONE_KEY]
        marked = [key for key in shown if key in self.marked]
        return marked or [key for key in shown if key == self.cursor]

    def order_fields(self) -> list[Field]:
        """What it is sorted and filtered by, for its head."""
        sign = self.glyphs.descending if self.descending else self.glyphs.ascending
        chosen = bool(self.filter_text)
        filtered = f" /{self.filter_text} " if chosen else " / filter "
        marked = f" {len(self.marked)} marked " if self.marked else ""
        tone = Tone.STRONG if chosen else Tone.MUTED
        action = "app.command('filter')"
        return [
            Field(marked, 9, Tone.STRONG, right=True),
            Field(f" sort {self.sort_column.lower()} {sign} ", 5, Tone.MUTED, right=True),
            Field(filtered, 8 if chosen else 3, tone, action, right=True),
        ]

    def lead_text(self, row: Row) -> str:
        """The cursor, and the mark."""
        cursor = self.glyphs.cursor if row.key == self.cursor else " "
        return f"{cursor}{self.glyphs.marked if row.key in self.marked else ' '}"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A letter that has become the key of a command does not sort."""
        if action != "sort_letter":
            return True
        return any(
            column.title == parameters[0] and column.letter not in self._taken_keys
            for column in self._possible_columns
        )

    def action_sort_letter(self, title: str) -> None:
        """Sorts by a column; by the same one again turns the order round."""
        self.sort_by(title)

    def action_mark(self) -> None:
        """Marks the row under the cursor, or takes its mark away, and goes on to the next."""
        if self.cursor and self.cursor != GONE_KEY:
            self.marked ^= {self.cursor}
            self.action_move(1)
            self.refresh()
            self.post_message(self.Arranged(self))

    def unmark(self) -> bool:
        """Takes all marks away; False if there were none."""
        had, self.marked = bool(self.marked), set()
        if had:
            self.refresh()
            self.post_message(self.Arranged(self))
        return had

    def action_open(self) -> None:
        """Shows those that are gone, or opens the worker under the cursor."""
        if self.cursor == GONE_KEY:
            self._unfolded = True
            self.arrange_rows()
        else:
            super().action_open()


def _is_gone(worker: WorkerView) -> bool:
    """Down, and not to come again by itself: crash-looping ones stay among the others."""
    return worker.state == "down" and not worker.frozen and not is_crash_looping(worker)


def _newest(gone: list[WorkerView]) -> list[WorkerView]:
    return sorted(gone, key=lambda one: (-one.state_since, natural_key(one.id)))
