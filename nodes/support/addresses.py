"""Addresses: how they are written, and read again."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from nodes.errors import BadRequest

DEFAULT_PORT = 23000
DEFAULT_ADDRESS = f"127.0.0.1:{DEFAULT_PORT}"

MAX_HOST_CHARS = 255


class Address(NamedTuple):
    """Where somebody listens. As text, it is what `parse_address` takes."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address in "HOST:PORT" or "HOST", with the usual port. A host that is an IPv6 address is
    in brackets, or by itself: "[::1]:23000", "[::1]", "::1". Raises `BadRequest`.
    """
    host, closed, rest = text.partition("]") if text.startswith("[") else ("", "", "")
    if closed:
        host, port = host[1:], rest.removeprefix(":")
        sound = _is_ipv6(host) and (not rest or rest.startswith(":"))
    elif text.count(":") > 1:
        host, port, sound = text, "", _is_ipv6(text)
    else:
        host, _, port = text.partition(":")
        sound = bool(host) and len(host) <= MAX_HOST_CHARS and not set(host) & set("[]/@ ")
    if not (port or text.endswith(":")):
        port = str(DEFAULT_PORT)
    digits = port.isascii() and port.isdigit() and len(port) <= 5
    if not sound or not digits or not 0 < int(port) < 65536:
        raise BadRequest(
            f"{text[:80]!r} is no address; write it as HOST:PORT, an IPv6 one as [::1]:PORT"
        )
    return Address(host, int(port))


def bare_host(host: str) -> str:
    """A host as it is bound and dialled: without the brackets of an IPv6 address."""
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    return inside if _is_ipv6(inside) else host


def peer_host(host: str) -> str:
    """A peer's address, as the kernel tells it, in the form in which it is dialled: who comes over
    IPv4 to a socket of both kinds has an IPv4 address.
    """
    if not host.startswith("::ffff:"):
        return host
    mapped = ipaddress.IPv6Address(host).ipv4_mapped
    return host if mapped is None else str(mapped)


def _is_ipv6(host: str) -> bool:
    # What comes after the % names an interface of this machine.
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
