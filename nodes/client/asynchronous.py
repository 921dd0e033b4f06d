"""The asyncio client: lookups for programs that run on an event loop."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Self, cast

from nodes.client.async_connection import AsyncMasterConnection
from nodes.client.lookups import (
    ANSWER_GRACE_S,
    BATCH_LOOKUPS,
    Answered,
    Record,
    TraceparentSource,
    batch_text,
    check_options,
    check_page,
    checked_pages,
    checked_timeout,
    converted,
    lookup_options,
    pages_late,
)
from nodes.errors import LookupFailed
from nodes.security.credentials import client_token
from nodes.security.tls import Tls
from nodes.support.addresses import DEFAULT_ADDRESS
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PAGE_RECORDS,
    Description,
    Envelope,
    Page,
    decode_envelope,
    decode_page,
)


class AsyncClient:
    """An asyncio client of one master. It reconnects by itself; close it, or use `async with`.

    Any number of tasks may share it: their lookups travel on one connection, hundreds at a time,
    and more wait for their turn. It belongs to the event loop that first uses it, and to the
    process; a pickled or copied one holds its arguments, and connects anew. A task may be
    cancelled at any time.

    Args:
        address: the master's "HOST:PORT".
        timeout: seconds that each call may take, at most 60: all pages of an answer, all lookups of
            a batch, reroutes and new connections included. It may be set later as well.
        token: for a master whose lookups need one; None to use this user's token on this
            machine, if there is one. It is sent only to a master that asks for it.
        tls: the folder with the certificate (`ca.pem`) of the CA that the master's certificate
            must be from; None for no TLS.
        traceparent: asked for each call: the W3C `traceparent` of what it is a part of, which the
            master tells in its log, its slow lookups and its spans.

    A master that stops or goes away is waited for within the timeout: it may just be restarted.
    Every method may raise `MasterLost` (no answer came), or the error that the master answered
    with: `BadRequest`, `NoWorkers`, ... (see `nodes.errors`).

    Raises:
        ValueError: the timeout is no number above 0 and up to 60.
        StartError: `tls` has no usable CA.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = LOOKUP_TIMEOUT_S,
        token: str | None = None,
        tls: Path | str | None = None,
        traceparent: TraceparentSource | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout)
        self._made = functools.partial(
            type(self), address, token=token, tls=tls, traceparent=traceparent
        )
        self._traceparent = traceparent
        self._master = AsyncMasterConnection(
            address,
            token=client_token if token is None else lambda: token,
            tls=None if tls is None else Tls(Path(tls), None).to_master(),
        )

    @property
    def timeout(self) -> float:
        """Seconds that each call may take; see the class."""
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float) -> None:
        self._timeout = checked_timeout(timeout)

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
        deadline = _now() + self._timeout
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
        """The same records page by page. Each page says which worker answered, and how. All have
        the timeout together; how long it takes until the next is wanted is not counted.
        """
        after: str | None = None
        deadline = _now() + self._timeout
        while True:
            page = await self._page(name, args, deadline, limit=limit, after=after)
            given_at = _now()
            yield page
            if page.after is None:
                return
            after = page.after
            deadline += _now() - given_at

    async def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """One page of a lookup. A master that is overloaded is asked again, within the timeout.

        Args:
            name, args: see `lookup`.
            limit: records of the page, at most.
            after: the cursor in the page before; None for the first page.
        """
        deadline = _now() + self._timeout
        return await self._page(name, args, deadline, limit=limit, after=after)

    async def _page(
        self,
        name: str,
        args: Sequence[str | float],
        deadline: float,
        *,
        limit: int = PAGE_RECORDS,
        after: str | None = None,
    ) -> Envelope:
        """One page, perhaps of several. Raises `DeadlineExceeded` if no time is left for it."""
        left = deadline - _now()
        if left <= 0:
            raise pages_late(self._timeout)
        # What is asked first has all of the time: most often the master's default, not sent then.
        timeout = self._timeout if after is None else left
        page = await self._ask("lookup", name, *args, timeout=timeout, limit=limit, after=after)
        return check_page(self._master.where, page, limit=limit, after=after)

    async def _rest(
        self, name: str, args: Sequence[str | float], after: str | None, deadline: float
    ) -> list[Record]:
        """The records of the pages that follow."""
        records: list[Record] = []
        while after is not None:
            page = await self._page(name, args, deadline, after=after)
            records += page.result
            after = page.after
        return records

    async def _ask(
        self,
        verb: str,
        *args: str | float,
        timeout: float,
        limit: int,
        after: str | None = None,
    ) -> Envelope:
        check_options(limit, after)
        return await self._master.call(
            verb,
            *args,
            timeout=timeout,
            grace_s=ANSWER_GRACE_S,
            named=lookup_options(limit, after, timeout, self._traceparent),
            decode=decode_page if verb == "lookup" else decode_envelope,
        )

    async def lookup_many(self, lookups: Iterable[Sequence[str | float]]) -> list[Answered]:
        """Many lookups in few messages, split over the workers and answered in order, all of them
        within the timeout.

        Args:
            lookups: each a lookup's name and its arguments, as in
                `[("getbyname", "xander"), ("getbyyear", "Miami", 2019)]`.

        Returns:
            For each lookup its records or, if it failed, its error.
        """
        answers: list[Answered] = []
        rest = iter(lookups)
        deadline = _now() + self._timeout
        while batch := [list(lookup) for lookup in itertools.islice(rest, BATCH_LOOKUPS)]:
            left = deadline - _now() if answers else self._timeout
            if left <= 0:
                answers += [pages_late(self._timeout)] * len(batch)
                continue
            pages = await self._first_pages(batch, PAGE_RECORDS, left)
            for lookup, page in zip(batch, pages, strict=True):
                answers.append(await self._finished(lookup, page, deadline))
        return answers

    async def first_pages(
        self, lookups: Sequence[Sequence[str | float]], *, limit: int = PAGE_RECORDS
    ) -> list[Envelope]:
        """The first page of each of at most 10,000 lookups, asked in one message.

        The envelope of a lookup that failed holds the error; `Envelope.checked` raises it.
        """
        return [*await self._first_pages(lookups, limit, self._timeout)]

    async def _first_pages(
        self, lookups: Sequence[Sequence[str | float]], limit: int, timeout: float
    ) -> list[Page]:
        text, where = batch_text(lookups), self._master.where
        reply = await self._ask("lookup_many", text, timeout=timeout, limit=limit)
        return checked_pages(where, converted(where, reply.result, list[Page]), len(lookups))

    async def _finished(self, lookup: list[str | float], page: Page, deadline: float) -> Answered:
        """All records of a lookup of a batch, given its first page."""
        name, *args = lookup
        try:
            page.checked()
            where = self._master.where
            records: list[Record] = check_page(where, page, limit=PAGE_RECORDS, after=None).result
            records += await self._rest(str(name), args, page.after, deadline)
        except LookupFailed as error:
            return error
        return records

    async def describe(self) -> Description:
        """What is served: the dataset, its version, and its lookups with their fields and types."""
        reply = await self._master.call("describe", timeout=self._timeout)
        return converted(self._master.where, reply.result, Description)

    async def suggest(self, field: str, prefix: str = "", *, limit: int = 10) -> list[str]:
        """A few real values of a field that start with `prefix`."""
        reply = await self._master.call(
            "suggest",
            field,
            prefix,
            timeout=self._timeout,
            grace_s=ANSWER_GRACE_S,
            named={"limit": limit},
        )
        return converted(self._master.where, reply.result, list[str])

    def close(self) -> None:
        """Closes the connection; a lookup under way in another task raises `MasterLost`."""
        self._master.close()

    async def aclose(self) -> None:
        """Closes the connection, and waits until it has ended."""
        self._master.close()
        await self._master.wait_closed()

    def __reduce__(self) -> tuple[Callable[[], AsyncClient], tuple[()]]:
        return functools.partial(self._made, timeout=self._timeout), ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _now() -> float:
    return asyncio.get_running_loop().time()
