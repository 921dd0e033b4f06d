"""The blocking client: lookups for scripts."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Self, cast

from nodes.client.connection import MasterConnection
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
from nodes.support.addresses import DEFAULT_ADDRESS, parse_address
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    PAGE_RECORDS,
    Description,
    Envelope,
    Page,
    decode_page,
    decode_pages,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nodes.client.shared_direct import DirectShare
    from nodes.security.tls import Tls


class Client:
    """A client of one master. Thread-safe; reconnects by itself; close it, or use `with`.

    It may be used on both sides of a fork, as each process opens its own connections. A pickled
    client holds its arguments, a given token included, and connects anew when it is unpickled.

    Args:
        address: the master's "HOST:PORT".
        timeout: seconds that each call may take, at most 60: all pages of an answer, all lookups of
            a batch, reroutes and new connections included. It may be set later as well.
        token: for a master whose lookups need one; None to use this user's token on this
            machine, if there is one. It is sent only to a master that asks for it.
        direct: whether lookups go straight to the workers. That is quicker, and follows the same
            rules; the workers must be within reach, and the master still says who they are. The
            direct clients of a process to one master share its list of workers and connections.
        tls: the folder with the certificate (`ca.pem`) of the CA that the master's certificate
            must be from; None for no TLS.
        traceparent: asked for each call: the W3C `traceparent` of what it is a part of, which the
            master tells in its log, its slow lookups and its spans.

    A master that stops or goes away is waited for within the timeout: it may just be restarted.
    Every method may raise `MasterLost` (no answer came), or the error that the master answered
    with: `BadRequest`, `NoWorkers`, ... (see `nodes.errors`).

    Raises:
        ValueError: the timeout is no number above 0 and up to 60; or there is a `traceparent`, and
            lookups go straight to the workers, who have no use for it.
        StartError: `tls` has no usable CA.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float = LOOKUP_TIMEOUT_S,
        token: str | None = None,
        direct: bool = False,
        tls: Path | str | None = None,
        traceparent: TraceparentSource | None = None,
    ) -> None:
        if direct and traceparent is not None:
            raise ValueError("a traceparent is told to the master: leave out direct, or that")
        self._traceparent = traceparent
        self.timeout = timeout
        self._made = functools.partial(
            type(self), address, token=token, direct=direct, tls=tls, traceparent=traceparent
        )
        secure = None if tls is None else _certificates(tls)
        given = _users_token if token is None else lambda: token
        self._master = MasterConnection(
            address, token=given, patient=True, tls=None if secure is None else secure.to_master()
        )
        self._direct = _direct_share(address, token, tls) if direct else None

    @property
    def timeout(self) -> float:
        """Seconds that each call may take; see the class."""
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float) -> None:
        self._timeout = checked_timeout(timeout)
        self._without_options = timeout == LOOKUP_TIMEOUT_S and self._traceparent is None

    def getbyname(self, name: str) -> list[Record]:
        """The records of everyone of that name."""
        return self.lookup("getbyname", name)

    def getbylocation(self, location: str) -> list[Record]:
        """The records of everyone in that place."""
        return self.lookup("getbylocation", location)

    def getbyyear(self, location: str, year: int | str) -> list[Record]:
        """The records of everyone in that place and year."""
        return self.lookup("getbyyear", location, year)

    def lookup(self, name: str, *args: str | float) -> list[Record]:
        """All records that a lookup finds, however many pages they take.

        Args:
            name: a lookup that the dataset declares; `describe()` lists them.
            args: one value for each of its fields.
        """
        began = time.monotonic()
        # `page` as well, were it not that each function more is felt.
        if self._direct is not None:
            page = self._direct.page(
                name, args, limit=PAGE_RECORDS, after=None, timeout=self._timeout
            )
        elif self._without_options:
            asked = (name, *args)
            page = self._master.ask(
                "lookup", asked, LOOKUP_TIMEOUT_S, decode_page, began, grace_s=ANSWER_GRACE_S
            )
        else:
            page = self.page(name, *args)
        if type(page.result) is not list or len(page.result) > PAGE_RECORDS:
            check_page(self._master.where, page, limit=PAGE_RECORDS, after=None)
        records = cast("list[Record]", page.result)
        if page.after is not None:
            records += self._rest(name, args, page.after, began + self._timeout)
        return records

    def _rest(
        self, name: str, args: tuple[str | float, ...], after: str | None, deadline: float
    ) -> list[Record]:
        """The records of the pages that follow."""
        records: list[Record] = []
        while after is not None:
            page = self._page(name, args, PAGE_RECORDS, after, deadline)
            records += page.result
            after = page.after
        return records

    def each(self, name: str, *args: str | float, limit: int = PAGE_RECORDS) -> Iterator[Record]:
        """The same records one by one, fetched `limit` at a time as they are needed."""
        for page in self.pages(name, *args, limit=limit):
            yield from cast("list[Record]", page.result)

    def pages(self, name: str, *args: str | float, limit: int = PAGE_RECORDS) -> Iterator[Envelope]:
        """The same records page by page. Each page says which worker answered, and how. All have
        the timeout together; how long it takes until the next is wanted is not counted.
        """
        after: str | None = None
        deadline = time.monotonic() + self._timeout
        while True:
            page = self._page(name, args, limit, after, deadline)
            given_at = time.monotonic()
            yield page
            if page.after is None:
                return
            after = page.after
            deadline += time.monotonic() - given_at

    def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """One page of a lookup. A master that is overloaded is asked again, within the timeout.

        Args:
            name, args: see `lookup`.
            limit: records of the page, at most.
            after: the cursor in the page before; None for the first page.
        """
        return self._ask(name, args, limit, after, self._timeout)

    def _page(
        self,
        name: str,
        args: tuple[str | float, ...],
        limit: int,
        after: str | None,
        deadline: float,
    ) -> Envelope:
        """One page of several. Raises `DeadlineExceeded` if there is no time left for it."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise pages_late(self._timeout)
        # What is asked first has all of the time: most often the master's default, not sent then.
        return self._ask(name, args, limit, after, left if after else self._timeout)

    def _ask(
        self,
        name: str,
        args: tuple[str | float, ...],
        limit: int,
        after: str | None,
        timeout: float,
    ) -> Envelope:
        check_options(limit, after)
        if self._direct is not None:
            page = self._direct.page(name, args, limit=limit, after=after, timeout=timeout)
        else:
            page = self._master.call(
                "lookup",
                name,
                *args,
                timeout=timeout,
                grace_s=ANSWER_GRACE_S,
                named=lookup_options(limit, after, timeout, self._traceparent),
                decode=decode_page,
            )
        return check_page(self._master.where, page, limit=limit, after=after)

    def lookup_many(self, lookups: Iterable[Sequence[str | float]]) -> list[Answered]:
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
        deadline = time.monotonic() + self._timeout
        while batch := [list(lookup) for lookup in itertools.islice(rest, BATCH_LOOKUPS)]:
            left = deadline - time.monotonic() if answers else self._timeout
            if left <= 0:
                answers += [pages_late(self._timeout)] * len(batch)
                continue
            pages = self._first_pages(batch, PAGE_RECORDS, left)
            answers += [self._finished(*one, deadline) for one in zip(batch, pages, strict=True)]
        return answers

    def first_pages(
        self, lookups: Sequence[Sequence[str | float]], *, limit: int = PAGE_RECORDS
    ) -> list[Envelope]:
        """The first page of each of at most 10,000 lookups, asked in one message.

        The envelope of a lookup that failed holds the error; `Envelope.checked` raises it.
        """
        return [*self._first_pages(lookups, limit, self._timeout)]

    def _first_pages(
        self, lookups: Sequence[Sequence[str | float]], limit: int, timeout: float
    ) -> list[Page]:
        check_options(limit)
        text, where = batch_text(lookups), self._master.where
        if self._direct is not None:
            answers = self._direct.many(text, limit=limit, timeout=timeout)
            return checked_pages(where, decode_pages(answers), len(lookups))
        options = lookup_options(limit, None, timeout, self._traceparent)
        reply = self._master.call(
            "lookup_many", text, timeout=timeout, grace_s=ANSWER_GRACE_S, named=options
        )
        return checked_pages(where, converted(where, reply.result, list[Page]), len(lookups))

    def _finished(self, lookup: list[str | float], page: Page, deadline: float) -> Answered:
        """All records of a lookup of a batch, given its first page."""
        name, *args = lookup
        try:
            where = self._master.where
            page.checked()
            records: list[Record] = check_page(where, page, limit=PAGE_RECORDS, after=None).result
            records += self._rest(str(name), tuple(args), page.after, deadline)
        except LookupFailed as error:
            return error
        return records

    def describe(self) -> Description:
        """What is served: the dataset, its version, and its lookups with their fields and types."""
        reply = self._master.call("describe", timeout=self._timeout)
        return converted(self._master.where, reply.result, Description)

    def suggest(self, field: str, prefix: str = "", *, limit: int = 10) -> list[str]:
        """A few real values of a field that start with `prefix`."""
        reply = self._master.call(
            "suggest",
            field,
            prefix,
            timeout=self._timeout,
            grace_s=ANSWER_GRACE_S,
            named={"limit": limit},
        )
        return converted(self._master.where, reply.result, list[str])

    def close(self) -> None:
        """Closes the connections; a lookup under way in another thread ends with an error."""
        self._master.close()  # first, so that nobody waits for a master that is away
        if self._direct is not None:
            self._direct.close()

    def __reduce__(self) -> tuple[Callable[[], Client], tuple[()]]:
        return functools.partial(self._made, timeout=self._timeout), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


# What most clients do without is loaded late: with it, the import takes twice as long.


def _certificates(folder: Path | str) -> Tls:
    from pathlib import Path  # noqa: PLC0415 - see above

    from nodes.security.tls import Tls  # noqa: PLC0415 - see above

    return Tls(Path(folder), None)


def _users_token() -> str | None:
    from nodes.security.credentials import client_token  # noqa: PLC0415 - see above

    return client_token()


def _direct_share(address: str, token: str | None, tls: Path | str | None) -> DirectShare:
    from nodes.client.async_connection import AsyncMasterConnection  # noqa: PLC0415 - see above
    from nodes.client.direct import DirectClient  # noqa: PLC0415 - see above
    from nodes.client.shared_direct import DirectShare  # noqa: PLC0415 - see above

    def make() -> DirectClient:
        secure = None if tls is None else _certificates(tls)
        connect = functools.partial(
            AsyncMasterConnection,
            address,
            token=_users_token if token is None else lambda: token,
            tls=None if secure is None else secure.to_master(),
        )
        return DirectClient(connect, tls=None if secure is None else secure.to_workers())

    return DirectShare((parse_address(address), token, tls and str(tls)), make)
