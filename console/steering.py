"""From a command that is wanted to one that is carried out: on whom, whether it can be, and the
question before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from console.cluster_names import named_workers, said_of
from console.clusters import Target
from console.command import Argument, ClusterCommand, Command, ConsoleCommand
from console.commands import CLUSTER_COMMANDS
from console.effects import newest
from console.messages import CommandDone
from console.placing import choices
from console.screens.confirm import ConfirmScreen
from console.screens.where import WhereScreen
from nodes.support.units import counted
from nodes.wire import WorkerView

if TYPE_CHECKING:
    from console.app import RollcallApp
    from console.watched import WatchedCluster

SPAWN_AGAIN_S = 2.0
"""Seconds after a spawn within which another is asked to be confirmed: a key may be held down."""

STARTING_COMMANDS = ("spawn", "grow")


class Steering:
    """Carries out commands for the application.

    Args:
        app: whose commands they are.
        clock: seconds, monotonic.
    """

    def __init__(self, app: RollcallApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._spawned_at = -SPAWN_AGAIN_S
        self._spawned = 0
        self._orders = 0
        self._outcome = (0, "", False)

    def dispatch(self, command: Command, argument: str = "") -> None:
        """Does a command, or asks whether it is to be done, or says why it cannot be."""
        if why := self._not_now(command):
            self._app.say(f"{command.label}: {why}", bad=True)
        elif command.steers and self._app.read_only:
            self._app.say("this console is read-only", bad=True)
        elif isinstance(command, ConsoleCommand):
            command.run(self._app.actions, argument)
        elif isinstance(command, ClusterCommand):
            self._dispatch(command, argument)

    def _dispatch(self, command: ClusterCommand, argument: str) -> None:
        on_workers = command.argument is Argument.WORKER
        if not on_workers and (why := self._app.front.refusal(command)):
            self._app.say(f"{command.label}: {why}", bad=True)
            return
        match command.argument:
            case Argument.WORKER:
                self._on_workers(command, [argument] if argument else self._app.targets)
            case Argument.NEWEST:
                self._on_newest(command, 1)
            case Argument.COUNT if not argument:
                self._app.main.open_line(":", f"{command.name} ")
            case Argument.COUNT:
                self._scale(command, int(argument))
            case Argument.PLACED_COUNT:
                self._place(command, argument)
            case _:
                self._on_cluster(command, argument)

    def offered(self, command: Command) -> bool:
        """Whether there may be anything to do for a command, in what is shown."""
        seen = self._app.main.seen
        if seen is None:
            return True
        return any(command.is_offered(one.snapshot) for one in seen.clusters)

    def able(self, command: Command) -> bool:
        """Whether the fleet of any cluster can do a command at all."""
        seen = self._app.main.seen
        return seen is None or any(command.is_possible(one.snapshot) for one in seen.clusters)

    def refusal(self, command: Command) -> str:
        """Why a command is not possible for its targets now, "" if it is for one of them."""
        if why := self._not_now(command):
            return why
        if command.steers and self._app.read_only:
            return "this console is read-only"
        if not isinstance(command, ClusterCommand) or command.argument is not Argument.WORKER:
            return self._app.front.refusal(command)
        targets = self._known(self._app.targets)
        if not targets:
            return "there is no worker under the cursor"
        refusals = [target.refusal(command) for target in targets]
        return refusals[0] if all(refusals) else ""

    def _not_now(self, command: Command) -> str:
        """Why a command is not possible as another time than now is shown, "" if it is."""
        return "" if command.acts(replaying=True) else self._app.replaying.refusal

    def _known(self, keys: Sequence[str]) -> list[Target]:
        seen = self._app.seen
        found = [self._app.clusters.find(key, seen) for key in keys] if seen is not None else []
        return [target for target in found if target is not None]

    # -- on workers ---------------------------------------------------------------

    def _on_workers(self, command: ClusterCommand, keys: Sequence[str]) -> None:
        targets = self._known(keys)
        if not targets:
            named = (
                f"there is no worker {keys[0]}" if keys else "there is no worker under the cursor"
            )
            self._app.say(named, bad=True)
            return
        if command.undo is not None and all(command.is_done(one.worker) for one in targets):
            command = command.undo
        possible = [target for target in targets if not target.refusal(command)]
        reasons = "; ".join(filter(None, dict.fromkeys(one.refusal(command) for one in targets)))
        if not possible:
            self._app.say(f"{command.label}: {reasons}", bad=True)
            return
        self._ask(command, possible, note=f" Left out: {reasons}." if reasons else "")

    def _on_newest(self, command: ClusterCommand, count: int) -> None:
        cluster = self._app.front
        workers = newest(cluster.snapshot, count) if cluster.snapshot is not None else []
        if not workers:
            why = "no worker was started here, so none can leave"
            self._app.say(said_of(cluster.name, why), bad=True)
            return
        self._ask(command, [Target(cluster, worker) for worker in workers])

    def _ask(self, command: ClusterCommand, targets: Sequence[Target], note: str = "") -> None:
        """Names the workers and, once that is confirmed, acts on those and no others."""
        workers = _by_cluster(targets)
        orders = {cluster: [one.id for one in some] for cluster, some in workers.items()}
        if command.effect is None:
            self.run(command, orders)
            return
        verb = "Drain" if command.argument is Argument.NEWEST else command.label
        named = named_workers({cluster.name: ids for cluster, ids in orders.items()})
        self._app.push_screen(
            ConfirmScreen(f"{verb} {named}?", _effects(command, workers) + note),
            lambda yes: self.run(command, orders) if yes else None,
        )

    # -- on the cluster -----------------------------------------------------------

    def _scale(self, command: ClusterCommand, count: int) -> None:
        cluster = self._app.front
        wanted = cluster.snapshot.wanted_workers if cluster.snapshot is not None else None
        if wanted is None or count >= wanted:
            self.run(command, {cluster: [str(count)]})
        else:
            self._on_newest(_SHRINK, wanted - count)

    def _place(self, command: ClusterCommand, argument: str) -> None:
        """Starts workers on a machine; asks on which, if there are several and none is named."""
        cluster = self._app.front
        count, where = _count_and_machine(argument)
        possible = [] if where else choices(cluster.snapshot, count)
        if not possible:
            self._on_cluster(command, argument)
            return
        workers = "one more worker" if count == 1 else f"{count} more workers"
        if all(one.refused for one in possible):
            why = said_of(cluster.name, f"no machine has room for {workers}")
            self._app.say(f"{command.label}: {why}", bad=True)
            return
        label = f"{command.label} in {cluster.name}" if cluster.name else command.label
        self._app.push_screen(
            WhereScreen(f"{label} {workers}: where?", possible),
            lambda chosen: (
                self._start(command, cluster, f"{count} {chosen.where}".rstrip())
                if chosen is not None
                else None
            ),
        )

    def _on_cluster(self, command: ClusterCommand, argument: str) -> None:
        cluster = self._app.front
        label = f"{command.label} in {cluster.name}" if cluster.name else command.label
        if command.name in STARTING_COMMANDS and self.is_again():
            question = f"{label}: one more worker?"
            text = (
                f"{counted(self._spawned, 'worker')} started a moment ago, as the key was pressed."
            )
            self._app.push_screen(
                ConfirmScreen(question, text),
                lambda yes: self._start(command, cluster, argument) if yes else None,
            )
        elif command.name in STARTING_COMMANDS:
            self._start(command, cluster, argument)
        elif command.effect is None or cluster.snapshot is None:
            self.run(command, {cluster: [argument]})
        else:
            self._app.push_screen(
                ConfirmScreen(f"{label}?", command.effect(cluster.snapshot, ())),
                lambda yes: self.run(command, {cluster: [argument]}) if yes else None,
            )

    def is_again(self) -> bool:
        """Whether a worker was started a moment ago."""
        return self._clock() - self._spawned_at < SPAWN_AGAIN_S

    def _start(self, command: ClusterCommand, cluster: WatchedCluster, argument: str) -> None:
        count, _ = _count_and_machine(argument)
        self._spawned = (self._spawned if self.is_again() else 0) + count
        self._spawned_at = self._clock()
        self.run(command, {cluster: [argument]})

    def run(self, command: ClusterCommand, orders: Mapping[WatchedCluster, Sequence[str]]) -> None:
        """Has clusters do it, each with its arguments, without a question."""
        self._orders += 1
        for cluster, arguments in orders.items():
            if command.argument in (Argument.WORKER, Argument.NEWEST):
                for worker_id in arguments:
                    cluster.notifications.acted_on(worker_id, self._clock())
            cluster.driver.run(command, *arguments, order=self._orders)

    def outcome(self, done: CommandDone) -> tuple[str, bool]:
        """What is to be said of a command that was carried out, and whether it failed: of an order
        to several clusters, all that is known by now.
        """
        order, said, failed = self._outcome
        text = said_of(done.cluster, done.text)
        if done.order and done.order == order:
            text = f"{said}; {text}"
        else:
            failed = False
        self._outcome = (done.order, text, failed or done.failed)
        return self._outcome[1:]


_SHRINK = next(command for command in CLUSTER_COMMANDS if command.name == "shrink")


def _count_and_machine(argument: str) -> tuple[int, str]:
    """How many workers, and where; "" for wherever there is most room."""
    count, _, where = argument.partition(" ")
    return int(count or 1), where.strip()


def _by_cluster(targets: Sequence[Target]) -> dict[WatchedCluster, list[WorkerView]]:
    workers: dict[WatchedCluster, list[WorkerView]] = {}
    for cluster, worker in targets:
        workers.setdefault(cluster, []).append(worker)
    return workers


def _effects(
    command: ClusterCommand, workers: Mapping[WatchedCluster, Sequence[WorkerView]]
) -> str:
    """What will follow; of several clusters, in each."""
    return " ".join(
        said_of(cluster.name if len(workers) > 1 else "", command.effect(cluster.snapshot, some))
        for cluster, some in workers.items()
        if command.effect is not None and cluster.snapshot is not None
    )
