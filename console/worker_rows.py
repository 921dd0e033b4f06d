"""The rows of the worker table: the columns that fit, one scale for all rows, the totals; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from console.bars import share_scale
from console.cluster_names import worker_key
from console.columns import CLUSTER, MACHINE, WHY_PRIORITY, WORKER_COLUMNS, WorkerColumn
from console.history import TREND_S
from console.lines import Tone
from console.scene import Scene
from console.seen import Seen
from console.states import shown_state
from console.text import Glyphs
from console.widgets.rows import Column, Row
from nodes.support.natural import natural_key
from nodes.wire import WorkerView, is_crash_looping

MAX_ID_CELLS, MAX_MACHINE_CELLS = 40, 24

NO_WORKER = "*"
"""What the keys of lines begin with that are no worker's: none can be called so."""

TREND_SAMPLES = int(TREND_S)
"""Samples of a trend: there is one a second."""


class Chosen(NamedTuple):
    """A column that fits, and the cells that it has."""

    column: WorkerColumn
    width: int


def choose(
    width: int,
    ids: Sequence[str],
    *,
    troubled: bool = False,
    columns: Sequence[WorkerColumn] = WORKER_COLUMNS,
    clusters: Sequence[str] = ("",),
    machines: Sequence[str] = (),
) -> list[Chosen]:
    """The columns that fit into `width` cells, as wide as they may be.

    Args:
        width: cells of the table.
        ids: of the workers: as much of them is shown as there is room for.
        troubled: whether a worker has a reason to tell: else there is room for it only if it was
            asked for.
        columns: all that may be shown, in their order.
        clusters: what rows tell of their clusters; nothing of one that is alone.
        machines: the names of the machines; none where they need not be told.
    """
    longest = max((cell_len(one) for one in ids), default=2)
    columns = _with(MACHINE, columns, told=bool(machines))
    columns = _with(CLUSTER, columns, told=any(clusters))
    widths = {column.title: _preferred(column, width) for column in columns}
    widths["ID"] = max(4, min(longest, MAX_ID_CELLS, width // 4))
    widths[CLUSTER] = max(8, min(max(map(cell_len, clusters)), width // 5))
    named = max(map(cell_len, machines), default=0)
    widths[MACHINE] = max(8, min(named, MAX_MACHINE_CELLS, width // 8))
    room = width - 2
    chosen: set[str] = set()
    told = [one for one in columns if troubled or one.title != "WHY" or one.priority > WHY_PRIORITY]
    for column in sorted(told, key=lambda one: -one.priority):
        least = min(column.width, widths[column.title]) + 1
        if least <= room:
            chosen.add(column.title)
            widths[column.title] = min(widths[column.title], room - 1)
            room -= widths[column.title] + 1
    for column in columns:
        if column.title in chosen and column.most and room > 0:
            more = max(0, min(column.most - widths[column.title], room))
            widths[column.title] += more
            room -= more
    return [Chosen(c, widths[c.title]) for c in columns if c.title in chosen]


def _with(title: str, columns: Sequence[WorkerColumn], *, told: bool) -> list[WorkerColumn]:
    """The columns with that of the cluster or of the machine, wanted or not, where it must be
    told; else without.
    """
    others = [column for column in columns if column.title != title]
    if not told or len(others) < len(columns):
        return list(columns) if told else others
    return [*others[:1], *(one for one in WORKER_COLUMNS if one.title == title), *others[1:]]


def _preferred(column: WorkerColumn, width: int) -> int:
    """The cells of a column: more on a wide screen, if it can use them."""
    return max(column.width, min(column.most, int(width * column.part)))


def table_columns(chosen: Sequence[Chosen]) -> list[Column]:
    """The headings, for the table."""
    return [
        Column(
            share_scale(width - 1) if column.title == "SHARE" else column.title,
            width,
            right=column.right,
            sorted_as=column.title,
        )
        for column, width in chosen
    ]


def make_scene(
    seen: Seen,
    shown: Sequence[WorkerView],
    glyphs: Glyphs,
    *,
    top_per_s: float = 0.0,
    searched: bool = False,
) -> Scene:
    """What the rows of a cluster have in common.

    Args:
        seen: the cluster.
        shown: those of its workers that a filter leaves.
        glyphs: what the terminal can show.
        top_per_s: the end of the scale of the trends.
        searched: whether there is a filter.
    """
    live = [worker for worker in seen.snapshot.workers if worker.state != "down"]
    return Scene(
        seen.name,
        seen.age_s,
        seen.snapshot,
        seen.history,
        glyphs,
        shown,
        sum(worker.mean_lookups_per_s for worker in live),
        len(live),
        top_per_s,
        seen.old,
        searched,
    )


def highest_per_s(clusters: Iterable[Seen]) -> float:
    """The highest rate of any worker of late: one scale for all rows."""
    rates = (
        sample.lookups_per_s
        for seen in clusters
        for worker in seen.snapshot.workers
        for sample in seen.history.samples(worker.id)[-TREND_SAMPLES:]
    )
    return max(rates, default=0.0)


def worker_row(worker: WorkerView, chosen: Sequence[Chosen], drawn: Scene) -> Row:
    """One worker's row."""
    cells = [column.cell(worker, drawn, width) for column, width in chosen]
    down = (worker.state == "down" and not worker.frozen) or drawn.stale
    return Row(
        key=worker_key(drawn.name, worker.id),
        cells=tuple(cell.text for cell in cells),
        order=tuple(column.key(worker, drawn) for column, _ in chosen),
        tone=Tone.FAINT if down else Tone.PLAIN,
        tones=() if drawn.stale else tuple(cell.tone for cell in cells),
        search=search_text(worker, drawn.name),
    )


def bare_row(
    worker: WorkerView, chosen: Sequence[Chosen], drawn: Scene, *, sort: str, below: bool
) -> Row:
    """One worker's row as long as it is not drawn: there may be very many, and few on the screen.

    Args:
        worker: whose it is.
        chosen: the columns.
        drawn: what all rows have in common.
        sort: the title of the column by which rows are sorted.
        below: whether it stands below the others.
    """
    token = drawn.history.token(worker.id) if drawn.top_per_s else ""
    return Row(
        key=worker_key(drawn.name, worker.id),
        cells=(),
        order=tuple(
            column.key(worker, drawn) if column.title == sort else None for column, _ in chosen
        ),
        search=search_text(worker, drawn.name) if drawn.searched else worker.id,
        below=below,
        data=(
            worker,
            drawn.name,
            drawn.label,
            drawn.stale,
            drawn.live,
            round(drawn.mean_per_s),
            token,
        ),
    )


def total_row(chosen: Sequence[Chosen], drawn: Sequence[Scene]) -> Row:
    """The last row: of what is shown of all clusters, and of nothing else. What is old does not
    add to what is not.
    """
    fresh = [scene for scene in drawn if not scene.stale] or drawn
    cells = tuple(column.total(fresh) for column, _ in chosen)
    return Row("", cells, ())


def is_gone(worker: WorkerView) -> bool:
    """Down, and not to come again by itself: crash-looping ones stay among the others."""
    return worker.state == "down" and not worker.frozen and not is_crash_looping(worker)


def newest_gone(gone: Sequence[WorkerView]) -> list[WorkerView]:
    """Those that are gone, the newest first."""
    return sorted(gone, key=lambda one: (-one.state_since, natural_key(one.id)))


def remark_row(cluster: str, key: str, text: str, *, below: bool = False) -> Row:
    """A line about the workers of a cluster, in place of their own."""
    key = worker_key(cluster, key)
    return Row(key, (text,), (), Tone.MUTED, below=below, spans=True, search=cluster)


def search_text(worker: WorkerView, cluster: str) -> str:
    """What a filter looks at."""
    state = f"{worker.state} {shown_state(worker).name}"
    where = f"{cluster} {worker.machine} {worker.address}"
    return f"{worker.id} {where} {state} {worker.catalog} {worker.why}"
