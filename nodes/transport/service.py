"""The service that answers on a connection: the only way from a peer to our code."""

from __future__ import annotations

from collections.abc import Iterable

import rpyc

from nodes.transport.peer import Peer
from nodes.transport.requester import PeerConnection
from nodes.transport.values import Verb


class Service(rpyc.Service):  # type: ignore[misc] # RPyC has no types
    """Answers one connection; derive from it and name the verbs.

    An instance belongs to one connection and is used on that connection's loop only. A verb
    returns a `Value` or `Utf8`, or something to await for it. What it raises is a defect: it is
    logged here, and the peer is told no more than that.
    """

    drops_abandoned = False
    """Whether a request whose asker has hung up, while this process did not run, is not carried
    out: right where requests only read, so that what was sent to a frozen process is not worked
    off later.
    """

    trusted = False
    """Whether the connection is kept, however long it is silent, when there are too many:
    set on the instance once its peer has shown that it may be trusted.
    """

    waiting = 0
    """Requests in flight that only wait for something to happen: their connection may go, when
    there are too many, like one that rests."""

    connection: PeerConnection
    """The connection that this answers, to ask its peer something, or to end it; set before
    `on_open`."""

    def verb(self, name: str) -> Verb | None:
        """The verb a peer may call by `name`, or None if there is none.

        The only way in: nothing else of this object, or of a verb, can be reached.
        A verb once found is kept by its connection for as long as that lives.
        """
        del name
        return None

    def verbs(self) -> Iterable[str]:
        """The names of verbs that a person is told who looks around: by `dir`, say. `verb` alone
        decides what may be called.
        """
        return ()

    def is_kept(self, verb: str) -> bool:
        """Whether a verb is for those for whom connections are kept: by it, one who comes when
        all others are in use shows that it is `trusted`, or all that it wants is asked.
        """
        del verb
        return False

    def on_open(self, peer: Peer) -> None:
        """Called once, before the first request."""

    def on_close(self) -> None:
        """Called exactly once, however the connection ended. It must do no I/O."""
