"""The asyncio client: lookups for programs that run on an event loop."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Self, cast

import msgspec

from nodes.client.async_connection import AsyncMasterConnection
from nodes.client.lookups import (
    ANSWER_GRACE_S,
    BATCH_LOOKUPS,
    Answered,
    Record,
    batch_text,
    checked_timeout,
    lookup_options,
)
from nodes.errors import DeadlineExceeded, LookupFailed
from nodes.security.tls import Tls
from nodes.security.tokens import client_token
from nodes.support.addresses import DEFAULT_ADDRESS
from nodes.support.deadline import seconds_left
from nodes.wire import LOOKUP_TIMEOUT_S, PAGE_RECORDS, Description, Envelope


class AsyncClient:
    """An asyncio client of one master. It reconnects by itself; close it, or use `async with`.

    Any number of tasks may share it: their lookups travel on one connection, hundreds at a time,
    and more wait for their turn. It belongs to the event loop that first uses it, and to the
    process. A task may be cancelled at any time.

    Args:
        address: the master's "HOST:PORT".
        timeout: seconds a lookup may take, all its pages and reroutes included.
        token: for a master whose lookups need one; None to use this user's token on this
            machine, if there is one. It is sent only to a master that asks for it.
        tls: the folder with the certificate (`ca.pem`) of the CA that the master's certificate
            must be from; None for no TLS.

    A master that stops or goes away is waited for within the timeout: it may just be restarted.
    Every method may raise `MasterLost` (no answer came), or the error that the master answered
    with: `BadRequest`, `NoWorkers`, ... (see `nodes.errors`).

    Raises:
        ValueError: the timeout is no finite number above 0.
        StartError: `tls` has no usable CA.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = LOOKUP_TIMEOUT_S,
        token: str | None = None,
        tls: Path | str | None = None,
    ) -> None:
        self.timeout = checked_timeout(timeout)
        self._master = AsyncMasterConnection(
            address,
            token=client_token if token is None else lambda: token,
            tls=None if tls is None else Tls(Path(tls), None).to_master(),
        )

    async def getbyname(self, name: str) -> list[Record]:
        """The records of everyone of that name."""
        return await self.lookup("getbyname", name)

    async def getbylocation(self, location: str) -> list[Record]:
        """The records of everyone in that place."""
        return await self.lookup("getbylocation", location)

    async def getbyyear(self, location: str, year: int | str) -> list[Record]:
        """The records of everyone in that place and year."""
        return await self.lookup("getbyyear", location, year)

    async def lookup(self, name: str, *args: str | float) -> list[Record]:
        """All records that a lookup finds, however many pages they take, within the timeout.

        Args:
            name: a lookup that the dataset declares; `describe()` lists them.
            args: one value for each of its fields.
        """
        deadline = _now() + self.timeout
        page = await self._page(name, args, deadline)
        records = cast("list[Record]", page.result)
        if page.after is not None:
            records += await self._rest(name, args, page.after, deadline)
        return records

    async def each(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS
    ) -> AsyncIterator[Record]:
        """The same records one by one, fetched `limit` at a time as they are needed."""
        async for page in self.pages(name, *args, limit=limit):
            for record in page.result:
                yield record

    async def pages(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS
    ) -> AsyncIterator[Envelope]:
        """The same records page by page. Each page says which worker answered, and how, and has
        the timeout for itself: how long it takes until the next is wanted is not counted.
        """
        after: str | None = None
        while True:
            page = await self.page(name, *args, limit=limit, after=after)
            yield page
            if page.after is None:
                return
            after = page.after

    async def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """One page of a lookup. A master that is overloaded is asked again, within the timeout.

        Args:
            name, args: see `lookup`.
            limit: records of the page, at most.
            after: the cursor in the page before; None for the first page.
        """
        return await self._page(name, args, _now() + self.timeout, limit=limit, after=after)

    async def _page(
        self,
        name: str,
        args: Sequence[str | float],
        deadline: float,
        *,
        limit: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Envelope:
        return await self._ask("lookup", name, *args, deadline=deadline, limit=limit, after=after)

    async def _rest(
        self, name: str, args: Sequence[str | float], after: str | None, deadline: float
    ) -> list[Record]:
        """The records of the pages that follow."""
        records: list[Record] = []
        while after is not None:
            if _now() >= deadline:
                raise DeadlineExceeded(
                    f"not all pages came within {self.timeout:g} s; "
                    "take them one by one with pages(), or give the client a longer timeout"
                )
            page = await self._page(name, args, deadline, after=after)
            records += page.result
            after = page.after
        return records

    async def _ask(
        self,
        verb: str,
        *args: str | float,
        deadline: float,
        limit: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Envelope:
        # What is asked first has all of the time: most often the master's default, not sent then.
        left = self.timeout if after is None else seconds_left(deadline, _now())
        return await self._master.call(
            verb,
            *args,
            timeout=left,
            grace_s=ANSWER_GRACE_S,
            named=lookup_options(limit, after, left),
        )

    async def lookup_many(self, lookups: Iterable[Sequence[str | float]]) -> list[Answered]:
        """Many lookups in few messages, split over the workers and answered in order. The lookups
        of one message, up to 1,000, have the timeout together.

        Args:
            lookups: each a lookup's name and its arguments, as in
                `[("getbyname", "xander"), ("getbyyear", "Miami", 2019)]`.

        Returns:
            For each lookup its records or, if it failed, its error.
        """
        answers: list[Answered] = []
        rest = iter(lookups)
        while batch := [list(lookup) for lookup in itertools.islice(rest, BATCH_LOOKUPS)]:
            deadline = _now() + self.timeout
            pages = await self._first_pages(batch, deadline)
            for lookup, page in zip(batch, pages, strict=True):
                answers.append(await self._finished(lookup, page, deadline))
        return answers

    async def first_pages(
        self, lookups: Sequence[Sequence[str | float]], *, limit: int = PAGE_RECORDS
    ) -> list[Envelope]:
        """The first page of each of at most 10,000 lookups, asked in one message.

        The envelope of a lookup that failed holds the error; `Envelope.checked` raises it.
        """
        return await self._first_pages(lookups, _now() + self.timeout, limit=limit)

    async def _first_pages(
        self,
        lookups: Sequence[Sequence[str | float]],
        deadline: float,
        *,
        limit: int = PAGE_RECORDS,
    ) -> list[Envelope]:
        reply = await self._ask("lookup_many", batch_text(lookups), deadline=deadline, limit=limit)
        return msgspec.convert(reply.result, list[Envelope])

    async def _finished(
        self, lookup: list[str | float], envelope: Envelope, deadline: float
    ) -> Answered:
        """All records of a lookup of a batch, given its first page."""
        name, *args = lookup
        try:
            records = cast("list[Record]", envelope.checked().result)
            if envelope.after is not None:
                records += await self._rest(str(name), args, envelope.after, deadline)
        except LookupFailed as error:
            return error
        return records

    async def describe(self) -> Description:
        """What is served: the dataset, its version, and its lookups with their fields and types."""
        reply = await self._master.call("describe", timeout=self.timeout)
        return msgspec.convert(reply.result, Description)

    async def suggest(self, field: str, prefix: str = "", *, limit: int = 10) -> list[str]:
        """A few real values of a field that start with `prefix`."""
        reply = await self._master.call(
            "suggest",
            field,
            prefix,
            timeout=self.timeout,
            grace_s=ANSWER_GRACE_S,
            named={"limit": limit},
        )
        return cast("list[str]", reply.result)

    def close(self) -> None:
        """Closes the connection; a lookup under way in another task raises `MasterLost`."""
        self._master.close()

    async def aclose(self) -> None:
        """Closes the connection, and waits until it has ended."""
        self._master.close()
        await self._master.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _now() -> float:
    return asyncio.get_running_loop().time()
