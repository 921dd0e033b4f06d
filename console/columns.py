"""The columns of the worker table: one list; what fits is shown, the least important left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from console.bars import share_bar, trend
from console.charts import resample
from console.history import TREND_S
from console.lines import Tone
from console.scene import Scene
from console.states import is_measured, shown_state
from console.text import clean, count, memory_size, middle_cut, number
from nodes.support.natural import natural_key
from nodes.support.units import duration, milliseconds
from nodes.wire import WorkerView, reason
from nodes.wire.conditions import answers


class Cell(NamedTuple):
    """What a cell shows, and in which tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class WorkerColumn:
    """A column of the worker table.

    Attributes:
        title: its heading.
        width: cells that it takes.
        priority: the highest is left out last.
        cell: what it shows of a worker.
        key: what rows are sorted by; None stands last.
        total: what the last row shows.
        right: whether it is set right.
        part: of the whole width, that it takes where there is room.
        most: cells that it takes at most.
        letter: the capital letter that sorts by it, where that is free; "" for none.
        called: its name in a settings file, where that is not its title.
    """

    title: str
    width: int
    priority: int
    cell: Callable[[WorkerView, Scene, int], Cell]
    key: Callable[[WorkerView, Scene], str | float | None]
    total: Callable[[Sequence[Scene]], str] = lambda _scenes: ""
    right: bool = True
    part: float = 0.0
    most: int = 0
    letter: str = ""
    called: str = ""

    @property
    def name(self) -> str:
        """Its name in a settings file."""
        return self.called or self.title.lower()


def _id(worker: WorkerView, scene: Scene, width: int) -> Cell:
    return Cell(middle_cut(clean(worker.id), width, scene.glyphs), Tone.STRONG)


def _machine(worker: WorkerView, scene: Scene, width: int) -> Cell:
    return Cell(middle_cut(clean(worker.machine), width, scene.glyphs) or "-", Tone.MUTED)


NO_MACHINE = "\uffff"
"""What is sorted by of a worker that has no machine: it stands after those that have one."""


def machine_order(machine: str, cluster: str) -> str:
    """What is sorted by of a machine: those of several clusters may be called the same."""
    return f"{natural_key(machine) or NO_MACHINE} {natural_key(cluster)}"


def _state(worker: WorkerView, scene: Scene, _width: int) -> Cell:
    state = shown_state(worker)
    return Cell(f"{scene.glyphs.states.get(state.name, ' ')} {state.name}", state.tone)


def _share(worker: WorkerView, scene: Scene) -> float:
    return worker.mean_lookups_per_s / scene.mean_per_s if scene.mean_per_s else 0.0


def _share_bar(worker: WorkerView, scene: Scene, width: int) -> Cell:
    if worker.state == "down" or not scene.live:
        return Cell("")
    bar = share_bar(_share(worker, scene), 1 / scene.live, width - 1, scene.glyphs)
    return Cell(bar, Tone.BAR)


def _p99(worker: WorkerView, _scene: Scene, _width: int) -> Cell:
    text = milliseconds(worker.p99_ms)
    return Cell(f"{text}!", Tone.WARNING) if worker.slow else Cell(text)


def _counted(amount: int, width: int, tone: Tone) -> Cell:
    return Cell(count(amount, width), tone if amount else Tone.FAINT)


def _trend(worker: WorkerView, scene: Scene, width: int) -> Cell:
    points = scene.history.worker_points(worker.id, lambda sample: sample.lookups_per_s)
    values = resample(points, scene.snapshot.taken_at, TREND_S, width)
    return Cell(trend(values, scene.top_per_s, scene.glyphs), Tone.BAR)


def _why(worker: WorkerView, scene: Scene, _width: int) -> Cell:
    return Cell(clean(reason(worker, scene.snapshot.taken_at)), Tone.MUTED)


def _total(
    value: Callable[[WorkerView], float], text: Callable[[float], str]
) -> Callable[[Sequence[Scene]], str]:
    """The sum over the workers that are shown."""
    return lambda scenes: text(sum(value(worker) for worker in _shown(scenes)))


def _shown(scenes: Sequence[Scene]) -> list[WorkerView]:
    return [worker for scene in scenes for worker in scene.shown]


def _count_total(
    value: Callable[[WorkerView], int], width: int
) -> Callable[[Sequence[Scene]], str]:
    """The same of a number of things, in so many cells."""
    return _total(value, lambda total: count(int(total), width))


def _cpu(worker: WorkerView, _scene: Scene, _width: int) -> Cell:
    return Cell(f"{min(worker.cpu_percent, 999):.0f}%" if is_measured(worker) else "-")


def _cpu_total(scenes: Sequence[Scene]) -> str:
    used = sum(worker.cpu_percent for worker in _shown(scenes) if is_measured(worker))
    return f"{min(used, 9999):.0f}%"


def _up(scenes: Sequence[Scene]) -> str:
    shown = _shown(scenes)
    up = sum(map(answers, shown))
    return f"{up} up of {len(shown)}" if up != len(shown) else f"{up} up"


WHY_PRIORITY = 72
"""Of the reason for a trouble; a column that an operator asks for has a higher one."""

CLUSTER, MACHINE = "CLUSTER", "MACHINE"
"""The titles of columns that are there where there are several clusters, or machines."""

WORKER_COLUMNS: tuple[WorkerColumn, ...] = (
    WorkerColumn(
        title="ID",
        letter="I",
        width=5,
        priority=100,
        cell=_id,
        key=lambda worker, scene: f"{natural_key(scene.name)} {natural_key(worker.id)}",
        right=False,
    ),
    WorkerColumn(
        title=CLUSTER,
        width=8,
        priority=100,
        cell=lambda _, scene, width: Cell(middle_cut(scene.label, width, scene.glyphs), Tone.MUTED),
        key=lambda _, scene: natural_key(scene.name),
        right=False,
    ),
    WorkerColumn(
        title=MACHINE,
        width=8,
        priority=96,
        cell=_machine,
        key=lambda worker, scene: machine_order(worker.machine, scene.name),
        right=False,
    ),
    WorkerColumn(
        title="STATE",
        letter="S",
        width=11,
        priority=99,
        cell=_state,
        key=lambda worker, _: shown_state(worker).rank,
        total=_up,
        right=False,
    ),
    WorkerColumn(
        title="SHARE",
        width=16,
        priority=90,
        cell=_share_bar,
        key=_share,
        right=False,
        part=0.16,
        most=20,
    ),
    WorkerColumn(
        title="/S",
        called="rate",
        width=5,
        priority=98,
        cell=lambda worker, *_: Cell(number(round(worker.lookups_per_s, 1))),
        key=lambda worker, _: worker.lookups_per_s,
        total=_total(lambda w: w.lookups_per_s, lambda total: number(round(total, 1))),
    ),
    WorkerColumn(
        title="P50",
        width=5,
        priority=60,
        cell=lambda worker, *_: Cell(milliseconds(worker.p50_ms)),
        key=lambda worker, _: worker.p50_ms,
    ),
    WorkerColumn(
        title="P99",
        letter="P",
        width=6,
        priority=97,
        cell=_p99,
        key=lambda worker, _: worker.p99_ms,
    ),
    WorkerColumn(
        title="INFL",
        letter="N",
        width=4,
        priority=70,
        cell=lambda worker, _, width: Cell(count(worker.in_flight, width)),
        key=lambda worker, _: worker.in_flight,
        total=_count_total(lambda w: w.in_flight, 4),
    ),
    WorkerColumn(
        title="HEDGE/M",
        called="hedged",
        letter="H",
        width=7,
        priority=80,
        cell=lambda worker, _, width: _counted(worker.hedged_last_minute, width, Tone.WARNING),
        key=lambda worker, _: worker.hedged_last_minute,
        total=_count_total(lambda w: w.hedged_last_minute, 7),
    ),
    WorkerColumn(
        title="FAIL",
        letter="E",
        width=4,
        priority=85,
        cell=lambda worker, _, width: _counted(worker.errors, width, Tone.BAD),
        key=lambda worker, _: worker.errors,
        total=_count_total(lambda w: w.errors, 4),
    ),
    WorkerColumn(
        title="CPU",
        letter="C",
        width=4,
        priority=50,
        cell=_cpu,
        key=lambda worker, _: worker.cpu_percent if is_measured(worker) else None,
        total=_cpu_total,
    ),
    WorkerColumn(
        title="MEM",
        letter="M",
        width=6,
        priority=48,
        cell=lambda worker, *_: Cell(memory_size(worker.memory_bytes)),
        key=lambda worker, _: worker.memory_bytes,
        total=_total(lambda w: w.memory_bytes, memory_size),
    ),
    WorkerColumn(
        title="60 S, ONE SCALE",
        called="trend",
        width=12,
        priority=75,
        cell=_trend,
        key=lambda worker, _: worker.lookups_per_s,
        right=False,
        part=0.25,
        most=60,
    ),
    WorkerColumn(
        title="SERVED",
        letter="V",
        width=7,
        priority=30,
        cell=lambda worker, _, width: Cell(count(worker.served, width)),
        key=lambda worker, _: worker.served,
        total=_count_total(lambda w: w.served, 7),
    ),
    WorkerColumn(
        title="UP",
        letter="U",
        width=6,
        priority=28,
        cell=lambda worker, *_: Cell(duration(worker.uptime_s) if worker.state != "down" else "-"),
        key=lambda worker, _: worker.uptime_s,
    ),
    WorkerColumn(
        title="RST",
        width=4,
        priority=26,
        cell=lambda worker, _, width: _counted(worker.restarts, width, Tone.WARNING),
        key=lambda worker, _: worker.restarts,
        total=_count_total(lambda w: w.restarts, 4),
    ),
    WorkerColumn(
        title="PID",
        width=8,
        priority=20,
        cell=lambda worker, *_: Cell(str(worker.pid or "-")),
        key=lambda worker, _: worker.pid,
    ),
    WorkerColumn(
        title="ADDRESS",
        width=21,
        priority=18,
        cell=lambda worker, *_: Cell(clean(worker.address) or "-"),
        key=lambda worker, _: worker.address,
        right=False,
    ),
    WorkerColumn(
        title="CATALOG",
        letter="T",
        width=12,
        priority=16,
        cell=lambda worker, *_: Cell(clean(worker.catalog) or "-"),
        key=lambda worker, _: worker.catalog,
        right=False,
    ),
    WorkerColumn(
        title="WHY",
        letter="W",
        width=20,
        priority=WHY_PRIORITY,
        cell=_why,
        key=lambda worker, _: worker.why,
        right=False,
        part=0.2,
        most=60,
    ),
)
"""All of them, in their order on the screen."""
