"""Where a Ray cluster is, as it is written on a command line: `ray://HOST:PORT`."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from nodes.errors import BadRequest
from nodes.support.addresses import parse_address

SCHEME = "ray"

AUTO = "auto"
"""In the place of HOST:PORT: the cluster whose node this machine is."""

CLIENT_PORT = 10001
"""Where Ray's own `ray://` goes: to its client server, by which nobody joins a cluster."""


class Engine(NamedTuple):
    """A Ray cluster.

    Attributes:
        address: "HOST:PORT" of its head, or "auto".
        node: the address of this machine's node, where it has several; "" for any.
        tls: the folder of certificates on every node; "" for the same as here.
    """

    address: str
    node: str = ""
    tls: str = ""


def parse_engine(text: str) -> Engine:
    """The cluster that `ray://HOST:PORT` or `ray://auto` names, perhaps with `?node=ADDRESS` or
    `?tls=DIR`.

    Raises:
        BadRequest: it is none of these.
    """
    parts = urlsplit(text)
    if parts.scheme != SCHEME or not parts.netloc or parts.path not in ("", "/"):
        raise BadRequest(
            f"{text[:80]!r} is no engine; write it as ray://HOST:PORT (the address that "
            "'ray start --head' tells), or ray://auto for the cluster of this machine's node"
        )
    if parts.netloc != AUTO and parse_address(parts.netloc)[1] == CLIENT_PORT:
        raise BadRequest(
            f"port {CLIENT_PORT} is that of Ray's client; name the head's own, which "
            "'ray start --head' tells (6379 unless it was told otherwise)"
        )
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = asked.keys() - {"node", "tls"}
    if unknown:
        raise BadRequest(f"an engine has no {min(unknown)[:80]!r}: there are ?node= and ?tls=")
    return Engine(parts.netloc, **asked)
