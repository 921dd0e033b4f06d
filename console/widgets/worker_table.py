"""The list of workers: rows and columns from what is seen, marks, and the keys that steer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from console.cluster_names import said_of, worker_key
from console.columns import MACHINE, WORKER_COLUMNS, WorkerColumn
from console.command import Command
from console.commands import COMMANDS
from console.keys import DECLARED_KEYS, Keys, unbound
from console.lines import Field, Tone
from console.machine_rows import machine_members, machine_rows
from console.plan import Part
from console.scene import Scene
from console.seen import Overview, Seen
from console.text import Glyphs
from console.widgets.rows import Row
from console.widgets.table import LiveTable
from console.worker_rows import (
    NO_WORKER,
    Chosen,
    bare_row,
    choose,
    highest_per_s,
    is_gone,
    make_scene,
    newest_gone,
    remark_row,
    search_text,
    table_columns,
    total_row,
    worker_row,
)
from nodes.wire import ClusterSnapshot, WorkerView

MAX_GONE = 3
"""Workers that are gone and have a line each; more are one line."""

SORT_ACTION = "sort_letter("
"""What the action of a column's letter begins with."""

GONE_KEY = f"{NO_WORKER}gone"
"""The key of that line."""


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
        marked: the keys of the workers that a command is to act on together.
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

    seen: reactive[Overview | None] = reactive(None, repaint=False, always_update=True)

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
        self._clear_key, self._spawn_key = keys.typed("clear"), keys.typed("spawn")
        self._spawns_here = not keys.read_only
        self.marked: set[str] = set()
        self._unfolded: set[str] = set()
        self._scenes: dict[str, Scene] = {}
        self._chosen: Sequence[Chosen] = ()

    def watch_seen(self) -> None:
        """Draws the difference."""
        self.arrange_rows()

    def on_resize(self, _event: events.Resize) -> None:
        """Other columns may fit."""
        self.arrange_rows()

    def arrange_rows(self) -> None:
        """Makes the rows anew: those that are gone below, in one line if they are many."""
        overview = self.seen
        if overview is None or not self.size.area:
            return
        workers = [(seen, worker) for seen in overview.clusters for worker in seen.snapshot.workers]
        spawns = f": {self._spawns(overview.front.snapshot)}"
        self.say_empty(f"No workers{spawns if overview.replay_at is None else ''}")
        self.marked &= {worker_key(seen.name, worker.id) for seen, worker in workers}
        top_per_s = highest_per_s(overview.clusters)
        self._scenes = {
            seen.name: make_scene(
                seen,
                self._counted(seen),
                self.glyphs,
                top_per_s=top_per_s,
                searched=bool(self.filter_text),
            )
            for seen in overview.clusters
        }
        shown = [worker for scene in self._scenes.values() for worker in scene.shown]
        self._chosen = choose(
            self.size.width,
            [worker.id for _, worker in workers],
            troubled=any(one.why for one in shown),
            columns=self._possible_columns,
            clusters=[scene.label for scene in self._scenes.values()],
            machines=overview.machines_told,
        )
        self.set_columns(table_columns(self._chosen))
        total = total_row(self._chosen, list(self._scenes.values())) if len(shown) > 1 else None
        self.set_rows(self._rows(), total)

    def _rows(self) -> list[Row]:
        """Those that are gone stand below. There is a row of each cluster, so that each can be in
        front.
        """
        replays = self.seen is not None and self.seen.replay_at is not None
        scenes = self._scenes.values()
        grouped = self.seen is not None and self.seen.machines_told and self.sort_column == MACHINE
        upper = [row for one in scenes if grouped for row in machine_rows(one, self._chosen)]
        lower: list[Row] = []
        for name, scene in self._scenes.items():
            workers = scene.snapshot.workers
            gone = [one for one in workers if is_gone(one)]
            upper += [self._bare(one, scene) for one in workers if not is_gone(one)]
            if self._folds(name, workers):
                forgets = "" if replays else f", {self._clear_key} forgets them"
                said = f"{len(gone)} gone (ENTER shows them{forgets})"
                lower.append(remark_row(name, GONE_KEY, said_of(name, said), below=True))
                continue
            lower += [self._bare(one, scene, below=True) for one in newest_gone(gone)]
            if name and not workers:
                spawns = "" if replays else f": {self._spawns(scene.snapshot)}"
                upper.append(remark_row(name, NO_WORKER, f"{name} has no workers{spawns}"))
        return upper + lower

    def _spawns(self, snapshot: ClusterSnapshot) -> str:
        """What brings a first worker."""
        if self._spawns_here and "spawn" in snapshot.abilities:
            return f"{self._spawn_key} spawns one"
        return "'rollcall-nodes worker' starts one"

    def _bare(self, worker: WorkerView, scene: Scene, *, below: bool = False) -> Row:
        return bare_row(worker, self._chosen, scene, sort=self.sort_column, below=below)

    def whole(self, row: Row) -> Row:
        """A worker's row is made when it is drawn."""
        if not isinstance(row.data, tuple):
            return row
        worker, name, *_ = row.data
        return worker_row(worker, self._chosen, self._scenes[name])._replace(below=row.below)

    def sort_by(self, column: str, *, descending: bool | None = None) -> None:
        """Sort by a column; by the same one again turns the order round."""
        super().sort_by(column, descending=descending)
        self.arrange_rows()
        self.select(self.cursor)

    def group(self) -> None:
        """Puts the workers below the machine that they run on, or back into one list."""
        self.sort_by("ID" if self.sort_column == MACHINE else MACHINE, descending=False)

    def _folds(self, cluster: str, workers: Sequence[WorkerView]) -> bool:
        """Whether those of a cluster that are gone are one line."""
        if sum(map(is_gone, workers)) <= MAX_GONE:
            self._unfolded.discard(cluster)
            return False
        return cluster not in self._unfolded and not self.filter_text

    def _counted(self, seen: Seen) -> list[WorkerView]:
        """Those of a cluster that are not folded away, and that a filter leaves: totals are of
        nothing else.
        """
        workers = seen.snapshot.workers
        if not self.filter_text:
            folds = self._folds(seen.name, workers)
            return [one for one in workers if not (folds and is_gone(one))]
        wanted = self.filter_text.casefold()
        return [one for one in workers if wanted in search_text(one, seen.name).casefold()]

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
        shown = [key for key in self.keys if not key.startswith(NO_WORKER)]
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
        # One that is not shown sorts nothing.
        shown = any(one.column.title == self.sort_column for one in self._chosen)
        sort = self.sort_column.lower() if shown else "id"
        return [
            Field(marked, 9, Tone.STRONG, right=True),
            Field(f" sort {sort} {sign} ", 5, Tone.MUTED, right=True),
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
        """Marks the row under the cursor, or takes its mark away, and goes on to the next; on the
        line of a machine, all that run there.
        """
        machine = machine_members(self.cursor, list(self._scenes.values())) & set(self.keys)
        if machine:
            self.marked = self.marked - machine if machine <= self.marked else self.marked | machine
        elif self.cursor and not self.cursor.startswith(NO_WORKER):
            self.marked ^= {self.cursor}
            self.action_move(1)
        if self.cursor:
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
        folded = [name for name in self._scenes if worker_key(name, GONE_KEY) == self.cursor]
        if folded:
            self._unfolded.update(folded)
            self.arrange_rows()
        elif not self.cursor.startswith(NO_WORKER):
            super().action_open()
