"""What a master asks of the fleet that its launcher runs; a master alone has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Protocol

from nodes.catalog import CatalogInfo
from nodes.errors import NotPossible
from nodes.fleet.machine import Ability
from nodes.wire import MachineView, Reloaded


class FleetControl(Protocol):
    """A fleet, as a master sees it; `nodes.fleet.fleet.Fleet` is one.

    Attributes:
        says_what_is_served: whether that is the fleet's to say, and no worker's.
        activity: how far a reload is, "" when there is none.
        offered: the catalogs that workers may fetch, first the one that is served.
        abilities: what it can do, so that nothing else is offered.
        log_trouble: why what workers print is dropped now, "" if it is not.
    """

    @property
    def says_what_is_served(self) -> bool: ...

    @property
    def activity(self) -> str: ...

    @property
    def offered(self) -> tuple[CatalogInfo, ...]: ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    @property
    def log_trouble(self) -> str: ...

    def machines(self) -> Sequence[MachineView]:
        """Its machines, as they are known now: never waits for one."""

    def memory_measured(self, worker_id: str, instance: str, memory: int) -> None:
        """That instance has so many bytes of memory of its own."""

    def spawn(self, count: int, where: str = "") -> list[str]:
        """Starts workers; returns their ids.

        Args:
            count: how many.
            where: the machine; "" for the one with most room, one by one.
        """

    def kill(self, worker_id: str) -> str:
        """Ends a worker at once, for good."""

    def drain(self, worker_id: str) -> str:
        """Lets a worker finish, then end for good."""

    def restart(self, worker_id: str) -> str:
        """Lets a worker finish, then starts it anew."""

    def again(self, worker_id: str) -> str:
        """Starts a worker that is gone under the same id."""

    def freeze(self, worker_id: str) -> str:
        """Stops a worker with SIGSTOP."""

    def thaw(self, worker_id: str) -> str:
        """Lets a frozen worker go on."""

    def log(self, worker_id: str, after: int = -1) -> tuple[int, str]:
        """A part of a worker's log, and where it ends."""

    def scale(self, count: int) -> str:
        """Starts or drains workers until that many are wanted."""

    def reload(self) -> Reloaded:
        """Brings changed records into service."""

    def stop(self) -> None:
        """Drains and ends every worker."""


class NoFleet:
    """The fleet of a master alone: nobody's workers are its own, and it can start none."""

    says_what_is_served = False
    activity = ""
    offered: tuple[CatalogInfo, ...] = ()
    abilities: frozenset[Ability] = frozenset()
    log_trouble = ""

    def machines(self) -> Sequence[MachineView]:
        """It has none."""
        return ()

    def memory_measured(self, _worker_id: str, _instance: str, _memory: int) -> None:
        """It is none of ours."""

    def _refuse(self, *_args: object) -> NoReturn:
        raise NotPossible(
            "this master starts no workers: use 'rollcall-nodes up', or start and stop "
            "workers where they run"
        )

    spawn = kill = drain = restart = again = freeze = thaw = log = scale = reload = _refuse

    def stop(self) -> None:
        """There is nothing to stop."""
