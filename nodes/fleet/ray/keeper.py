"""The keeper on a Ray node: a detached actor that keeps worker processes for one launcher.

It ends with Ray's node, and its workers with it, as their standard input ends. Ray's head it does
not need: while that is gone, it goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

from nodes.fleet.ray.messages import decode_orders, encode
from nodes.fleet.ray.numbered_table import NumberedTable
from nodes.support.addresses import parse_address
from nodes.support.silence import Silence
from nodes.support.supervision import Supervision, supervised_thread
from nodes.support.version import VERSION

LEASE_S = 30.0
"""Seconds without a sign of its launcher after which a keeper ends, and its workers with it."""

LEASE_CHECK_S = 2.0
"""Seconds between two looks at the lease."""

OVERDUE_S = 10.0
"""Seconds without a question from its launcher after which a keeper looks for the master itself."""

DIAL_TIMEOUT_S = 2.0
"""Seconds for the master to take a connection."""

REPORTS_WITHIN_S = 1.0
"""Seconds that a question for reports waits for one."""


class Keeper:
    """The workers of one launcher on this node; an asynchronous actor once Ray has made it one.

    The launcher's questions are the sign that it is there. While none can reach a keeper (Ray's
    head and the side process may both be gone), it looks whether the master takes connections:
    master and launcher are one process.

    Args:
        master: HOST:PORT.
    """

    def __init__(self, master: str) -> None:
        self._master = parse_address(master)
        self._changed: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._table = NumberedTable(self._tell)
        now, every_s = time.monotonic(), LEASE_CHECK_S + DIAL_TIMEOUT_S
        self._unasked = Silence(now, look_every_s=every_s)
        self._unsigned = Silence(now, look_every_s=every_s)
        supervised_thread("lease", self._keep_lease, Supervision("the lease"), threading.Event())

    async def version(self) -> str:
        """Which Rollcall this node has."""
        self._asked()
        return VERSION

    async def obey(self, orders: bytes) -> int:
        """Does what is ordered; returns the number of the last order that was done."""
        self._asked()
        return self._table.obey(decode_orders(orders))

    async def reports(self, seen: int) -> bytes:
        """What came after the report of that number; waits a little for the first."""
        self._asked()
        if self._changed is None:
            self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        changed = self._changed
        end = time.monotonic() + REPORTS_WITHIN_S
        while True:
            changed.clear()
            found = self._table.reports(seen)
            left = end - time.monotonic()
            if found or left <= 0:
                return encode(found)
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                return encode(())

    async def end(self) -> None:
        """Ends the workers, and this process shortly after its answer."""
        self._table.end()
        asyncio.get_running_loop().call_later(0.1, os._exit, 0)

    def _asked(self) -> None:
        self._unasked.heard()
        self._unsigned.heard()

    def _tell(self) -> None:
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None:
            loop.call_soon_threadsafe(changed.set)

    def _keep_lease(self) -> None:
        """The thread of the lease, until it ends."""
        while True:
            time.sleep(LEASE_CHECK_S)
            now = time.monotonic()
            unsigned_s = self._unsigned.look(now)
            if self._unasked.look(now) > OVERDUE_S and _takes(self._master):
                self._unsigned.heard()
            elif unsigned_s > LEASE_S:
                try:
                    self._table.end()
                finally:
                    os._exit(0)


def _takes(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, DIAL_TIMEOUT_S):
            return True
    except OSError:
        return False
