"""Machines: what a supervisor asks of wherever its workers run.

This machine, one reached by ssh and a node of a Ray cluster are such machines. They start
processes, pass signals on and tell how a process ended. They decide nothing: how many workers
there are, which is started anew and where is the supervisor's to say, and whether a worker is
healthy is told by its master, which every worker dials itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from nodes.support.addresses import Address

MAX_WORKERS = 256
"""Workers wanted at most, on a machine and in all: a slip of the finger must not take one down."""


class Launch(NamedTuple):
    """A worker that is to be started.

    Args:
        worker_id: its id.
        arguments: of `rollcall-nodes`, "worker" first.
        instance: the secret by which it is known; never on a command line.
    """

    worker_id: str
    arguments: Sequence[str]
    instance: str


class Ending(NamedTuple):
    """How a worker's process ended.

    Args:
        why: in words.
        machine_lost: whether its machine is gone, or cannot be reached: the worker is not to blame.
    """

    why: str
    machine_lost: bool = False


class Sink(Protocol):
    """Where what a worker prints goes. For any thread."""

    def write(self, data: bytes, /) -> object:
        """Adds to it."""


class RunningWorker(Protocol):
    """A worker's process, wherever it runs. For many threads.

    Attributes:
        pid: on its machine; 0 while it is not known.
    """

    @property
    def pid(self) -> int: ...

    def wait(self, timeout_s: float | None = None) -> Ending | None:
        """Waits for its end; None if it goes on after so many seconds."""

    def signal(self, number: int) -> None:
        """Sends it a signal, at once and without waiting; one that has ended gets none."""

    def close(self) -> None:
        """Lets go of it once it has ended."""


class Machine(Protocol):
    """A place where workers are started.

    Attributes:
        name: what people call it.
        room: workers that it takes at most.
        host: the address that its workers listen on; "" for this machine.
        tls: the folder of certificates there; "" for that of this machine.
        master: the address by which it reaches this machine; "" if that is not known.
    """

    @property
    def name(self) -> str: ...

    @property
    def room(self) -> int: ...

    @property
    def host(self) -> str: ...

    @property
    def tls(self) -> str: ...

    @property
    def master(self) -> str: ...

    @property
    def lost(self) -> str:
        """Why it cannot be reached now, "" if it can. Known, not asked for: never blocks."""

    def start(self, launch: Launch, output: Sink) -> RunningWorker:
        """Starts a worker there.

        Args:
            launch: which.
            output: where what it prints goes, on this machine.

        Raises:
            OSError: it cannot be started.
        """


class Ability(StrEnum):
    """What a fleet may be able to do, so that a console offers nothing else."""

    SPAWN = "spawn"
    """Start, end and restart workers."""

    FREEZE = "freeze"
    """Stop a worker with SIGSTOP, and let it go on."""

    LOG = "log"
    """Show what a worker prints."""

    PLACE = "place"
    """Start a worker on a machine that is named."""


class Machines(Protocol):
    """The machines of a fleet: those that a file names, this one alone, or a cluster's nodes.

    Attributes:
        abilities: what the fleet can do with them.
    """

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def all(self) -> Sequence[Machine]:
        """All that are known now, lost ones as well. Never blocks."""

    def close(self) -> None:
        """Lets go of them, once no worker of theirs is left."""


OpenMachines = Callable[[Address], Machines]
"""Opens the machines of a fleet, told where its master listens. May raise `StartError`."""
