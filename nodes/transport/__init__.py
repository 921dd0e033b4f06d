"""RPyC made safe and quick: a server and connections on an event loop, and blocking lanes.

What is on the wire is plain RPyC 6, so `rpyc.connect` and a stock `ThreadedServer` work against
either end. What differs is how each end treats a peer it does not trust:

* `Server`, `Connection` and `Service` answer, all of them on one event loop (`LoopThread`): a peer
  reaches the verbs that `Service.verb` names and nothing else; every wait has an end; a defect of a
  verb is one exception reply, never a dead connection.
* A `Connection` also asks its peer, many by-value calls at a time; `dial` makes one from a loop.
* `Lane` and `LanePool` ask from a thread that waits: one by-value call in flight on each
  connection, one deadline over all of it, and an error that says what is known of the call.
* `Secure`, and a server's `tls`, put TLS between the two. `Limits` holds every figure of both.

Imports `nodes.support` only; any package above may import it. Everything crosses by value: see
`Value`. The logger is ``rollcall.transport``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nodes.transport import messages, shortcuts
from nodes.transport.errors import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    RemoteFailure,
    TlsFailed,
    TransportError,
)
from nodes.transport.fast_call import fast_call
from nodes.transport.lane import Lane
from nodes.transport.limits import Limits
from nodes.transport.messages import arguments as encode_arguments
from nodes.transport.pool import LanePool
from nodes.transport.stream import is_cooperative
from nodes.transport.values import FastVerb, RawVerb, RemoteReference, Utf8, Value, Verb

if TYPE_CHECKING:
    from nodes.transport.connection import Connection
    from nodes.transport.dialling import dial
    from nodes.transport.loop import LoopThread
    from nodes.transport.peer import Certificate, Peer
    from nodes.transport.requester import Asker, PeerConnection, Pending
    from nodes.transport.server import Server
    from nodes.transport.service import Service
    from nodes.transport.tls import Secure, TlsStream

__all__ = [
    "Asker",
    "CallTimeout",
    "Certificate",
    "Connection",
    "DialFailed",
    "FastVerb",
    "HandshakeFailed",
    "Lane",
    "LanePool",
    "Limits",
    "LinkLost",
    "LoopThread",
    "Peer",
    "PeerConnection",
    "Pending",
    "ProtocolError",
    "RawVerb",
    "RemoteFailure",
    "RemoteReference",
    "Secure",
    "Server",
    "Service",
    "TlsFailed",
    "TlsStream",
    "TransportError",
    "Utf8",
    "Value",
    "Verb",
    "dial",
    "encode_arguments",
    "fast_call",
    "is_cooperative",
    "messages",
    "shortcuts",
]

_LOADED_LATE = {
    "Asker": "requester",
    "Certificate": "peer",
    "Connection": "connection",
    "LoopThread": "loop",
    "Peer": "peer",
    "PeerConnection": "requester",
    "Pending": "requester",
    "Secure": "tls",
    "Server": "server",
    "Service": "service",
    "TlsStream": "tls",
    "dial": "dialling",
}
"""What a client does without, each with its module: event loops, TLS, and RPyC itself take three
times as long to load as all of the rest."""


def __getattr__(name: str) -> object:
    """Loads one of those when it is first named."""
    if name not in _LOADED_LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LOADED_LATE[name]}"), name)
