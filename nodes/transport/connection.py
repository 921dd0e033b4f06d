"""One connection on an event loop: frames in and out, from the first byte to the end.

RPyC is symmetric: either end may ask. Requests of the peer go to its `Requests`, answers to our
own calls to the `Requester`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from nodes.transport.admission import Admission, Gated
from nodes.transport.asking import ask
from nodes.transport.errors import ProtocolError
from nodes.transport.eviction import Owner
from nodes.transport.frames import (
    FRAME_OVERHEAD_BYTES,
    HEADER,
    NEWLINE,
    FrameReader,
    MalformedError,
)
from nodes.transport.handle import TransportHandle
from nodes.transport.holdings import LARGE_BYTES
from nodes.transport.patience import Patience
from nodes.transport.peer import Peer
from nodes.transport.requester import Requester
from nodes.transport.requests import Requests
from nodes.transport.responder import Responder
from nodes.transport.tls import lost_link
from nodes.transport.values import Value
from nodes.transport.writer import FrameWriter

if TYPE_CHECKING:
    from nodes.transport.limits import Limits
    from nodes.transport.service import Service

logger = logging.getLogger("rollcall.transport")


class Connection(asyncio.Protocol):
    """Answers one peer, and asks it, until it leaves, breaks the protocol, or is too slow.

    Args:
        make_service: called once the connection is there, for what answers the peer.
        peer: who it is; what TLS proves of it is added.
        limits: of the connection.
        sock: its socket, if it was not dialled from here.
        owner: who keeps it, if it was not dialled from here.
        spoken: whether what it said first is there to be read.

    Attributes:
        peer: who is at the other end.
        requester: calls to the peer.
        requests: of the peer.
        opened_at: when it was made, or got its place; on the event loop's clock, seconds.
    """

    def __init__(
        self,
        make_service: Callable[[], Service],
        peer: Peer,
        limits: Limits,
        *,
        sock: socket.socket | None = None,
        owner: Owner | None = None,
        spoken: bool = False,
    ) -> None:
        self.peer = peer
        self._loop = loop = asyncio.get_running_loop()
        self.opened_at = loop.time()
        self._clock = loop.time
        self._limits = limits
        self._patience = Patience(limits, self.opened_at)
        self._writer = FrameWriter(loop.call_soon)
        self.requester = Requester(self._writer.write_soon, limits.frame_in)
        self._sock = sock
        self._handle = TransportHandle(sock)
        self._owner = owner
        self._holdings = None if owner is None else owner.holdings
        self.requests = Requests(
            self,
            writer=self._writer,
            handle=self._handle,
            patience=self._patience,
            requester=self.requester,
            limits=limits,
            holdings=self._holdings,
        )
        self._backlog = self.requests.backlog
        self._go_on = self.requests.go_on
        self._make_service = make_service
        self._service: Service | None = None
        self._admission = Admission(kept=owner is None)
        self._spoken = spoken
        served = owner is not None
        self._reader = FrameReader(limits.frame_in if served else limits.frame_reply, skips=served)
        self._closed = False
        self._end = asyncio.Event()

    # -- asyncio's ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there: the service is told."""
        made = cast("asyncio.Transport", transport)
        self._handle.open(made)
        self._writer.open(made)
        self.peer = msgspec.structs.replace(self.peer, certificate=self._handle.certificate)
        try:
            service = self._make_service()
            admission = self._admission
            verbs = service if admission.kept else Gated(service, admission, self._finish_soon)
            responder = Responder(verbs, self._limits.frame_reply, self.requests)
            self.requests.answer_with(responder, drops_abandoned=service.drops_abandoned)
            service.connection = self
            self._service = service
            service.on_open(self.peer)
        except Exception:
            logger.exception("%s could not be served", self.peer.where)
            self.abort()
        if self._handle.aborted:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes came: answers what is whole."""
        if self._closed:
            return
        reader, patience = self._reader, self._patience
        size = len(data) - FRAME_OVERHEAD_BYTES
        if (
            0 < size <= reader.max_bytes
            and int.from_bytes(data[:4]) == size
            and not data[4]
            and data[-1] == NEWLINE
            and not reader.buffered
        ):
            # One plain frame, whole, and nothing else: what nearly every read is. Here and below,
            # what is called for each is written out: each function more is felt.
            self._backlog.append(data[HEADER.size : -1])
            patience.since, patience.has_spoken = self._clock(), True
            self._go_on()
        else:
            self._take_apart(data)

    def _take_apart(self, data: bytes) -> None:
        """Something else came than one whole frame: several, or parts."""
        reader = self._reader
        try:
            payloads = reader.split(data)
            partial = len(reader.buffered)
            if partial > LARGE_BYTES and not self._has_room(min(len(data), partial)):
                reader.skip()
            skipped, reader.skipped = reader.skipped, []
            for one in skipped:
                self.requests.refuse(one)
        except MalformedError as error:
            self.drop(str(error))
            return
        whole = bool(payloads or skipped)
        self._patience.heard(self._clock(), partial=bool(reader.buffered), whole=whole)
        if payloads:
            self._backlog.extend(payloads)
            self._go_on()

    def _has_room(self, size: int) -> bool:
        return self._holdings is None or self._holdings.admit(size)

    def eof_received(self) -> bool:
        """No more will come; what was asked of a server is answered yet."""
        self.requests.ending = True
        return self.requests.busy and self._owner is not None and not self._handle.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: the service, and who waits for an answer, are told."""
        if self.ended:
            return
        self._closed = True
        self._writer.close()
        self._end.set()
        self._admission.end()
        self.requests.forget()
        self._reader = FrameReader(self._limits.frame_in)  # what has come in part is let go
        if exc is not None:
            logger.debug("%s lost: %s", self.peer.where, exc)
        if self._service is not None:
            try:
                self._service.on_close()
            except Exception:
                logger.exception("on_close failed")
        self.requester.lose(lost_link(self.peer.where, exc))
        if self._owner is not None:
            self._owner.connection_closed(self)

    def pause_writing(self) -> None:
        """The peer does not take its answers: it may not ask for more meanwhile."""
        self.requests.writable = False
        self.requests.steer_reading()

    def resume_writing(self) -> None:
        """It has taken them."""
        self.requests.writable = True
        self.requests.go_on_soon()

    # -- its place, with whoever keeps it ------------------------------------------

    def keep(self, now: float) -> None:
        """It has a place from now on."""
        self.opened_at = now
        self._admission.keep()

    def refuse(self, why: str) -> None:
        """It has none, as is told whoever asks for what is for everybody; then it ends."""
        self._admission.refuse(why)

    # -- what is known of the peer ------------------------------------------------

    @property
    def since(self) -> float:
        """When it was made, or last heard of; on the event loop's clock, seconds."""
        return self._patience.since

    @property
    def proved(self) -> bool:
        """Whether a request of its was ever answered."""
        return self.requests.proved

    @property
    def called(self) -> bool:
        """Whether it ever called a verb."""
        return self.requests.called

    @property
    def trusted(self) -> bool:
        """Whether it is kept however long it is silent."""
        return self._service is not None and self._service.trusted

    @property
    def busy(self) -> bool:
        """Whether a request of its is being answered, or about to be read, but for those that only
        wait.
        """
        requests, service = self.requests, self._service
        if self._spoken and not self._patience.has_spoken:
            return True
        waiting = 0 if service is None else service.waiting
        return bool(requests.backlog) or requests.in_flight > waiting

    @property
    def held_bytes(self) -> int:
        """Bytes that are held for the peer."""
        return 0 if self.ended else self.requests.held_bytes + len(self._reader.buffered)

    @property
    def stalled_since(self) -> float | None:
        """Since when it keeps us waiting, with the rest of a frame or with what it does not take;
        None if it does not.
        """
        return self._patience.stalled_since

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the peer has not taken."""
        return 0 if self.ended else self._handle.unsent_bytes

    def overdue(self, now: float) -> str:
        """Why the peer is too slow to be kept, "" if it is not; see `Patience`."""
        requests = self.requests
        return self._patience.overdue(
            now,
            sent=self._writer.sent_bytes,
            unsent=self.unsent_bytes,
            busy=requests.busy,
            reading=requests.reading,
        )

    def is_gone(self) -> bool:
        """See `nodes.transport.requests.End`."""
        return self._owner is not None and self._owner.is_gone(self._sock)

    # -- what is asked of the peer ------------------------------------------------

    def expect_replies(self) -> None:
        """From now on, the peer is asked something: its frames may be as large as replies are."""
        self._reader.max_bytes = self._limits.frame_reply
        self._reader.skips = False  # who waits for a reply is told at once

    async def call(self, verb: str, *args: Value, timeout_s: float) -> Value:
        """Calls a verb of the peer, and waits for its value; see `nodes.transport.asking.ask`."""
        where = self.peer.where
        return await ask(self.requester, where, verb, args, timeout_s)

    # -- the end ------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self._end.is_set()

    async def wait_ended(self) -> None:
        """Waits until the connection has ended."""
        await self._end.wait()

    def finish(self) -> None:
        """Ends the connection once what has been asked is answered, and the peer has taken that."""
        self.requests.ending = True
        if self.requests.busy:
            self.requests.steer_reading()
        else:
            self.answered_all()

    def answered_all(self) -> None:
        """All is answered that was asked, and no more will be.

        If a socket is closed with something unread, the system forgets what it has not sent yet.
        So what comes is read, and let go, until the peer has closed as well.
        """
        if self._closed or self._handle.secure:
            self.close()
            return
        self._closed = True
        self._writer.release()
        self._writer.close()
        self._handle.finish_writing()
        self._loop.call_later(self._limits.linger, self.close)

    def _finish_soon(self) -> None:
        self._loop.call_soon(self.finish)

    def close(self) -> None:
        """Ends the connection; what has been written is sent yet."""
        self._closed = self.requests.ending = True
        self._writer.release()
        self._writer.close()
        self._backlog.clear()
        self._handle.close()

    def abort(self) -> None:
        """Ends the connection at once, from any thread; harmless when done before."""
        self._closed = True
        self._writer.close()
        self._handle.abort()

    def drop(self, why: str) -> None:
        """Ends the connection of a peer that breaks the protocol; `why` is logged."""
        logger.debug("%s dropped: %s", self.peer.where, why)
        self.requester.lose(ProtocolError(f"{self.peer.where}: {why}"))
        self.close()
