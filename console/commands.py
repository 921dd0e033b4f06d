"""Every command, declared once: keys, buttons, palette, `:` line, help and read-only follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodes.errors import BadRequest
from nodes.wire import ClusterSnapshot, WorkerView

if TYPE_CHECKING:
    from nodes.cluster import Cluster

Run = Callable[["Cluster", str], str]
"""`run(cluster, argument)` does it, off the screen's thread, and says what was done."""


@dataclass(frozen=True)
class Command:
    """Something the operator can have the cluster do.

    Attributes:
        name: what is typed after `:`.
        key: the key that does it; "" for none.
        label: on buttons and in the footer.
        help: one sentence.
        run: does it. None for what the console does by itself: then the application has an
            action of that name.
        takes: "worker" for the selected one, "count" for a number, "some" for a number that
            may be left out, "text" for anything, "" for nothing.
        dangerous: asked to be confirmed.
        steers: changes the cluster, and is taken away when read-only.
        button: whether there is a button for it.
        effect: says what will follow, for the confirmation.
    """

    name: str
    key: str
    label: str
    help: str
    run: Run | None = None
    takes: str = ""
    dangerous: bool = False
    steers: bool = False
    button: bool = False
    effect: Callable[[ClusterSnapshot, WorkerView | None], str] | None = None


def _in_flight(worker: WorkerView | None) -> str:
    if worker is None:
        return ""
    lookups = "lookup" if worker.in_flight == 1 else "lookups"
    return f"{worker.id} has {worker.in_flight} {lookups} in flight"


def _kill_effect(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; they will be rerouted. It is not started again."


def _drain_effect(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; it answers them, then leaves. It is not started again."


def _restart_effect(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return f"{_in_flight(worker)}; it answers them, then is started anew."


def _freeze_effect(_snapshot: ClusterSnapshot, worker: WorkerView | None) -> str:
    return (
        f"{_in_flight(worker)}; they will be rerouted. It stays frozen until it is thawed "
        "or this console quits."
    )


def _reload_effect(snapshot: ClusterSnapshot, _worker: WorkerView | None) -> str:
    workers = (
        "1 worker switches"
        if len(snapshot.workers) == 1
        else (f"{len(snapshot.workers)} workers switch, one after the other")
    )
    return f"If the records changed, {workers}. No lookup waits for it."


def _shrink_effect(snapshot: ClusterSnapshot, _worker: WorkerView | None) -> str:
    if not snapshot.wanted_workers:
        return "No worker is wanted now, so none will leave."
    return (
        f"The newest of {snapshot.wanted_workers} worker(s) answers its last lookups, then leaves."
    )


def _spawn(cluster: Cluster, argument: str) -> str:
    return f"started {', '.join(cluster.spawn(int(argument or 1)))}"


def _by_one(cluster: Cluster, step: int) -> str:
    wanted = cluster.snapshot().wanted_workers
    if wanted is None:
        raise_no_fleet(cluster)
    return cluster.scale(max(0, (wanted or 0) + step))


def raise_no_fleet(cluster: Cluster) -> None:
    """Has the cluster itself say why it starts no workers."""
    cluster.spawn(0)


COMMANDS: tuple[Command, ...] = (
    Command(
        "spawn",
        "s",
        "Spawn",
        "Start one more worker.",
        run=_spawn,
        takes="some",
        steers=True,
        button=True,
    ),
    Command(
        "kill",
        "k",
        "Kill",
        "End the selected worker at once.",
        run=lambda cluster, worker: cluster.kill(worker),
        takes="worker",
        dangerous=True,
        steers=True,
        button=True,
        effect=_kill_effect,
    ),
    Command(
        "drain",
        "d",
        "Drain",
        "Let the selected worker finish, then leave.",
        run=lambda cluster, worker: cluster.drain(worker),
        takes="worker",
        dangerous=True,
        steers=True,
        button=True,
        effect=_drain_effect,
    ),
    Command(
        "restart",
        "r",
        "Restart",
        "Let the selected worker finish, then start it anew.",
        run=lambda cluster, worker: cluster.restart(worker),
        takes="worker",
        dangerous=True,
        steers=True,
        button=True,
        effect=_restart_effect,
    ),
    Command(
        "freeze",
        "f",
        "Freeze",
        "Stop the selected worker with SIGSTOP; again to thaw it.",
        run=lambda cluster, worker: cluster.freeze(worker),
        takes="worker",
        dangerous=True,
        steers=True,
        button=True,
        effect=_freeze_effect,
    ),
    Command(
        "thaw",
        "",
        "Thaw",
        "Let the selected frozen worker go on.",
        run=lambda cluster, worker: cluster.thaw(worker),
        takes="worker",
        steers=True,
    ),
    Command(
        "grow", "plus", "+1", "Want one worker more.", run=lambda c, _: _by_one(c, 1), steers=True
    ),
    Command(
        "shrink",
        "minus",
        "-1",
        "Want one worker less.",
        run=lambda c, _: _by_one(c, -1),
        steers=True,
        dangerous=True,
        effect=_shrink_effect,
    ),
    Command(
        "scale",
        "",
        "Scale",
        "Start or drain workers until N are wanted.",
        run=lambda cluster, count: cluster.scale(int(count)),
        takes="count",
        steers=True,
        dangerous=True,
    ),
    Command(
        "reload",
        "R",
        "Reload",
        "Bring changed records into service.",
        run=lambda cluster, _: cluster.reload().text,
        steers=True,
        dangerous=True,
        button=True,
        effect=_reload_effect,
    ),
    Command(
        "traffic",
        "t",
        "Traffic",
        "Start or stop a load of sample lookups.",
        takes="some",
        button=True,
    ),
    Command("ask", "a", "Ask", "Type a lookup.", takes="text", button=True),
    Command(
        "details", "", "Details", "Show the selected worker: figures, events, log.", takes="worker"
    ),
    Command("filter", "slash", "Filter", "Show only the rows that contain a text.", takes="text"),
    Command("sort", "o", "Sort", "Sort by the next column; O turns the order round."),
    Command("command", "colon", "Command", "Type any command.", takes="text"),
    Command(
        "export", "", "Export", "Write the records found to FILE.json or FILE.csv.", takes="text"
    ),
    Command("help", "question_mark", "Help", "Show every key and command.", button=True),
    Command("quit", "q", "Quit", "Leave the console.", button=True),
)

BY_NAME = {command.name: command for command in COMMANDS}

MOST_DIGITS = 6
"""Digits of a number: more than any count of workers or lookups a second has."""


def parse(line: str) -> tuple[Command, str]:
    """The command and the argument of a line typed after `:`.

    Raises:
        BadRequest: there is no such command, or its argument is missing or not one.
    """
    name, _, argument = line.strip().partition(" ")
    command = BY_NAME.get(name)
    if command is None:
        raise BadRequest(f"there is no command {name[:40]!r}; ? lists them")
    argument = argument.strip()
    if command.takes == "count" or (command.takes == "some" and argument):
        if not (argument.isascii() and argument.isdigit() and len(argument) <= MOST_DIGITS):
            raise BadRequest(f"{name} takes a number, as in :{name} 3")
    elif argument and not command.takes:
        raise BadRequest(f"{name} takes nothing after it")
    return command, argument


def complete(line: str, workers: list[str]) -> list[str]:
    """Whole lines that the line may become: commands, then the ids of workers."""
    name, space, argument = line.partition(" ")
    if not space:
        return [command.name for command in COMMANDS if command.name.startswith(name)]
    command = BY_NAME.get(name)
    if command is None or command.takes != "worker":
        return []
    return [f"{name} {worker}" for worker in workers if worker.startswith(argument.strip())]
