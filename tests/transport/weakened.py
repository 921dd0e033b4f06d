"""Parts of the transport with one mitigation taken out of each: see `mitigations`."""

from __future__ import annotations

import functools
import time

from rpyc.core import protocol

from nodes.transport import Asker, Lane, messages
from nodes.transport.caller import Caller
from nodes.transport.introspection import Exported
from nodes.transport.responder import Responder, Verbs
from nodes.transport.stream import Stream


class AnyAttributeResponder(Responder):
    """Gives out whatever attribute of a verb is asked for."""

    def _getattr(self, obj: object, name: object) -> Exported | str:
        if isinstance(obj, Exported) and obj.verb is None:
            return super()._getattr(obj, name)
        assert isinstance(obj, Exported)
        kind, cls, _ = messages.VERB
        found = Exported((kind, cls, 99), getattr(obj.verb, str(name)))
        self._exported[found.ref] = found
        return found


class AnyRequestResponder(Responder):
    """Serves all of RPyC's requests."""

    def __init__(self, verbs: Verbs, max_reply_bytes: int, asker: Asker) -> None:
        super().__init__(verbs, max_reply_bytes, asker)
        for number, handler in protocol.Connection._request_handlers().items():
            self._handlers.setdefault(number, functools.partial(handler, None))


class AnyReplyCaller(Caller):
    """Takes whatever comes for the reply."""

    def _boxed(self, payload: bytes) -> tuple[object, object]:
        found = messages.load(payload, messages.MAX_REPLY_READS)
        match found.body:
            case (label, value):
                return label, value
        raise AssertionError(found)


class RenewedWaitStream(Stream):
    """Begins its wait anew with every piece, as a socket's own timeout does."""

    _deadline = 0.0
    _seconds = 0.0

    def read(self, deadline: float) -> bytes:
        now = time.monotonic()
        if deadline != self._deadline:
            self._deadline, self._seconds = deadline, deadline - now
        return super().read(now + self._seconds)


class UnwokenLane(Lane):
    """Ends without waking who waits."""

    def abort(self) -> None:
        self._closed = True
