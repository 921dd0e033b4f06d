"""What a caller can learn when a call did not end in a value.

TransportError
├── DialFailed       no connection: the call was never sent
│   └── HandshakeFailed   TLS says no: one of the two ends is not trusted
├── LinkLost         the connection ended: the call may have run
│   └── ProtocolError     the peer spoke nonsense, and was hung up on
├── CallTimeout      no whole answer in time: the call may have run, or still be running
└── RemoteFailure    the peer answered, with an exception: the link is sound
"""

from __future__ import annotations


class TransportError(Exception):
    """The root: the call has no value. Whether it ran is the branch's to say."""


class DialFailed(TransportError):  # noqa: N818 - named for what happened
    """No connection could be made: refused, timed out, or no such host."""


class HandshakeFailed(DialFailed):
    """Somebody listens there, but TLS says no. The message says why."""


class LinkLost(TransportError):  # noqa: N818 - named for what happened
    """The connection ended, was reset or closed."""


class ProtocolError(LinkLost):
    """The peer sent what is no answer: the connection was closed at this end."""


class CallTimeout(TransportError):  # noqa: N818 - named for what happened
    """No complete answer came within the timeout.

    Args:
        where: the peer's address.
        seconds: that timeout.
    """

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(f"{where}: no answer within {seconds:.3f} s")
        self.seconds = seconds


class RemoteFailure(TransportError):  # noqa: N818 - named for what happened
    """The peer answered with an exception.

    Args:
        kind: name of the peer's exception class, without its module. A `Server` sends
            InternalError (the verb failed; its log has more), Overloaded (no connection
            is free; ask again in a moment), AttributeError (no such verb) and TypeError
            (the arguments do not fit it).
        message: the peer's own words, cut to a line that can be logged.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class RequestRefused(Exception):  # noqa: N818 - an answer, not a defect
    """The peer asked for what it cannot have: for the answering end.

    Args:
        kind: the exception that the peer is answered.
        reason: in a few words.
        module: that the exception is of.
    """

    def __init__(self, kind: str, reason: str, module: str = "builtins") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.module = module


class TlsFailed(OSError):  # noqa: N818 - named for what happened
    """TLS says no; the message says why, in words for an operator."""
