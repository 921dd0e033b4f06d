"""What a master can ask of the launcher that it runs in; `nodes.fleet.fleet.Fleet` is one."""

from __future__ import annotations

from typing import Protocol

from nodes.fleet.process import ProcessView
from nodes.wire import Reloaded


class FleetControl(Protocol):
    """What a master can ask of the launcher that it runs in; `nodes.cluster` has one."""

    @property
    def activity(self) -> str:
        """How far a reload is, "" when there is none."""

    def children(self) -> list[ProcessView]:
        """The local workers."""

    def spawn(self, count: int) -> list[str]:
        """Starts workers; returns their ids."""

    def kill(self, worker_id: str) -> str:
        """Ends a worker at once, for good."""

    def drain(self, worker_id: str) -> str:
        """Lets a worker finish, then end for good."""

    def restart(self, worker_id: str) -> str:
        """Lets a worker finish, then starts it anew."""

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

    def owns(self, worker_id: str) -> bool:
        """Whether it started that worker."""

    def stop(self) -> None:
        """Drains and ends every worker."""
