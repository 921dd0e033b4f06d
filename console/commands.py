"""Every command, declared once: keys, buttons, palette, `:` line, help and read-only follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from console import effects
from nodes.errors import BadRequest, NotPossible
from nodes.wire import ClusterSnapshot, WorkerView

if TYPE_CHECKING:
    from console.actions import Actions
    from nodes.cluster import Cluster

ClusterAction = Callable[["Cluster", str], str]
"""`action(cluster, argument)` changes the cluster, off the screen's thread, and says how."""

ConsoleAction = Callable[["Actions", str], None]
"""`action(actions, argument)` is what the console does by itself, on the screen's thread."""

Effect = Callable[[ClusterSnapshot, WorkerView | None], str]
"""`effect(snapshot, worker)`: what will follow, for the confirmation."""

MAX_NUMBER_DIGITS = 6
"""Digits of a number: more than any count of workers or lookups a second has."""


class Argument(StrEnum):
    """What a command takes after its name."""

    NONE = "none"
    WORKER = "worker"  # an id; the selected one if it is left out
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
    """

    name: str
    label: str
    help: str
    key: str = ""
    argument: Argument = Argument.NONE
    button: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterCommand(Command):
    """A command that changes the cluster; a read-only console has none of these.

    Attributes:
        run: does it.
        effect: says what will follow; None for what needs no confirmation.
        undo: what takes it back, when the console quits at the latest.
        is_done: whether a worker is in the state that this brings about; then it is undone.
    """

    run: ClusterAction
    effect: Effect | None = None
    undo: ClusterCommand | None = None
    is_done: Callable[[WorkerView], bool] = lambda _worker: False

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


def _scale_by(cluster: Cluster, step: int) -> str:
    wanted = cluster.snapshot().wanted_workers
    if wanted is None:
        raise NotPossible("this master starts no workers: start and stop them where they run")
    return cluster.scale(max(0, wanted + step))


THAW = ClusterCommand(
    name="thaw",
    label="Thaw",
    help="Let the selected frozen worker go on.",
    argument=Argument.WORKER,
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
        run=_spawn,
    ),
    ClusterCommand(
        name="kill",
        key="k",
        label="Kill",
        help="End the selected worker at once.",
        argument=Argument.WORKER,
        button=True,
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
        run=lambda cluster, worker_id: cluster.restart(worker_id),
        effect=effects.restart,
    ),
    ClusterCommand(
        name="freeze",
        key="f",
        label="Freeze",
        help="Stop the selected worker with SIGSTOP; again to thaw it.",
        argument=Argument.WORKER,
        button=True,
        run=lambda cluster, worker_id: cluster.freeze(worker_id),
        effect=effects.freeze,
        undo=THAW,
        is_done=lambda worker: worker.frozen,
    ),
    THAW,
    ClusterCommand(
        name="grow",
        key="plus",
        label="+1",
        help="Want one worker more.",
        run=lambda cluster, _: _scale_by(cluster, 1),
    ),
    ClusterCommand(
        name="shrink",
        key="minus",
        label="-1",
        help="Want one worker less.",
        run=lambda cluster, _: _scale_by(cluster, -1),
        effect=effects.shrink,
    ),
    ClusterCommand(
        name="scale",
        label="Scale",
        help="Start or drain workers until N are wanted.",
        argument=Argument.COUNT,
        run=lambda cluster, count: cluster.scale(int(count)),
        effect=effects.scale,
    ),
    ClusterCommand(
        name="reload",
        key="R",
        label="Reload",
        help="Bring changed records into service.",
        button=True,
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
        run=lambda actions, rate: actions.toggle_traffic(rate),
    ),
    ConsoleCommand(
        name="ask",
        key="a",
        label="Ask",
        help="Type a lookup.",
        argument=Argument.TEXT,
        button=True,
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
        label="Filter",
        help="Show only the rows that contain a text.",
        argument=Argument.TEXT,
        run=lambda actions, text: actions.open_filter(text),
    ),
    ConsoleCommand(
        name="sort",
        key="o",
        label="Sort",
        help="Sort by the next column; O turns the order round.",
        run=lambda actions, _: actions.sort_by_next_column(),
    ),
    ConsoleCommand(
        name="command",
        key="colon",
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
        button=True,
        run=lambda actions, _: actions.show_help(),
    ),
    ConsoleCommand(
        name="quit",
        key="q",
        label="Quit",
        help="Leave the console.",
        button=True,
        run=lambda actions, _: actions.confirm_quit(),
    ),
)

COMMANDS: tuple[ClusterCommand | ConsoleCommand, ...] = (*CLUSTER_COMMANDS, *CONSOLE_COMMANDS)

BY_NAME = {command.name: command for command in COMMANDS}


def usable(*, read_only: bool) -> Sequence[ClusterCommand | ConsoleCommand]:
    """The commands that a console has; a read-only one changes nothing in the cluster."""
    return CONSOLE_COMMANDS if read_only else COMMANDS


def parse(line: str) -> tuple[ClusterCommand | ConsoleCommand, str]:
    """The command and the argument of a line typed after `:`.

    Raises:
        BadRequest: there is no such command, or its argument is missing or not one.
    """
    name, _, argument = line.strip().partition(" ")
    command = BY_NAME.get(name)
    if command is None:
        raise BadRequest(f"there is no command {name[:40]!r}; ? lists them")
    argument = argument.strip()
    match command.argument:
        case Argument.NONE if argument:
            raise BadRequest(f"{name} takes nothing after it")
        case Argument.COUNT if not _is_number(argument):
            raise BadRequest(f"{name} takes a number, as in :{name} 3")
        case Argument.OPTIONAL_COUNT if argument and not _is_number(argument):
            raise BadRequest(f"{name} takes a number, as in :{name} 3")
    return command, argument


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS


def complete(line: str, workers: list[str]) -> list[str]:
    """Whole lines that the line may become: commands, then the ids of workers."""
    name, space, argument = line.partition(" ")
    if not space:
        return [command.name for command in COMMANDS if command.name.startswith(name)]
    command = BY_NAME.get(name)
    if command is None or command.argument is not Argument.WORKER:
        return []
    return [f"{name} {worker}" for worker in workers if worker.startswith(argument.strip())]
