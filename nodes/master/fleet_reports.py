"""A fleet's reports, taken into the membership; and what the fleet asks of it."""

from __future__ import annotations

import time

from nodes.fleet.fleet import Placed
from nodes.master.membership import Membership
from nodes.master.worker_orders import WorkerOrders
from nodes.routing import Phase, ProcessEvent, State, Worker
from nodes.support.event_kinds import EventKind


class FleetReports:
    """Whom a fleet reports to: a `nodes.fleet.fleet.FleetObserver` over a membership.

    Args:
        membership: where the fleet's workers register.
        orders: for those that are to serve another catalog.
    """

    def __init__(self, membership: Membership, orders: WorkerOrders) -> None:
        self._membership = membership
        self._registry = membership.registry
        self._changed = membership.changed
        self.switch = orders.switch
        self.serves = membership.serves
        self.accepts = membership.accepts

    def reserve(self, count: int) -> list[str]:
        """Ids for so many workers to come."""
        with self._changed:
            ids = [self._registry.reserve(time.monotonic()) for _ in range(count)]
            self._registry.local.begin()
            return ids

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""
        with self._changed:
            self._registry.local.remove(worker_id)
            # Who waited for that worker waits in vain.
            self._changed.notify_all()

    def report(self, event: ProcessEvent) -> None:
        """Something happened to the process of a worker."""

        def take_in(now: float) -> Worker | None:
            ended = self._registry.report(event, now)
            self._membership.succeed(now)
            return ended

        self._membership.end(take_in)

    def has_registered(self, instance: str) -> bool:
        """Whether the process of that instance has ever registered."""
        with self._changed:
            local = self._registry.local.of_instance(instance)
            return local is not None and local.registered

    def wait_replaced(self, worker_id: str, instance: str, timeout: float) -> bool:
        """Waits until another process than that instance has registered under that id, or nobody
        will. Returns whether it has, within `timeout` seconds.
        """

        def settled() -> bool:
            local = self._registry.local.get(worker_id)
            if local is None:
                return True
            return local.instance != instance and local.phase is Phase.RUNNING

        with self._changed:
            settled_in_time = self._changed.wait_for(settled, timeout)
            return settled_in_time and worker_id in self._registry.local

    def placed(self) -> dict[str, Placed]:
        """Every live worker that stays, by id, whoever started it."""
        with self._changed:
            return {
                one.id: Placed(one.address.host, one.version)
                for one in self._registry.live()
                if one.state is not State.DRAINING
            }

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened that is worth an event."""
        self._membership.note(kind, worker_id, text)
