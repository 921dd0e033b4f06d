"""The blocking client: lookups for scripts."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Self, cast

import msgspec

from nodes.client.connection import MasterConnection
from nodes.client.lookups import (
    ANSWER_GRACE_S,
    BATCH_LOOKUPS,
    Answered,
    Record,
    batch_text,
    checked_timeout,
    lookup_options,
)
from nodes.errors import LookupFailed
from nodes.support.addresses import DEFAULT_ADDRESS
from nodes.wire import LOOKUP_TIMEOUT_S, PAGE_RECORDS, Description, Envelope, decode_envelopes

if TYPE_CHECKING:
    from pathlib import Path

    from nodes.client.direct import DirectClient
    from nodes.security.tls import Tls


class Client:
    """A client of one master. Thread-safe; reconnects by itself; close it, or use `with`.

    It may be used on both sides of a fork, as each process opens its own connections. A pickled
    client holds its arguments, a given token included, and connects anew when it is unpickled.

    Args:
        address: the master's "HOST:PORT".
        timeout: seconds a lookup may take, all reroutes included.
        token: for a master whose lookups need one; None to use this user's token on this
            machine, if there is one. It is sent only to a master that asks for it.
        direct: whether lookups go straight to the workers. That is quicker, and follows the same
            rules; the workers must be within reach, and the master still says who they are.
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
        direct: bool = False,
        tls: Path | str | None = None,
    ) -> None:
        self.timeout = checked_timeout(timeout)
        self._made = functools.partial(type(self), address, token=token, direct=direct, tls=tls)
        secure = None if tls is None else _certificates(tls)
        given = _users_token if token is None else lambda: token
        self._master = MasterConnection(
            address, token=given, patient=True, tls=None if secure is None else secure.to_master()
        )
        self._direct = _direct_client(address, given, secure) if direct else None

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
        if self._direct is None and self.timeout == LOOKUP_TIMEOUT_S:
            # `page` as well, were it not that each function more is felt.
            page = self._master.call(
                "lookup", name, *args, timeout=LOOKUP_TIMEOUT_S, grace_s=ANSWER_GRACE_S
            )
        else:
            page = self.page(name, *args)
        records = cast("list[Record]", page.result)
        while page.after is not None:
            page = self.page(name, *args, after=page.after)
            records += page.result
        return records

    def each(self, name: str, *args: str | float, limit: int = PAGE_RECORDS) -> Iterator[Record]:
        """The same records one by one, fetched `limit` at a time as they are needed."""
        for page in self.pages(name, *args, limit=limit):
            yield from cast("list[Record]", page.result)

    def pages(self, name: str, *args: str | float, limit: int = PAGE_RECORDS) -> Iterator[Envelope]:
        """The same records page by page. Each page says which worker answered, and how."""
        after: str | None = None
        while True:
            page = self.page(name, *args, limit=limit, after=after)
            yield page
            if page.after is None:
                return
            after = page.after

    def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """One page of a lookup. A master that is overloaded is asked again, within the timeout.

        Args:
            name, args: see `lookup`.
            limit: records of the page, at most.
            after: the cursor in the page before; None for the first page.
        """
        if self._direct is not None:
            return self._direct.page(name, args, limit=limit, after=after, timeout=self.timeout)
        usual = after is None and limit == PAGE_RECORDS and self.timeout == LOOKUP_TIMEOUT_S
        options = None if usual else lookup_options(limit, after, self.timeout)
        return self._master.call(
            "lookup", name, *args, timeout=self.timeout, grace_s=ANSWER_GRACE_S, named=options
        )

    def lookup_many(self, lookups: Iterable[Sequence[str | float]]) -> list[Answered]:
        """Many lookups in few messages, split over the workers and answered in order.

        Args:
            lookups: each a lookup's name and its arguments, as in
                `[("getbyname", "xander"), ("getbyyear", "Miami", 2019)]`.

        Returns:
            For each lookup its records or, if it failed, its error.
        """
        answers: list[Answered] = []
        rest = iter(lookups)
        while batch := [list(lookup) for lookup in itertools.islice(rest, BATCH_LOOKUPS)]:
            pages = self.first_pages(batch)
            answers += [self._finished(*one) for one in zip(batch, pages, strict=True)]
        return answers

    def first_pages(
        self, lookups: Sequence[Sequence[str | float]], *, limit: int = PAGE_RECORDS
    ) -> list[Envelope]:
        """The first page of each of at most 10,000 lookups, asked in one message.

        The envelope of a lookup that failed holds the error; `Envelope.checked` raises it.
        """
        text = batch_text(lookups)
        if self._direct is not None:
            return decode_envelopes(self._direct.many(text, limit=limit, timeout=self.timeout))
        options = lookup_options(limit, timeout_s=self.timeout)
        reply = self._master.call(
            "lookup_many", text, timeout=self.timeout, grace_s=ANSWER_GRACE_S, named=options
        )
        return msgspec.convert(reply.result, list[Envelope])

    def _finished(self, lookup: list[str | float], envelope: Envelope) -> Answered:
        """All records of a lookup of a batch, given its first page."""
        try:
            records = cast("list[Record]", envelope.checked().result)
            while envelope.after is not None:
                name, *args = lookup
                envelope = self.page(str(name), *args, after=envelope.after)
                records += envelope.result
        except LookupFailed as error:
            return error
        return records

    def describe(self) -> Description:
        """What is served: the dataset, its version, and its lookups with their fields and types."""
        reply = self._master.call("describe", timeout=self.timeout)
        return msgspec.convert(reply.result, Description)

    def suggest(self, field: str, prefix: str = "", *, limit: int = 10) -> list[str]:
        """A few real values of a field that start with `prefix`."""
        reply = self._master.call(
            "suggest",
            field,
            prefix,
            timeout=self.timeout,
            grace_s=ANSWER_GRACE_S,
            named={"limit": limit},
        )
        return cast("list[str]", reply.result)

    def close(self) -> None:
        """Closes the connections; a lookup under way in another thread ends with an error."""
        self._master.close()  # first, so that nobody waits for a master that is away
        if self._direct is not None:
            self._direct.close()

    def __reduce__(self) -> tuple[Callable[[], Client], tuple[()]]:
        return functools.partial(self._made, timeout=self.timeout), ()

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
    from nodes.security.tokens import client_token  # noqa: PLC0415 - see above

    return client_token()


def _direct_client(
    address: str, token: Callable[[], str | None], secure: Tls | None
) -> DirectClient:
    from nodes.client.async_connection import AsyncMasterConnection  # noqa: PLC0415 - see above
    from nodes.client.direct import DirectClient  # noqa: PLC0415 - see above

    to_master = None if secure is None else secure.to_master()
    return DirectClient(
        functools.partial(AsyncMasterConnection, address, token=token, tls=to_master),
        tls=None if secure is None else secure.to_workers(),
    )
