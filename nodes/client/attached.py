"""A cluster that runs elsewhere, seen and steered through its master."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Generic, Self, TypeVar

from nodes.client.connection import MasterConnection
from nodes.client.lookups import check_page, converted
from nodes.security.credentials import operator_token, viewer_token
from nodes.security.tls import CertificateRole, Tls, first_there
from nodes.security.tokens import TokenRole
from nodes.transport import Value
from nodes.wire import (
    PAGE_RECORDS,
    ClusterSnapshot,
    Description,
    Envelope,
    Event,
    LogPart,
    RecordingPart,
    Reloaded,
    Second,
    decode_page,
)

T = TypeVar("T")

OPERATION_TIMEOUT_S = 10.0
RELOAD_TIMEOUT_S = 2400.0
"""Seconds that an operation may take; a reload builds a catalog, and waits for every worker, which
may have to fetch it."""


class Asked(Generic[T]):
    """An operation of a cluster that runs elsewhere: its master is asked for the verb of the name.

    Args:
        reply: the type of what it returns.
        repeatable: whether it only reads, and may be sent anew; then it has the cluster's own
            timeout.
        timeout: seconds, for one that changes something.
    """

    def __init__(
        self, reply: type[T], *, repeatable: bool = False, timeout: float = OPERATION_TIMEOUT_S
    ) -> None:
        self._reply = reply
        self._repeatable = repeatable
        self._timeout = timeout

    def __set_name__(self, _owner: type, name: str) -> None:
        self._verb = name

    def __get__(self, cluster: AttachedCluster, _owner: type) -> Callable[..., T]:
        def ask(*args: Value) -> T:
            timeout = cluster.timeout if self._repeatable else self._timeout
            reply = cluster.master.call(self._verb, *args, timeout=timeout, again=self._repeatable)
            return converted(cluster.master.where, reply.result, self._reply)

        return ask


class AttachedCluster:
    """A cluster that runs elsewhere, reached through its master.

    Args:
        address: the master's "HOST:PORT".
        timeout: seconds a question may take.
        tls: the folder with the CA and an operator's certificate, or a viewer's; None for no TLS.
        look_only: whether no more is asked for than to see it, whatever the token gives.

    Raises:
        StartError: they are not there.
    """

    snapshot = Asked(ClusterSnapshot, repeatable=True)
    events = Asked(list[Event], repeatable=True)
    history = Asked(list[Second], repeatable=True)
    recording = Asked(RecordingPart, repeatable=True)
    log = Asked(LogPart, repeatable=True)
    spawn = Asked(list[str])
    scale = Asked(str)
    kill = Asked(str)
    drain = Asked(str)
    restart = Asked(str)
    again = Asked(str)
    clear = Asked(str)
    freeze = Asked(str)
    thaw = Asked(str)
    reload = Asked(Reloaded, timeout=RELOAD_TIMEOUT_S)

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 3.0,
        tls: Path | None = None,
        look_only: bool = False,
    ) -> None:
        roles = (CertificateRole.OPERATOR, CertificateRole.VIEWER)
        shown = None if tls is None else first_there(tls, *(roles[::-1] if look_only else roles))
        self.address = address
        self.timeout = timeout
        self._looks = look_only or shown is CertificateRole.VIEWER
        self.master = MasterConnection(
            address,
            token=partial(viewer_token if look_only else operator_token, address),
            most=str(TokenRole.VIEWER) if look_only else "",
            tls=None if tls is None else Tls(tls, shown).to_master(),
        )

    @property
    def read_only(self) -> bool:
        """Whether its master lets this one see it and change nothing, as far as is known."""
        return self._looks or self.master.role == TokenRole.VIEWER

    def page(
        self, name: str, *args: str | float, limit: int = PAGE_RECORDS, after: str | None = None
    ) -> Envelope:
        """Asks a lookup: one page of its answer."""
        page = self.master.call(
            "lookup",
            name,
            *args,
            timeout=self.timeout,
            named={"limit": limit, "after": after},
            decode=decode_page,
        )
        return check_page(self.master.where, page, limit=limit, after=after)

    def describe(self) -> Description:
        """What is served."""
        reply = self.master.call("describe", timeout=self.timeout)
        return converted(self.master.where, reply.result, Description)

    def suggest(self, field: str, prefix: str, *, limit: int = 10) -> list[str]:
        """A few real values of a field."""
        reply = self.master.call(
            "suggest", field, prefix, timeout=self.timeout, named={"limit": limit}
        )
        return converted(self.master.where, reply.result, list[str])

    def close(self) -> None:
        """Lets go of it; it runs on."""
        self.master.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
