"""Every command, declared once: keys, buttons, palette, `:` line, help and read-only follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from console import effects, refusals
from nodes.errors import NotPossible
from nodes.wire import ClusterSnapshot, WorkerView

if TYPE_CHECKING:
    from console.actions import Actions
    from nodes.cluster import Cluster

ClusterAction = Callable[["Cluster", str], str]
"""`action(cluster, argument)` changes the cluster, off the screen's thread, and says how."""

ConsoleAction = Callable[["Actions", str], None]
"""`action(actions, argument)` is what the console does by itself, on the screen's thread."""

Effect = Callable[[ClusterSnapshot, Sequence[WorkerView]], str]
"""`effect(snapshot, workers)`: what will follow, for the confirmation."""


class Argument(StrEnum):
    """What a command takes after its name."""

    NONE = "none"
    WORKER = "worker"  # an id; the selected one if it is left out
    NEWEST = "newest"  # none is typed: the newest worker is meant
    COUNT = "count"
    OPTIONAL_COUNT = "optional count"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Command:
    """Something the operator can have the cluster, or the console, do.

    Attributes:
        name: what is typed after `:`.
        key: the key that does it; "" for none.
        label: on buttons and in the palette.
        help: one sentence.
        argument: what it takes.
        button: whether there is a button for it.
        footer: how important it is that the line of keys shows it; 0 for never.
        steers: whether it changes what the cluster does: such keys act from the worker list and
            the worker's own screen alone, and a read-only console has none.
    """

    name: str
    label: str
    help: str
    key: str = ""
    argument: Argument = Argument.NONE
    button: bool = False
    footer: int = 0
    steers: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterCommand(Command):
    """A command that changes the cluster; a read-only console has none of these.

    Attributes:
        run: does it.
        effect: says what will follow; None for what needs no confirmation.
        undo: what takes it back, when the console quits at the latest.
        is_done: whether a worker is in the state that this brings about; then it is undone.
        refusal: why it cannot be done to a worker now, "" if it can.
        offered: whether there may be anything to do: only then does its key act.
    """

    run: ClusterAction
    effect: Effect | None = None
    undo: ClusterCommand | None = None
    is_done: Callable[[WorkerView], bool] = lambda _worker: False
    refusal: Callable[[WorkerView], str] = lambda _worker: ""
    offered: Callable[[ClusterSnapshot], bool] = lambda _snapshot: True
    steers: bool = True

    @property
    def dangerous(self) -> bool:
        """Whether it is asked to be confirmed."""
        return self.effect is not None


@dataclass(frozen=True, kw_only=True)
class ConsoleCommand(Command):
    """A command that the console carries out by itself.

    Attributes:
        run: does it.
    """

    run: ConsoleAction


def _spawn(cluster: Cluster, argument: str) -> str:
    return f"started {', '.join(cluster.spawn(int(argument or 1)))}"


def _grow(cluster: Cluster) -> str:
    wanted = cluster.snapshot().wanted_workers
    if wanted is None:
        raise NotPossible("this master starts no workers: start and stop them where they run")
    return cluster.scale(wanted + 1)


THAW = ClusterCommand(
    name="thaw",
    label="Thaw",
    help="Let the selected frozen worker go on.",
    argument=Argument.WORKER,
    refusal=refusals.no_process,
    run=lambda cluster, worker_id: cluster.thaw(worker_id),
)

CLUSTER_COMMANDS: tuple[ClusterCommand, ...] = (
    ClusterCommand(
        name="spawn",
        key="s",
        label="Spawn",
        help="Start one more worker.",
        argument=Argument.OPTIONAL_COUNT,
        button=True,
        footer=93,
        run=_spawn,
    ),
    ClusterCommand(
        name="kill",
        key="K",
        label="Kill",
        help="End the selected worker at once.",
        argument=Argument.WORKER,
        button=True,
        footer=92,
        refusal=refusals.no_process,
        run=lambda cluster, worker_id: cluster.kill(worker_id),
        effect=effects.kill,
    ),
    ClusterCommand(
        name="drain",
        key="d",
        label="Drain",
        help="Let the selected worker finish, then leave.",
        argument=Argument.WORKER,
        button=True,
        footer=91,
        refusal=refusals.not_to_drain,
        run=lambda cluster, worker_id: cluster.drain(worker_id),
        effect=effects.drain,
    ),
    ClusterCommand(
        name="restart",
        key="r",
        label="Restart",
        help="Let the selected worker finish, then start it anew.",
        argument=Argument.WORKER,
        button=True,
        footer=73,
        refusal=refusals.no_process,
        run=lambda cluster, worker_id: cluster.restart(worker_id),
        effect=effects.restart,
    ),
    ClusterCommand(
        name="again",
        key="A",
        label="Again",
        help="Start the selected worker that is gone under its id.",
        argument=Argument.WORKER,
        footer=88,
        refusal=refusals.not_gone,
        offered=refusals.any_down,
        run=lambda cluster, worker_id: cluster.again(worker_id),
    ),
    ClusterCommand(
        name="clear",
        key="c",
        label="Clear",
        help="Forget the workers that are gone.",
        footer=87,
        offered=refusals.any_down,
        run=lambda cluster, _: cluster.clear(),
    ),
    ClusterCommand(
        name="freeze",
        key="f",
        label="Freeze",
        help="Stop the selected worker with SIGSTOP; again to thaw it.",
        argument=Argument.WORKER,
        button=True,
        footer=60,
        refusal=refusals.no_process,
        run=lambda cluster, worker_id: cluster.freeze(worker_id),
        effect=effects.freeze,
        undo=THAW,
        is_done=lambda worker: worker.frozen,
    ),
    THAW,
    ClusterCommand(
        name="grow",
        key="plus",
        label="Grow",
        help="Want one worker more.",
        footer=40,
        run=lambda cluster, _: _grow(cluster),
    ),
    ClusterCommand(
        name="shrink",
        key="minus",
        label="Shrink",
        help="Drain the newest worker, and want one less.",
        argument=Argument.NEWEST,
        footer=38,
        run=lambda cluster, worker_id: cluster.drain(worker_id),
        effect=effects.drain,
    ),
    ClusterCommand(
        name="scale",
        label="Scale",
        help="Start or drain workers until N are wanted.",
        argument=Argument.COUNT,
        run=lambda cluster, count: cluster.scale(int(count)),
    ),
    ClusterCommand(
        name="reload",
        key="R",
        label="Reload",
        help="Bring changed records into service.",
        button=True,
        footer=30,
        run=lambda cluster, _: cluster.reload().text,
        effect=effects.reload,
    ),
)

CONSOLE_COMMANDS: tuple[ConsoleCommand, ...] = (
    ConsoleCommand(
        name="traffic",
        key="t",
        label="Traffic",
        help="Start or stop a load of sample lookups.",
        argument=Argument.OPTIONAL_COUNT,
        button=True,
        footer=50,
        steers=True,
        run=lambda actions, rate: actions.toggle_traffic(rate),
    ),
    ConsoleCommand(
        name="ask",
        key="a",
        label="Ask",
        help="Type a lookup.",
        argument=Argument.TEXT,
        footer=89,
        run=lambda actions, lookup: actions.focus_query(lookup),
    ),
    ConsoleCommand(
        name="details",
        label="Details",
        help="Show the selected worker: figures, events, log.",
        argument=Argument.WORKER,
        run=lambda actions, worker_id: actions.show_details(worker_id),
    ),
    ConsoleCommand(
        name="filter",
        key="slash",
        footer=45,
        label="Filter",
        help="Show only the rows that contain a text.",
        argument=Argument.TEXT,
        run=lambda actions, text: actions.open_filter(text),
    ),
    ConsoleCommand(
        name="sort",
        key="o",
        footer=20,
        label="Sort",
        help="Sort by the next column; O turns the order round.",
        run=lambda actions, _: actions.sort_by_next_column(),
    ),
    ConsoleCommand(
        name="command",
        key="colon",
        footer=90,
        label="Command",
        help="Type any command.",
        argument=Argument.TEXT,
        run=lambda actions, text: actions.open_command_line(text),
    ),
    ConsoleCommand(
        name="export",
        label="Export",
        help="Write the records found to FILE.json or FILE.csv.",
        argument=Argument.TEXT,
        run=lambda actions, target: actions.export_records(target),
    ),
    ConsoleCommand(
        name="help",
        key="question_mark",
        label="Help",
        help="Show every key and command.",
        footer=95,
        run=lambda actions, _: actions.show_help(),
    ),
    ConsoleCommand(
        name="quit",
        key="q",
        label="Quit",
        help="Leave the console.",
        footer=55,
        run=lambda actions, _: actions.confirm_quit(),
    ),
)

COMMANDS: tuple[ClusterCommand | ConsoleCommand, ...] = (*CLUSTER_COMMANDS, *CONSOLE_COMMANDS)

BY_NAME = {command.name: command for command in COMMANDS}

KEYS = {"plus": "+", "minus": "-", "slash": "/", "colon": ":", "question_mark": "?"}
"""Keys whose name is not what is printed on them."""


def key_text(command: Command) -> str:
    """A command's key as a person knows it."""
    return KEYS.get(command.key, command.key)


def usable(*, read_only: bool) -> Sequence[ClusterCommand | ConsoleCommand]:
    """The commands that a console has; a read-only one changes nothing in the cluster."""
    return tuple(one for one in COMMANDS if not (read_only and one.steers))
