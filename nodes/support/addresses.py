"""Addresses: how they are written."""

from __future__ import annotations

from nodes.errors import BadRequest

DEFAULT_PORT = 23000
DEFAULT_ADDRESS = f"127.0.0.1:{DEFAULT_PORT}"


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of "HOST:PORT", "HOST" or "[IPV6]:PORT"; raises BadRequest if it is none."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise BadRequest(f"{text[:80]!r} is no address; write it as HOST:PORT")
    return host, int(port)
