"""Follows a master's list of workers, for a direct client: told of each change as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import Protocol

import msgspec

from nodes.errors import BadReply, RollcallError
from nodes.support.supervision import Supervision, supervised
from nodes.transport import Value
from nodes.wire import Envelope, Members

LONG_POLL_S = 10.0
"""Seconds that the master is asked to wait for a change."""

PAUSE_S = 0.05
"""Seconds between two requests, however much changes."""

REFRESH_EVERY_S = 0.5
"""Seconds between two requests where the master does not wait, or a worker has yet to prove that
it answers."""

REFRESH_SOON_S = 0.1
"""The same while a worker is expected to register, or the master is away."""

REFRESH_TIMEOUT_S = 1.0
"""Seconds that an answer may take, waits aside."""


class MasterCalls(Protocol):
    """A connection to a master, as far as it is needed here.

    Attributes:
        where: the master's address, for errors.
    """

    where: str

    async def call(self, verb: str, *args: Value, timeout: float, patient: bool = ...) -> Envelope:
        """See `nodes.client.async_connection.AsyncMasterConnection.call`."""

    def close(self) -> None:
        """Ends it."""


class Follower(Protocol):
    """Who is told.

    Attributes:
        in_doubt: whether something is held against a worker that the next probe forgives.
    """

    @property
    def in_doubt(self) -> bool:
        """See above."""

    def follow(self, members: Members) -> None:
        """That is the list now."""

    def master_away(self) -> None:
        """The master does not answer: its workers are taken to be still there, and those of the
        next master to be on their way.
        """


class MembershipWatch:
    """Follows a master's list of workers. For one event loop.

    The master is asked for the list by its version, and answers once it has another. One that is a
    version of Rollcall back gives its list no version, and cannot wait: it is asked again and
    again. (That is why the first request has no arguments: it would refuse them.)

    Args:
        master: the connection to it.
        follower: not kept alive by this; once it is gone, nobody is asked any more.
    """

    def __init__(self, master: MasterCalls, follower: Follower) -> None:
        self._master = master
        self._follower = weakref.ref(follower)
        self._version = ""
        self._hurried = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, timeout_s: float) -> None:
        """Takes over the first list, and follows it from then on.

        Raises:
            MasterLost, LookupFailed: there is none.
        """
        await self._ask(timeout_s, patient=True)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(supervised(work, Supervision("following a master's workers")))
            for work in (self._follow_changes, self._seek_proofs)
        ]

    def hurry(self) -> None:
        """A lookup has failed, or was late: what the master knows of the worker is wanted soon."""
        self._hurried.set()

    def close(self) -> None:
        """Asks no more."""
        for task in self._tasks:
            task.cancel()
        self._master.close()

    async def _ask(self, timeout_s: float, *args: Value, patient: bool = False) -> bool:
        """Asks for the list and hands it on. Whether a worker is expected to register."""
        reply = await self._master.call("members", *args, timeout=timeout_s, patient=patient)
        try:
            members = msgspec.convert(reply.result, Members)
        except (msgspec.ValidationError, RecursionError) as error:
            raise BadReply(self._master.where, "no list of workers") from error
        self._version = members.version
        follower = self._follower()
        if follower is not None:
            follower.follow(members)
        return members.expecting

    async def _follow_changes(self) -> None:
        loop = asyncio.get_running_loop()
        while self._follower() is not None:
            known, asked_at = self._version, loop.time()
            try:
                if known:
                    timeout_s = LONG_POLL_S + REFRESH_TIMEOUT_S
                    expecting = await self._ask(timeout_s, known, LONG_POLL_S)
                else:
                    expecting = await self._ask(REFRESH_TIMEOUT_S)
            except RollcallError:
                self._version = ""  # the next master may not know what it means
                self._tell_away()
                await asyncio.sleep(REFRESH_SOON_S)
                continue
            took_s = loop.time() - asked_at
            if not self._version:
                await asyncio.sleep(REFRESH_SOON_S if expecting else REFRESH_EVERY_S)
            elif self._version == known and took_s < REFRESH_EVERY_S:
                await asyncio.sleep(REFRESH_EVERY_S)  # too many wait there
            elif took_s < PAUSE_S:
                await asyncio.sleep(PAUSE_S - took_s)

    def _tell_away(self) -> None:
        follower = self._follower()
        if follower is not None:
            follower.master_away()

    async def _seek_proofs(self) -> None:
        """Asks soon after a failure, and as long as a worker is in doubt: that a probe was
        answered is no change of the list.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_EVERY_S):
                    await self._hurried.wait()
            if self._hurried.is_set() or self._in_doubt():
                await asyncio.sleep(PAUSE_S)
                self._hurried.clear()
                with contextlib.suppress(RollcallError):  # the other task finds the next master
                    await self._ask(REFRESH_TIMEOUT_S)

    def _in_doubt(self) -> bool:
        follower = self._follower()
        return follower is not None and follower.in_doubt
