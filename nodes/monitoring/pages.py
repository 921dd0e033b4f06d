"""The pages for those who watch: which answer there is to which request; pure.

A page that a browser's user visits may have its name lead to this machine, and so read what is
served here (DNS rebinding). So what is bound to loopback answers only those who call it by an
address, or by a name that nobody else can have.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import NamedTuple

from nodes.monitoring.exposition import CONTENT_TYPE, exposition
from nodes.monitoring.readiness import readiness
from nodes.support.addresses import bare_host
from nodes.wire import ClusterSnapshot

PLAIN = "text/plain; charset=utf-8"

ALIVE_WITHIN_S = 10.0
FRESH_WITHIN_S = 1.5
"""Seconds within which the master has to have run to be alive, and those of what is shown."""

STUCK = "the master does not run: its loop has not answered"
STOPPING = "STOPPING  this master ends; another may take its place"

INDEX = (
    "/metrics  for Prometheus\n/healthz  whether the master runs\n/readyz   whether it answers\n"
)

Look = Callable[[float], ClusterSnapshot]
"""Takes a snapshot that is at most so many seconds old, from any thread. Raises `TimeoutError` when
the master does not answer, and `RuntimeError` when it has ended."""


class Page(NamedTuple):
    """An answer: its text comes in parts, between which others get their turn."""

    status: HTTPStatus
    kind: str
    parts: Iterable[str]


def page(path: str, look: Look, *, stopping: bool = False) -> Page:
    """The page at a path.

    Args:
        path: as it was asked for.
        look: at the cluster.
        stopping: whether the master takes in no lookups any more.
    """
    match path.partition("?")[0]:
        case "/metrics":
            return _seen(look, FRESH_WITHIN_S, _metrics)
        case "/healthz":
            return _seen(look, ALIVE_WITHIN_S, lambda _: _line(HTTPStatus.OK, "ok"))
        case "/readyz":
            if stopping:
                return _line(HTTPStatus.SERVICE_UNAVAILABLE, STOPPING)
            return _seen(look, FRESH_WITHIN_S, _ready)
        case "/":
            return Page(HTTPStatus.OK, PLAIN, (INDEX,))
    return Page(HTTPStatus.NOT_FOUND, PLAIN, (f"there are:\n{INDEX}",))


def _seen(look: Look, max_age_s: float, show: Callable[[ClusterSnapshot], Page]) -> Page:
    try:
        return show(look(max_age_s))
    except (TimeoutError, RuntimeError):
        return _line(HTTPStatus.SERVICE_UNAVAILABLE, STUCK)


def _metrics(snapshot: ClusterSnapshot) -> Page:
    return Page(HTTPStatus.OK, CONTENT_TYPE, exposition(snapshot))


def _ready(snapshot: ClusterSnapshot) -> Page:
    ready, said = readiness(snapshot)
    return _line(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, said)


def _line(status: HTTPStatus, text: str) -> Page:
    return Page(status, PLAIN, (f"{text}\n",))


def is_own_name(header: str | None, names: Iterable[str]) -> bool:
    """Whether a request's Host is an address, or one of the names that nobody else can have. One
    without a Host is from no browser.
    """
    if header is None:
        return True
    host = _host_of(header.strip().lower())
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".") in names
    return True


def _host_of(header: str) -> str:
    if header.startswith("["):
        return bare_host(header[: header.find("]") + 1])
    return header.partition(":")[0]


def in_slices(parts: Iterable[str], size: int = 1 << 14) -> Iterator[bytes]:
    """The parts encoded, small ones put together."""
    waiting: list[str] = []
    chars = 0
    for part in parts:
        waiting.append(part)
        chars += len(part)
        if chars >= size:
            yield "".join(waiting).encode("utf-8", "replace")
            waiting.clear()
            chars = 0
    yield "".join(waiting).encode("utf-8", "replace")
