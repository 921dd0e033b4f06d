"""A fleet's reports, taken into the membership; and what the fleet asks of it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Collection

from nodes.catalog import Progress
from nodes.master.membership import Membership
from nodes.master.worker_orders import WorkerOrders
from nodes.routing import Phase, ProcessEvent, State, Worker
from nodes.support.event_kinds import EventKind
from nodes.transport import LoopThread
from nodes.wire import Description, FetchProgress


class FleetReports:
    """Whom a fleet reports to: a `nodes.fleet.fleet.FleetObserver` over a membership, for the
    threads of a fleet.

    Args:
        membership: where the fleet's workers register.
        orders: for those that are to serve another catalog.
        loop: that both run on.
    """

    def __init__(self, membership: Membership, orders: WorkerOrders, loop: LoopThread) -> None:
        self._membership = membership
        self._registry = membership.registry
        self._orders = orders
        self._loop = loop

    def reserve(self, count: int) -> list[str]:
        """Ids for so many workers to come."""

        def reserve() -> list[str]:
            ids = [self._registry.reserve(time.monotonic()) for _ in range(count)]
            self._registry.local.begin()
            return ids

        return self._loop.call(reserve)

    def reserve_again(self, worker_id: str) -> bool:
        """The id of a worker that is gone, for one to come; False if another has it by now."""
        return self._loop.call(self._registry.reserve_again, worker_id, time.monotonic())

    def release(self, worker_id: str) -> None:
        """Nobody will come for that id."""

        def release() -> None:
            self._registry.local.remove(worker_id)
            self._membership.changed()  # who waited for that worker waits in vain

        self._loop.call(release)

    def report(self, event: ProcessEvent) -> None:
        """Something happened to the process of a worker."""

        def take_in(now: float) -> Worker | None:
            ended = self._registry.report(event, now)
            self._membership.succeed(now)
            return ended

        self._loop.call(self._membership.end, take_in)

    def has_registered(self, instance: str) -> bool:
        """Whether the process of that instance has ever registered."""

        def look() -> bool:
            local = self._registry.local.of_instance(instance)
            return local is not None and local.registered

        return self._loop.call(look)

    def wait_replaced(self, worker_id: str, instance: str, timeout: float) -> bool:
        """Waits until another process than that instance has registered under that id, or nobody
        will. Returns whether it has, within `timeout` seconds.
        """

        def replaced() -> bool:
            local = self._registry.local.get(worker_id)
            if local is None:
                return False
            return local.instance != instance and local.phase is Phase.RUNNING

        async def wait() -> bool:
            deadline = time.monotonic() + timeout
            while worker_id in self._registry.local and not replaced():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                await self._membership.wait_changed(left)
            return replaced()

        return self._loop.run(wait())

    def prepare(self, worker_ids: Collection[str], version: str, progressed: Progress) -> None:
        """Has workers get the catalog of that version, all at a time, and waits until each has, or
        gets no further.
        """
        fetched: dict[str, FetchProgress] = {}

        def note(worker_id: str, progress: FetchProgress) -> None:
            fetched[worker_id] = progress
            done, total = (sum(figures) for figures in zip(*fetched.values(), strict=True))
            progressed("fetch", done, total)

        async def prepare() -> None:
            await asyncio.gather(
                *(
                    self._orders.prepare(one, version, functools.partial(note, one))
                    for one in worker_ids
                )
            )

        self._loop.run(prepare())

    def switch(self, worker_id: str, version: str) -> str:
        """Has a worker serve another catalog; returns why it does not, "" if it does."""
        return self._loop.run(self._orders.switch(worker_id, version))

    def accepts(self, version: str) -> None:
        """Workers are about to switch to that version: both are served until all have."""
        self._loop.call(self._membership.accepts, version)

    def serves(self, description: Description) -> None:
        """That is what is served from now on; a worker with another catalog gets no lookups."""
        self._loop.call(self._membership.serves, description)

    def versions(self) -> dict[str, str]:
        """The catalog's version of each live worker that stays, by id, whoever started it."""

        def look() -> dict[str, str]:
            live = self._registry.live()
            return {one.id: one.version for one in live if one.state is not State.DRAINING}

        return self._loop.call(look)

    def note(self, kind: EventKind, worker_id: str, text: str) -> None:
        """Something happened that is worth an event."""
        self._membership.note(kind, worker_id, text)
