"""The service that answers on a connection: the only way from a peer to our code."""

from __future__ import annotations

from collections.abc import Callable

import rpyc

from nodes.transport.connection import Connection
from nodes.transport.peer import Peer


class Service(rpyc.Service):  # type: ignore[misc] # RPyC has no types
    """Answers one connection; derive from it and name the verbs.

    An instance belongs to one connection and is used by that connection's thread
    only. A verb returns a `Value` or `Utf8`; whatever it raises is a defect: it is
    logged here, and the peer is told no more than that.
    """

    _protocol = Connection

    drops_abandoned = False
    """Whether a request whose asker has hung up meanwhile is not carried out: right where
    requests only read, so that what was sent to a frozen process is not worked off later.
    """

    keeps_seat = False
    """Whether the connection is kept, however long it is silent, when there are too many:
    set on the instance once its peer has shown that it may be trusted.
    """

    hang_up: Callable[[], None]
    """Ends this connection from our side, at once; set before `on_open`.

    From any thread, any number of times, also when the connection has ended already.
    The connection's own thread then calls `on_close`, after the verb it may be in.
    """

    def verb(self, name: str) -> Callable[..., object] | None:
        """The verb a peer may call by `name`, or None if there is none.

        The only way in: nothing else of this object, or of a verb, can be reached.
        A verb once found is kept by its connection for as long as that lives.
        """
        del name
        return None

    def on_open(self, peer: Peer) -> None:
        """Called once, before the first request."""

    def on_close(self) -> None:
        """Called exactly once, however the connection ended. It must do no I/O."""
