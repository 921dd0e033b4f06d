"""Every command, declared once: keys, buttons, palette, `:` line, help and read-only follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console import effects, refusals
from console.command import Argument, ClusterCommand, Command, ConsoleCommand, When
from console.replay import Way
from nodes.errors import NotPossible
from nodes.wire import are_several

if TYPE_CHECKING:
    from nodes.cluster import Cluster


def _spawn(cluster: Cluster, argument: str) -> str:
    count, _, where = argument.partition(" ")
    started = ", ".join(cluster.spawn(int(count or 1), where.strip()))
    return f"started {started} on {where.strip()}" if where else f"started {started}"


def _grow(cluster: Cluster) -> str:
    wanted = cluster.snapshot().wanted_workers
    if wanted is None:
        raise NotPossible(refusals.WITHOUT["spawn"])
    return cluster.scale(wanted + 1)


THAW = ClusterCommand(
    name="thaw",
    label="Thaw",
    help="Let the selected frozen worker go on.",
    argument=Argument.WORKER,
    needs="freeze",
    refusal=refusals.no_process,
    run=lambda cluster, worker_id: cluster.thaw(worker_id),
)

CLUSTER_COMMANDS: tuple[ClusterCommand, ...] = (
    ClusterCommand(
        name="spawn",
        key="s",
        label="Spawn",
        help="Start one more worker; of several machines, asks on which.",
        argument=Argument.PLACED_COUNT,
        button=True,
        footer=93,
        needs="spawn",
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
        needs="spawn",
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
        needs="spawn",
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
        needs="spawn",
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
        needs="freeze",
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
        needs="spawn",
        run=lambda cluster, _: _grow(cluster),
    ),
    ClusterCommand(
        name="shrink",
        key="minus",
        label="Shrink",
        help="Drain the newest worker, and want one less.",
        argument=Argument.NEWEST,
        footer=38,
        needs="spawn",
        run=lambda cluster, worker_id: cluster.drain(worker_id),
        effect=effects.drain,
    ),
    ClusterCommand(
        name="scale",
        label="Scale",
        help="Start or drain workers until N are wanted.",
        argument=Argument.COUNT,
        needs="spawn",
        run=lambda cluster, count: cluster.scale(int(count)),
    ),
    ClusterCommand(
        name="reload",
        key="R",
        label="Reload",
        help="Bring changed records into service.",
        button=True,
        footer=30,
        needs="spawn",
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
        when=When.NOW,
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
        name="group",
        key="m",
        footer=58,
        label="Group",
        help="Group by machine; SPC on a machine marks all that it runs.",
        offered=are_several,
        run=lambda actions, _: actions.group_by_machine(),
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


def _move(name: str, key: str, way: Way, label: str, text: str, footer: int) -> ConsoleCommand:
    return ConsoleCommand(
        name=name,
        key=key,
        label=label,
        help=text,
        footer=footer,
        when=When.ALWAYS if way is Way.BACK else When.REPLAY,
        run=lambda actions, _: actions.move(way),
    )


TIME_COMMANDS: tuple[ConsoleCommand, ...] = (
    _move("earlier", "left_square_bracket", Way.BACK, "Earlier", "Go back by a second.", 44),
    _move("later", "right_square_bracket", Way.FORTH, "Later", "Go on by a second.", 42),
    _move("rewind", "left_curly_bracket", Way.REWIND, "-1 min", "Go back by a minute.", 39),
    _move("forward", "right_curly_bracket", Way.FORWARD, "+1 min", "Go on by a minute.", 38),
    _move("previous", "p", Way.PREVIOUS_BAD, "Previous bad", "Go to when it last went wrong.", 41),
    _move("next", "n", Way.NEXT_BAD, "Next bad", "Go to when it went wrong next.", 40),
    ConsoleCommand(
        name="at",
        label="At",
        help="Show the cluster at a time, as in :at 12:31:00.",
        argument=Argument.TEXT,
        run=lambda actions, time: actions.move_to(time),
    ),
    ConsoleCommand(
        name="live",
        key="L",
        label="Live",
        help="Show the cluster as it is now.",
        footer=43,
        when=When.REPLAY,
        run=lambda actions, _: actions.show_now(),
    ),
)
"""Those that show another time than now."""

COMMANDS: tuple[ClusterCommand | ConsoleCommand, ...] = (
    *CLUSTER_COMMANDS,
    *CONSOLE_COMMANDS,
    *TIME_COMMANDS,
)

BY_NAME = {command.name: command for command in COMMANDS}

KEYS = {
    "plus": "+",
    "minus": "-",
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
}
"""Keys whose name is not what is printed on them."""


def key_text(command: Command) -> str:
    """A command's key as a person knows it."""
    return KEYS.get(command.key, command.key)


def usable(*, read_only: bool) -> Sequence[ClusterCommand | ConsoleCommand]:
    """The commands that a console has; a read-only one changes nothing in the cluster."""
    return tuple(one for one in COMMANDS if not (read_only and one.steers))
