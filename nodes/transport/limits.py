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
        trusted: connections beyond those that a server keeps of peers that it trusts.
        first_byte: seconds a new connection may stay silent.
        frame: seconds from a frame's first byte to its last, in either direction;
            a peer that reads its reply more slowly is cut off.
        idle: seconds between two requests on one connection.
        settled: seconds for which a peer that was answered may be silent before a newcomer
            gets its place.
        turned_away: connections beyond the limit that are told so at one time; more are
            just closed.
        turn_away: seconds one of those has to ask something, so that it can be told.
        accept_retry: seconds between attempts to accept while the system refuses (no
            descriptors, say).
    """

    frame_in: int = 4 * 1024 * 1024
    frame_reply: int = 32 * 1024 * 1024
    connections: int = 512
    trusted: int = 0
    first_byte: float = 10.0
    frame: float = 10.0
    idle: float = 3600.0
    settled: float = 10.0
    turned_away: int = 16
    turn_away: float = 1.0
    accept_retry: float = 0.1


DEFAULTS = Limits()
