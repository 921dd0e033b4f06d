"""The list of workers as direct clients see it, and who waits for it to change."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

from nodes.errors import BadRequest, Stopping
from nodes.master.membership import Membership
from nodes.routing import State
from nodes.support.supervision import Supervision, supervised
from nodes.wire import Member, Members, direct_key

MAX_WAIT_S = 10.0
"""Seconds after which who waits is answered, whether or not anything has changed."""

MAX_WAITING = 1000
"""Clients that wait at a time; one more is answered at once."""

SETTLE_S = 0.05
"""Seconds between two changes that are told: what happens in between is told together."""

LOOK_AGAIN_S = 0.25
"""Seconds after which the list is looked at again without a change of the membership: whether a
worker is expected depends on the time as well."""


class MemberList:
    """Every live worker that is sent lookups, for clients that ask them themselves.

    The list has a version, which is another whenever the list is. How many probes a worker has
    answered is in the list, and no change of it.

    Args:
        membership: the workers.
        balance: the master's policy.
        show_keys: whether workers want to be shown a key.
        check_open: raises the error of a master that is stopping.
    """

    def __init__(
        self,
        membership: Membership,
        *,
        balance: str,
        show_keys: bool,
        check_open: Callable[[], None],
    ) -> None:
        self._membership = membership
        self._balance = balance
        self._key = direct_key if show_keys else lambda _instance: ""
        self._check_open = check_open
        self._master = secrets.token_hex(8)
        self._content: object = None
        self._changes = 0
        self._changed = asyncio.Event()
        self._waiting = 0
        self._watching: asyncio.Task[None] | None = None
        self._supervision = Supervision("the list of workers", membership.events.trouble)

    def now(self) -> Members:
        """The list. Raises `Stopping`: the next master will say."""
        self._check_open()
        registry = self._membership.registry
        live = [one for one in registry.live() if one.state is not State.UNREADY]
        died = tuple(worker.generation for worker in registry.deaths.latest)
        expecting = self._membership.expecting()
        content = (
            expecting,
            died,
            [(one.id, one.generation, one.address, one.state, one.version) for one in live],
        )
        if content != self._content:
            self._content = content
            self._changes += 1
        return Members(
            master=self._master,
            balance=self._balance,
            expecting=expecting,
            members=tuple(
                Member(
                    id=one.id,
                    generation=one.generation,
                    host=one.address.host,
                    port=one.address.port,
                    state=str(one.state),
                    version=one.version,
                    probes_answered=one.probes_answered,
                    key=self._key(one.instance),
                    in_store=one.in_store,
                )
                for one in live
            ),
            died=died,
            version=f"{self._master}-{self._changes}",
        )

    async def after(self, known: str, wait_s: float) -> Members:
        """The list, as soon as it is another than the one that is known.

        Args:
            known: that one's version, "" for none.
            wait_s: seconds after which the list is wanted in any case; no more than `MAX_WAIT_S`
                are waited.

        Raises:
            BadRequest: that is no time to wait.
            Stopping: see `now`.
        """
        if not wait_s >= 0:
            raise BadRequest("wait_s must be 0 or more seconds")
        until = time.monotonic() + min(wait_s, MAX_WAIT_S)
        members = self.now()
        while members.version == known and self._waiting < MAX_WAITING:
            left = until - time.monotonic()
            if left <= 0:
                break
            await self._wait(known, left)
            members = self.now()
        return members

    def close(self) -> None:
        """The master is stopping: who waits is told."""
        self._tell()

    async def _wait(self, known: str, timeout_s: float) -> None:
        self._waiting += 1
        if self._watching is None:
            watch = supervised(lambda: self._watch(known), self._supervision)
            self._watching = asyncio.get_running_loop().create_task(watch)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout_s)
        finally:
            self._waiting -= 1

    async def _watch(self, told: str) -> None:
        """Looks at the list whenever the membership has changed, once for all who wait.

        Args:
            told: the version that the first of them knows.
        """
        try:
            while self._waiting:
                version = self.now().version
                if version == told:
                    await self._membership.wait_changed(LOOK_AGAIN_S)
                    continue
                told = version
                self._tell()
                await asyncio.sleep(SETTLE_S)
        except Stopping:
            pass  # said to each who waits
        self._watching = None
        self._tell()  # nobody waits for a change that nobody looks for

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
