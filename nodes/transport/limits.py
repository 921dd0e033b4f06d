"""Every figure of the transport, in one place."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much, and how long, one end takes from the other.

    RPyC itself has none of these: its frames may claim 4 GB, its zlib frames
    inflate without end, and half a header holds a thread for ever.

    Attributes:
        frame_in: bytes of the largest request a server accepts, inflated.
        frame_reply: bytes of the largest reply, as a server sends it and as a lane
            accepts it, inflated.
        connections: connections a server keeps; one more gets the place of a silent one, or is
            told that there is none.
        first_byte: seconds a new connection may stay silent.
        frame: seconds from a frame's first byte to its last, in either direction;
            a peer that reads its reply more slowly is cut off.
        idle: seconds between two requests on one connection.
    """

    frame_in: int = 4 * 1024 * 1024
    frame_reply: int = 32 * 1024 * 1024
    connections: int = 512
    first_byte: float = 10.0
    frame: float = 10.0
    idle: float = 3600.0


DEFAULTS = Limits()
