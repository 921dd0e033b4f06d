"""Every figure of the transport, in one place."""

from __future__ import annotations

import msgspec

from nodes.transport.keepalive import KEEPALIVE, Keepalive


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much, and how long, one end takes from the other.

    RPyC itself has none of these: its frames may claim 4 GB, its zlib frames
    inflate without end, and half a header holds a thread for ever.

    Attributes:
        frame_in: bytes of the largest request a server accepts, inflated.
        frame_reply: bytes of the largest reply, as a server sends it and as a lane
            accepts it, inflated.
        connections: connections a server keeps; one more gets the place of a silent one, as soon
            as there is one.
        trusted: connections beyond those that a server keeps of peers that it trusts.
        first_byte: seconds a new connection may stay silent.
        frame: seconds from a frame's first byte to its last, in either direction;
            a peer that reads its reply more slowly is cut off.
        idle: seconds between two requests on one connection.
        tenure: seconds that a peer which has called something has its place for, before a newcomer
            may get it.
        first_call: seconds that one has its place for which was answered, and has yet to call.
        waiting: connections beyond the limit that wait for their turn.
        turn: seconds after which those are told that all are in use.
        probation: connections that were told so and may still turn out to be of those that are
            trusted; the oldest goes for one more.
        probation_s: seconds that each of those has.
        held: bytes that a server holds for all peers: answers that they have not taken, and
            requests that have come in part or are being answered.
        held_per_peer: bytes of answers that it holds for one of them, if it is more than one
            answer.
        stalled: seconds after which one that keeps us waiting may be let go of, when more is
            to be held.
        linger: seconds that a peer has, once a server is done with it, to take its last answers and
            close.
        keepalive: after how long a peer that is gone without a word is found out.
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
    tenure: float = 0.1
    first_call: float = 1.0
    waiting: int = 16
    turn: float = 1.0
    probation: int = 16
    probation_s: float = 3.0
    held: int = 64 * 1024 * 1024
    held_per_peer: int = 8 * 1024 * 1024
    stalled: float = 1.0
    linger: float = 0.25
    keepalive: Keepalive = KEEPALIVE
    accept_retry: float = 0.1


DEFAULTS = Limits()
