"""Why a call to a worker failed, in our own words.

Who answers at a worker's address need not be that worker, and an error it makes up may repeat
what it was sent, a secret included. So what it says goes to the log, and to nobody else.
"""

from __future__ import annotations

import re

from nodes.transport import (
    CallTimeout,
    DialFailed,
    HandshakeFailed,
    LinkLost,
    ProtocolError,
    TlsFailed,
    TransportError,
)
from nodes.wire import WorkerRefusal

_SECRET = re.compile(r"[0-9A-Fa-f]{16,}")
"""What a worker's secret looks like, or half of one."""


def failure_reason(failure: TransportError | WorkerRefusal) -> str:
    """What is said of a call that ended so: to clients, in events, in the journal."""
    match failure:
        case (code, _):
            return f"answered with an error of its own: {code}"
        case HandshakeFailed():
            return str(failure)
        case DialFailed():
            return "cannot be reached"
        case ProtocolError():
            return "answered with something else than an answer"
        case LinkLost(__cause__=TlsFailed() as refusal):
            # With TLS 1.3, the peer's refusal of our certificate comes after the handshake.
            return str(refusal)
        case LinkLost():
            return "its connection ended"
        case CallTimeout():
            return f"no answer within {failure.seconds:.3f} s"
    return "refused the call"


def for_the_log(failure: TransportError | WorkerRefusal) -> str:
    """All that is known of it, whosever words they are, without what may be a secret."""
    return _SECRET.sub("...", str(failure))
