"""A bounded pool of connections to a store, for one event loop, which it never holds up."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psycopg
from psycopg.pq import TransactionStatus

from nodes.catalog.postgres.connecting import (
    conninfo,
    prepare,
    refusal,
    too_late,
    unreachable,
)
from nodes.errors import DataError, StoreDown

logger = logging.getLogger("rollcall.store")

MAX_CONNECTIONS = 4
"""Connections of one pool: a query takes a tenth of a millisecond, and many workers share one
server."""

ANSWER_S = 0.1
"""Seconds before its time is up that a question is given up: whoever waits is told why in time."""

SHORTEST_S = 0.05
"""Seconds that a question is given at least: nobody's connection is cut for being late already."""

GRACE_S = 0.05
"""Seconds that the server has to say that a query took too long, before its connection is cut."""

PAUSE_S = 0.1
"""Seconds after a store could not be reached within which it is not tried again."""

IDLE_S = 30.0
"""Seconds after which a connection that nobody needed is closed."""

TIMEOUT_STEPS_MS = (100, 10)
"""Query timeouts are multiples of the first, or of the second where they are less than that:
so they seldom have to be set anew."""

Parameters = Sequence[object] | Mapping[str, object]

AGAIN = (psycopg.errors.TransactionRollback,)
"""What a replica says when it needs the rows for something else: the same question is answered a
moment later."""


def query_timeout_ms(within: float) -> int:
    """The server's limit for a question that is of use within so many seconds: a little less."""
    return next((ms for step in TIMEOUT_STEPS_MS if (ms := int(within * 1000) // step * step)), 10)


class Link:
    """A connection, and what was last set on it."""

    def __init__(self, db: psycopg.AsyncConnection) -> None:
        self.db = db
        self.idle_since = 0.0
        self._timeout_ms = 0
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether it was cut off."""
        return self._is_cut

    @property
    def is_free(self) -> bool:
        """Whether it can be asked: it is there, and nothing is under way on it."""
        return self.db.pgconn.transaction_status == TransactionStatus.IDLE and not self._is_cut

    async def ask(
        self, statement: str, parameters: Parameters, within: float
    ) -> psycopg.AsyncCursor:
        """Asks one question. Raises `psycopg.Error`, of which the connection may be broken."""
        timeout_ms = query_timeout_ms(within)
        if timeout_ms != self._timeout_ms:
            # The plan of a question does not depend on its values: each has its index.
            await self.db.execute(
                "SELECT set_config('statement_timeout', %s, false),"
                " set_config('plan_cache_mode', 'force_generic_plan', false)",
                (str(timeout_ms),),
            )
            self._timeout_ms = timeout_ms
        cursor = self.db.cursor(binary=True)
        return await cursor.execute(statement, parameters, prepare=True)

    def cut(self) -> None:
        """Ends the connection under a question that the server does not answer: who waits for it
        is told at once, and nothing more is said to that server.
        """
        self._is_cut = True
        with suppress(OSError, psycopg.Error):
            copy = socket.socket(fileno=os.dup(self.db.fileno()))
            with copy:
                copy.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of it; nobody may be waiting for it."""
        self.db.pgconn.finish()


class Pool:
    """Connections to the store that an environment variable names, made when they are needed.

    Of one that is lost, the question is asked once more over a new one: to whichever of the URL's
    hosts answers.
    """

    def __init__(self, variable: str) -> None:
        self._variable = variable
        self._idle: deque[Link] = deque()
        self._waiting: deque[asyncio.Future[Link]] = deque()
        self._busy: set[Link] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._failure: StoreDown | None = None
        self._told = ""
        self._not_before = 0.0
        self._closed = False

    async def ask(
        self, statement: str, parameters: Parameters, within: float
    ) -> psycopg.AsyncCursor:
        """Asks one question that only reads.

        Args:
            statement: The SQL.
            parameters: Its parameters.
            within: Seconds after which nobody waits for the answer.

        Returns:
            The rows, all of which are here.

        Raises:
            StoreDown: the store cannot be reached, does not answer in time, or refuses.
            psycopg.DataError: a parameter is none that the store can hold.
        """
        within = max(SHORTEST_S, within - min(ANSWER_S, within / 4))
        deadline = asyncio.get_running_loop().time() + within
        try:
            return await self._ask(statement, parameters, deadline, within)
        except _Lost:
            try:
                return await self._ask(statement, parameters, deadline, within)
            except _Lost as lost:
                self._tell(lost)
                raise unreachable(self._variable) from lost

    async def _ask(
        self, statement: str, parameters: Parameters, deadline: float, within: float
    ) -> psycopg.AsyncCursor:
        loop = asyncio.get_running_loop()
        link = await self._take(deadline, within)
        timer = loop.call_at(deadline + GRACE_S, link.cut)
        try:
            return await link.ask(statement, parameters, deadline - loop.time())
        except psycopg.errors.QueryCanceled as error:
            raise too_late(within) from error
        except psycopg.DataError:
            raise
        except psycopg.Error as error:
            if link.is_cut:
                raise too_late(within) from error
            if link.db.closed:
                self._close_idle()  # they lead where this one led
                raise _Lost(error) from error
            if isinstance(error, AGAIN):
                raise _Lost(error) from error
            self._tell(error)
            raise refusal(error) from error
        finally:
            timer.cancel()
            self._busy.discard(link)
            self._give(link)

    async def _take(self, deadline: float, within: float) -> Link:
        """A connection that is free, or the next that will be."""
        loop = asyncio.get_running_loop()
        while self._idle:
            link = self._idle.pop()
            if link.is_free:
                self._busy.add(link)
                return link
            link.close()
        if self._closed:
            raise StoreDown("these records are not asked for any more")
        pausing = loop.time() < self._not_before
        if pausing and self._failure is not None and not self._busy:
            raise StoreDown(self._failure.message)
        if not pausing and len(self._busy) + len(self._opening) < MAX_CONNECTIONS:
            self._open_one()
        place: asyncio.Future[Link] = loop.create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                return await place
        except TimeoutError:
            if place.done() and not place.cancelled():  # it came just then
                self._busy.discard(place.result())
                self._give(place.result())
            raise too_late(within) from None

    def _open_one(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        """Opens one connection, for whoever waits by then."""
        try:
            db = await psycopg.AsyncConnection.connect(
                conninfo(self._variable), autocommit=True, prepare_threshold=0
            )
        except psycopg.Error as error:
            self._tell(error)
            self._fail(unreachable(self._variable))
        except DataError as error:
            self._fail(StoreDown(str(error)))
        else:
            prepare(db)
            self._failure = None
            self._told = ""
            self._give(Link(db))

    def _tell(self, error: Exception) -> None:
        """Logs the library's own words: once, as long as they are the same."""
        if str(error) != self._told:
            self._told = str(error)
            logger.warning("the store: %s", error)

    def _fail(self, failure: StoreDown) -> None:
        """The store cannot be reached: who waits for a connection need not wait on, unless others
        will be free.
        """
        self._failure = failure
        self._not_before = asyncio.get_running_loop().time() + PAUSE_S
        if not self._busy:
            while self._waiting:
                place = self._waiting.popleft()
                if not place.done():
                    place.set_exception(StoreDown(failure.message))

    def _give(self, link: Link) -> None:
        """A connection is free, or of no use any more."""
        if self._closed or not link.is_free:
            link.close()
            self._go_on()
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                self._busy.add(link)
                place.set_result(link)
                return
        loop = asyncio.get_running_loop()
        link.idle_since = loop.time()
        self._idle.append(link)
        if self._reaper is None:
            self._reaper = loop.call_later(IDLE_S, self._reap)

    def _go_on(self) -> None:
        """One connection fewer: another is opened for those who wait, unless one is on its way."""
        if self._waiting and not self._opening and not self._closed:
            self._open_one()

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        self._reaper = None
        ended = []
        while self._idle and loop.time() - self._idle[0].idle_since >= IDLE_S:
            ended.append(self._idle.popleft())
        if self._idle:
            self._reaper = loop.call_later(IDLE_S, self._reap)
        for link in ended:
            link.close()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Closes every connection; what is being asked is cut off."""
        self._closed = True
        self._close_idle()
        for link in self._busy:
            link.cut()
        for task in self._opening:
            task.cancel()
        if self._reaper is not None:
            self._reaper.cancel()


class _Lost(Exception):  # noqa: N818 - never leaves this module
    """The connection ended under the question."""
