"""The lines of machines in the worker table: each above the workers that run there; pure."""

from __future__ import annotations

from collections.abc import Sequence

from console.cluster_names import worker_key
from console.columns import MACHINE, machine_order
from console.lines import Tone
from console.scene import Scene
from console.text import clean
from console.widgets.rows import Row
from console.worker_rows import NO_WORKER, Chosen, is_gone, search_text
from nodes.wire import WorkerView, machine_names, machine_text

_ON = f"{NO_WORKER}on "
"""What the keys of these lines begin with."""


def machine_rows(scene: Scene, chosen: Sequence[Chosen]) -> list[Row]:
    """A line for each machine of a cluster: where rows are sorted by machine, it stands above the
    workers that run there, as it is given before them. A filter finds it by its workers as well.
    """
    workers = scene.snapshot.workers
    names = machine_names(scene.snapshot)
    if any(not one.machine for one in workers):
        names.append("")
    there = {name: [one for one in workers if one.machine == name] for name in names}
    return [_row(name, scene, chosen, some) for name, some in there.items()]


def _row(name: str, scene: Scene, chosen: Sequence[Chosen], workers: Sequence[WorkerView]) -> Row:
    called = clean(worker_key(scene.name, name or "no machine"), 80)
    text = f"{called}  {clean(machine_text(scene.snapshot, name), 300)}"
    lost = any(one.name == name and one.lost for one in scene.snapshot.machines)
    order = machine_order(name, scene.name)
    searched = workers if scene.searched else ()
    return Row(
        key=worker_key(scene.name, f"{_ON}{name}"),
        cells=(text,),
        order=tuple(order if column.title == MACHINE else None for column, _ in chosen),
        tone=Tone.FAINT if scene.stale else Tone.BAD if lost else Tone.STRONG,
        search="\n".join((text, *(search_text(one, scene.name) for one in searched))),
        spans=True,
    )


def machine_members(key: str, scenes: Sequence[Scene]) -> set[str]:
    """The keys of the workers below a line; none if it is no machine's."""
    return {
        worker_key(scene.name, worker.id)
        for scene in scenes
        for worker in scene.snapshot.workers
        if worker_key(scene.name, f"{_ON}{worker.machine}") == key and not is_gone(worker)
    }
