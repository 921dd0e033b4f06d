"""Which requests are let in: a pure function of what they say of themselves.

A page from anywhere may have the operator's browser ask this server; what such a request cannot
have is the cookie (SameSite) and the right Origin, and what a name that leads here by a trick of
DNS cannot have is the right Host.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from console.web.access import WebAccess

COOKIE = "rollcall"


class Asked(NamedTuple):
    """What a request says of itself.

    Attributes:
        host: its Host header.
        origin: its Origin header, "" without.
        cookie: the session's, "" without.
        is_websocket: whether it is for the connection that keys and screens go over.
    """

    host: str
    origin: str
    cookie: str
    is_websocket: bool


def allowed_hosts(port: int, public_url: str) -> frozenset[str]:
    """The Host headers that are this server's: the ways to write loopback, and the public one."""
    names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    public = urlsplit(public_url).netloc.casefold()
    return frozenset({*names, *([public] if public else [])})


def refusal(asked: Asked, hosts: Collection[str], access: WebAccess) -> str:
    """Why a request is refused, in words; "" if it is not."""
    if asked.host.casefold() not in hosts:
        return "this server is not called that: open the link that rollcall-web printed"
    # Without the scheme: a proxy may have taken TLS off.
    origin = urlsplit(asked.origin).netloc.casefold()
    if (asked.origin or asked.is_websocket) and origin != asked.host.casefold():
        return "asked by a page of another site"
    if not access.admits(asked.cookie):
        return "this needs a link that was not used yet: rollcall-web printed one in its terminal"
    return ""
