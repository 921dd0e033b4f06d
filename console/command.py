"""What a command is: its name, key and words, what it takes, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

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
    PLACED_COUNT = "placed count"  # an optional count and, after it, a machine
    TEXT = "text"


class When(StrEnum):
    """When a command has something to do."""

    ALWAYS = "always"
    NOW = "now"
    REPLAY = "replay"  # while another time is shown


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
        when: whether it is for the cluster as it is now alone, or for another time alone.
        needs: the ability of a fleet that it needs; see `ClusterSnapshot`. "" for none.
        offered: whether there may be anything to do: only then does its key act.
    """

    name: str
    label: str
    help: str
    key: str = ""
    argument: Argument = Argument.NONE
    button: bool = False
    footer: int = 0
    steers: bool = False
    when: When = When.ALWAYS
    needs: str = ""
    offered: Callable[[ClusterSnapshot], bool] = lambda _snapshot: True

    def is_possible(self, snapshot: ClusterSnapshot) -> bool:
        """Whether the fleet can do it at all."""
        return not self.needs or self.needs in snapshot.abilities

    def is_offered(self, snapshot: ClusterSnapshot) -> bool:
        """Whether there may be anything to do that the fleet can do."""
        return self.is_possible(snapshot) and self.offered(snapshot)

    def acts(self, *, replaying: bool) -> bool:
        """Whether it has something to do, now or while another time is shown."""
        if replaying:
            return not self.steers and self.when is not When.NOW
        return self.when is not When.REPLAY


@dataclass(frozen=True, kw_only=True)
class ClusterCommand(Command):
    """A command that changes the cluster; a read-only console has none of these.

    Attributes:
        run: does it.
        effect: says what will follow; None for what needs no confirmation.
        undo: what takes it back, when the console quits at the latest.
        is_done: whether a worker is in the state that this brings about; then it is undone.
        refusal: why it cannot be done to a worker now, "" if it can.
    """

    run: ClusterAction
    effect: Effect | None = None
    undo: ClusterCommand | None = None
    is_done: Callable[[WorkerView], bool] = lambda _worker: False
    refusal: Callable[[WorkerView], str] = lambda _worker: ""
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
