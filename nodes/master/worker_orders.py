"""What a master tells one worker to do: to leave, to serve another catalog."""

from __future__ import annotations

import contextlib
import time

from nodes.dispatch.replies import is_refusal, is_version
from nodes.dispatch.tracked import explain
from nodes.errors import UnknownWorker
from nodes.master.membership import Membership
from nodes.transport import ProtocolError, TransportError

RETIRE_TIMEOUT_S = 1.0
SWITCH_TIMEOUT_S = 5.0
"""Seconds that a worker may take to hear that it is to leave, and to open another catalog."""


class WorkerOrders:
    """Orders to single workers of a membership.

    Args:
        membership: where they are registered.
        switch_timeout_s: seconds that a worker may take to open another catalog.
    """

    def __init__(
        self, membership: Membership, *, switch_timeout_s: float = SWITCH_TIMEOUT_S
    ) -> None:
        self._membership = membership
        self._switch_timeout_s = switch_timeout_s

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

    async def switch(self, worker_id: str, path: str) -> str:
        """Has a worker serve the catalog at `path` from its next lookup on.

        Returns:
            Why it does not, "" if it does.
        """
        membership = self._membership
        worker = membership.registry.get(worker_id)
        if worker is None or not worker.live:
            return "it is not registered"
        try:
            reply = await membership.ask(worker, "switch", path, timeout_s=self._switch_timeout_s)
            if is_refusal(reply):
                return explain(worker, reply)
            if not is_version(reply):
                raise ProtocolError("its answer has not the form of one")
        except TransportError as error:
            return explain(worker, error)
        membership.registry.switched(worker.generation, reply, time.monotonic())
        membership.changed()
        return ""
