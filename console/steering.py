"""From a command that is wanted to one that is carried out: on whom, whether it can be, and the
question before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from console.command import Argument, ClusterCommand, Command, ConsoleCommand
from console.commands import CLUSTER_COMMANDS
from console.effects import newest
from console.screens.confirm import ConfirmScreen
from nodes.support.units import counted
from nodes.wire import WorkerView

if TYPE_CHECKING:
    from console.app import RollcallApp

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
        match command.argument:
            case Argument.WORKER:
                self._on_workers(command, [argument] if argument else self._app.targets)
            case Argument.NEWEST:
                self._on_newest(command, 1)
            case Argument.COUNT if not argument:
                self._app.main.open_line(":", f"{command.name} ")
            case Argument.COUNT:
                self._scale(command, int(argument))
            case _:
                self._on_cluster(command, argument)

    def offered(self, command: Command) -> bool:
        """Whether there may be anything to do for a command."""
        snapshot = self._app.snapshot
        if snapshot is None or not isinstance(command, ClusterCommand):
            return True
        return command.offered(snapshot)

    def refusal(self, command: Command) -> str:
        """Why a command is not possible for its targets now, "" if it is for one of them."""
        if why := self._not_now(command):
            return why
        if command.steers and self._app.read_only:
            return "this console is read-only"
        if not isinstance(command, ClusterCommand) or command.argument is not Argument.WORKER:
            return ""
        workers = self._known(self._app.targets)
        if not workers:
            return "there is no worker under the cursor"
        refusals = [command.refusal(worker) for worker in workers]
        return refusals[0] if all(refusals) else ""

    def _not_now(self, command: Command) -> str:
        """Why a command is not possible as another time than now is shown, "" if it is."""
        return "" if command.acts(replaying=True) else self._app.replaying.refusal

    def _known(self, ids: Sequence[str]) -> list[WorkerView]:
        found = (self._app.worker(worker_id) for worker_id in ids)
        return [worker for worker in found if worker is not None]

    # -- on workers ---------------------------------------------------------------

    def _on_workers(self, command: ClusterCommand, ids: Sequence[str]) -> None:
        workers = self._known(ids)
        if not workers:
            named = f"there is no worker {ids[0]}" if ids else "there is no worker under the cursor"
            self._app.say(named, bad=True)
            return
        if command.undo is not None and all(command.is_done(worker) for worker in workers):
            command = command.undo
        refused = {worker.id: command.refusal(worker) for worker in workers}
        possible = [worker for worker in workers if not refused[worker.id]]
        if not possible:
            reasons = "; ".join(dict.fromkeys(refused.values()))
            self._app.say(f"{command.label}: {reasons}", bad=True)
            return
        left_out = "; ".join(why for why in refused.values() if why)
        self._ask(command, possible, note=f" Left out: {left_out}." if left_out else "")

    def _on_newest(self, command: ClusterCommand, count: int) -> None:
        snapshot = self._app.snapshot
        workers = newest(snapshot, count) if snapshot is not None else []
        if not workers:
            self._app.say("no worker was started here, so none can leave", bad=True)
            return
        self._ask(command, workers)

    def _ask(self, command: ClusterCommand, workers: Sequence[WorkerView], note: str = "") -> None:
        """Names the workers and, once that is confirmed, acts on those and no others."""
        ids = [worker.id for worker in workers]
        snapshot = self._app.snapshot
        if command.effect is None or snapshot is None:
            self.run(command, *ids)
            return
        verb = "Drain" if command.argument is Argument.NEWEST else command.label
        self._app.push_screen(
            ConfirmScreen(f"{verb} {', '.join(ids)}?", command.effect(snapshot, workers) + note),
            lambda yes: self.run(command, *ids) if yes else None,
        )

    # -- on the cluster -----------------------------------------------------------

    def _scale(self, command: ClusterCommand, count: int) -> None:
        snapshot = self._app.snapshot
        wanted = snapshot.wanted_workers if snapshot is not None else None
        if wanted is None or count >= wanted:
            self.run(command, str(count))
        else:
            self._on_newest(_SHRINK, wanted - count)

    def _on_cluster(self, command: ClusterCommand, argument: str) -> None:
        snapshot = self._app.snapshot
        if command.name in STARTING_COMMANDS and self.is_again():
            question = f"{command.label}: one more worker?"
            text = (
                f"{counted(self._spawned, 'worker')} started a moment ago, as the key was pressed."
            )
            self._app.push_screen(
                ConfirmScreen(question, text),
                lambda yes: self._start(command, argument) if yes else None,
            )
        elif command.name in STARTING_COMMANDS:
            self._start(command, argument)
        elif command.effect is None or snapshot is None:
            self.run(command, argument)
        else:
            self._app.push_screen(
                ConfirmScreen(f"{command.label}?", command.effect(snapshot, ())),
                lambda yes: self.run(command, argument) if yes else None,
            )

    def is_again(self) -> bool:
        """Whether a worker was started a moment ago."""
        return self._clock() - self._spawned_at < SPAWN_AGAIN_S

    def _start(self, command: ClusterCommand, argument: str) -> None:
        self._spawned = (self._spawned if self.is_again() else 0) + int(argument or 1)
        self._spawned_at = self._clock()
        self.run(command, argument)

    def run(self, command: ClusterCommand, *arguments: str) -> None:
        """Has the cluster do it, without a question."""
        if command.argument in (Argument.WORKER, Argument.NEWEST):
            for worker_id in arguments:
                self._app.acted_on(worker_id)
        self._app.driver.run(command, *arguments)


_SHRINK = next(command for command in CLUSTER_COMMANDS if command.name == "shrink")
