"""Parts of the transport with one mitigation taken out of each: see `mitigations`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from rpyc.core import protocol

from nodes.transport import Lane, Server, messages
from nodes.transport.caller import Caller
from nodes.transport.connection import VERB, Connection, ExportedReference
from nodes.transport.frames import FrameReader
from nodes.transport.stream import Stream


class AnyAttributeConnection(Connection):
    """Gives out whatever attribute of a verb is asked for."""

    def _handle_getattr(self, obj: object, name: object) -> ExportedReference:
        if isinstance(obj, ExportedReference) and obj.verb is None:
            return super()._handle_getattr(obj, name)
        assert isinstance(obj, ExportedReference)
        found = ExportedReference((VERB, 2, 99), getattr(obj.verb, str(name)))
        self._exported[found.ref] = found
        return found


class AnyRequestConnection(Connection):
    """Serves all of RPyC's requests."""

    @classmethod
    def _request_handlers(cls) -> dict[int, Callable[..., object]]:
        return {**protocol.Connection._request_handlers(), **super()._request_handlers()}


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

    def receive(self, reader: FrameReader, deadline: float) -> bytes:
        seconds = deadline - time.monotonic()
        payload = None
        while payload is None:
            payload = reader.take(self.read(time.monotonic() + seconds))
        return payload


class NagleServer(Server):
    """Leaves Nagle's algorithm on."""

    def start(self) -> None:
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        super().start()


class UnjoinedServer(Server):
    """Stops without waiting for its threads."""

    def _join(self, timeout: float) -> list[str]:
        return []


class UnwokenLane(Lane):
    """Ends without waking who waits."""

    def abort(self) -> None:
        self._closed = True
