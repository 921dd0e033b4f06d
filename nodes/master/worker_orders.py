"""What a master tells one worker to do: to leave, to get and to serve another catalog."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from nodes.dispatch.replies import is_fetch_progress, is_refusal
from nodes.dispatch.tracked import explain
from nodes.errors import UnknownWorker
from nodes.master.fetch_patience import FetchPatience
from nodes.master.membership import Membership
from nodes.routing import Worker
from nodes.transport import ProtocolError, TransportError
from nodes.wire import FetchProgress

RETIRE_TIMEOUT_S = 1.0
SWITCH_TIMEOUT_S = 5.0
"""Seconds that a worker may take to hear that it is to leave, and to open another catalog or say
that it fetches it."""

ASK_AGAIN_S = 0.1
"""Seconds after which one that fetches is asked again; it takes its time over the answer."""


class WorkerOrders:
    """Orders to single workers of a membership.

    Args:
        membership: where they are registered.
        switch_timeout_s: seconds that a worker may take to open another catalog.

    Attributes:
        stall_s: seconds for which a worker that fetches a catalog may get no further.
    """

    def __init__(
        self, membership: Membership, *, switch_timeout_s: float = SWITCH_TIMEOUT_S
    ) -> None:
        self._membership = membership
        self._switch_timeout_s = switch_timeout_s
        self.stall_s = FetchPatience.STALL_S

    async def retire(self, worker_id: str, why: str) -> None:
        """Has a worker that nobody here started drain and leave; `why` is told of it.

        Raises:
            UnknownWorker: no live worker has that id.
        """
        membership = self._membership
        worker = membership.registry.get(worker_id)
        if worker is None or not worker.live:
            raise UnknownWorker(f"no live worker is called {worker_id[:80]!r}")
        membership.registry.drain(worker.generation, why, time.monotonic())
        membership.succeed(time.monotonic())
        membership.changed()
        # One that does not hear it is not sent lookups either, and its probes end it.
        with contextlib.suppress(TransportError):
            await membership.ask(worker, "retire", timeout_s=RETIRE_TIMEOUT_S)

    async def prepare(
        self, worker_id: str, version: str, fetching: Callable[[FetchProgress], None]
    ) -> None:
        """Has a worker get the catalog of that version, and waits until it has, or gets no further.
        Why it has not, `switch` tells.

        Args:
            worker_id: which.
            version: of the catalog.
            fetching: told how far it is, if it fetches it.
        """
        worker = self._membership.registry.get(worker_id)
        patience = FetchPatience(time.monotonic(), stall_s=self.stall_s)
        while worker is not None and worker.live and not self._membership.closed:
            try:
                progress = await self._order(worker, "prepare", version)
            except TransportError:
                return
            if isinstance(progress, str):
                return
            fetching(progress)
            if patience.over(progress[0], time.monotonic()):
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def switch(self, worker_id: str, version: str) -> str:
        """Has a worker serve the catalog of that version from its next lookup on.

        Returns:
            Why it does not, "" if it does.
        """
        membership = self._membership
        worker = membership.registry.get(worker_id)
        if worker is None or not worker.live:
            return "it is not registered"
        try:
            reply = await self._order(worker, "switch", version)
        except TransportError as error:
            return explain(worker, error)
        if not isinstance(reply, str):
            return f"it fetches the records still ({_share(reply)}), and then switches by itself"
        if not reply:
            membership.registry.switched(worker.generation, version, time.monotonic())
            membership.changed()
        return reply

    async def _order(self, worker: Worker, verb: str, version: str) -> str | FetchProgress:
        """What a worker says to an order: why it does not carry it out, "" if it has, or how far
        it is with fetching what it needs.
        """
        reply = await self._membership.ask(worker, verb, version, timeout_s=self._switch_timeout_s)
        if reply == version:
            return ""
        if is_fetch_progress(reply):
            return reply
        if is_refusal(reply):
            return explain(worker, reply)
        raise ProtocolError("its answer has not the form of one")


def _share(progress: FetchProgress) -> str:
    done, total = progress
    return f"{done * 100 // total} %" if total else "it has not begun"
