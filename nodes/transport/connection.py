"""One connection on an event loop: frames in and out, requests answered, calls sent.

RPyC is symmetric: either end may ask. Requests of the peer go to the `Responder`, answers to our
own calls to the `Requester`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from nodes.transport import consts, messages
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
from nodes.transport.patience import Patience
from nodes.transport.peer import Peer
from nodes.transport.requester import Requester
from nodes.transport.responder import Awaited, Goodbye, Responder, too_long
from nodes.transport.tls import lost_link
from nodes.transport.values import Value
from nodes.transport.writer import MAX_UNSENT_BYTES, FrameWriter

if TYPE_CHECKING:
    from nodes.transport.limits import Limits
    from nodes.transport.service import Service

logger = logging.getLogger("rollcall.transport")

MAX_CALLS_IN_FLIGHT = 256
"""Requests of one peer that are answered at a time; more are not read from it meanwhile."""


class Connection(asyncio.Protocol):
    """Answers one peer, and asks it, until it leaves, breaks the protocol, or is too slow.

    Args:
        make_service: called once the connection is there, for what answers the peer.
        peer: who it is; what TLS proves of it is added.
        limits: of the connection.
        sock: its socket, if it was not dialled from here.
        owner: who keeps it, if it was not dialled from here.

    Attributes:
        peer: who is at the other end.
        requester: calls to the peer.
        proved: whether a request of its was ever answered.
        in_flight: requests that wait for their answer.
    """

    def __init__(
        self,
        make_service: Callable[[], Service],
        peer: Peer,
        limits: Limits,
        *,
        sock: socket.socket | None = None,
        owner: Owner | None = None,
    ) -> None:
        self.peer = peer
        self.proved = False
        self.in_flight = 0
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._patience = Patience(limits, self._loop.time())
        self._writer = FrameWriter(self._loop.call_soon)
        self.requester = Requester(self._writer.write_soon, limits.frame_in)
        self._sock = sock
        self._handle = TransportHandle(sock)
        self._owner = owner
        self._make_service = make_service
        self._service: Service | None = None
        self._drops_abandoned = False
        self._refusal: tuple[str, str] | None = None
        self._reader = FrameReader(limits.frame_in if owner is not None else limits.frame_reply)
        self._backlog: deque[bytes] = deque()
        self._reading = True
        self._writable = True
        self._ending = False
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
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
            self._responder = Responder(service, self._limits.frame_reply, self)
            self._drops_abandoned = service.drops_abandoned
            self._refusal = service.refusal
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
            patience.since, patience.has_spoken = self._loop.time(), True
        else:
            try:
                payloads = reader.split(data)
            except MalformedError as error:
                self._drop(str(error))
                return
            partial = bool(reader.buffered)
            patience.heard(self._loop.time(), partial=partial, whole=bool(payloads))
            if not payloads:
                return
            self._backlog.extend(payloads)
        self._go_on()

    def eof_received(self) -> bool:
        """No more will come; what was asked of a server is answered yet."""
        self._ending = True
        return self.busy and self._owner is not None and not self._handle.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: the service, and who waits for an answer, are told."""
        if self.ended:
            return
        self._closed = self._ending = True
        self._writer.close()
        self._end.set()
        self._backlog.clear()
        if exc is not None:
            logger.debug("%s lost: %s", self.peer.where, exc)
        if self._service is not None:
            self._responder.forget()
            try:
                self._service.on_close()
            except Exception:
                logger.exception("on_close failed")
        self.requester.lose(lost_link(self.peer.where, exc))
        if self._owner is not None:
            self._owner.connection_closed(self)

    def pause_writing(self) -> None:
        """The peer does not take its answers: it may not ask for more meanwhile."""
        self._writable = False
        self._steer_reading()

    def resume_writing(self) -> None:
        """It has taken them."""
        self._writable = True
        self._continue()

    # -- requests -----------------------------------------------------------------

    @property
    def since(self) -> float:
        """When it was made, or last heard of; monotonic, seconds."""
        return self._patience.since

    @property
    def trusted(self) -> bool:
        """Whether it is kept however long it is silent."""
        return self._service is not None and self._service.trusted

    @property
    def busy(self) -> bool:
        """Whether a request of its is being answered."""
        return bool(self.in_flight or self._backlog)

    def expect_replies(self) -> None:
        """From now on, the peer is asked something: its frames may be as large as replies are."""
        self._reader.max_bytes = self._limits.frame_reply

    def answer(self, seq: bytes, text: bytes) -> None:
        """Answers the request of that sequence number, one of a `RawVerb`, with finished text."""
        frame = messages.text_reply(seq, text)
        if len(frame) > self._limits.frame_reply:
            frame = self._responder.failure(seq, too_long(frame))
        self.reply(frame)

    async def call(self, verb: str, *args: Value, timeout_s: float) -> Value:
        """Calls a verb of the peer, and waits for its value; see `nodes.transport.asking.ask`."""
        where = self.peer.where
        return await ask(self.requester, where, verb, args, timeout_s)

    def reply(self, frame: bytes) -> None:
        """Answers one of the requests in flight."""
        self.in_flight -= 1
        self._writer.write(frame)
        self.proved = True
        self._patience.since = self._loop.time()
        # While frames are held back, what is left is seen to once all that came is taken in.
        if (self._backlog or self._ending or not self._reading) and not self._writer.holding:
            self._continue()

    def _go_on(self) -> None:
        """Takes in what has come, as far as it may be answered; sends all answers in one go."""
        if self._drops_abandoned and self._owner is not None and self._owner.is_gone(self._sock):
            self._backlog.clear()
            return
        backlog, writer, responder = self._backlog, self._writer, self._responder
        ending: Goodbye | MalformedError | None = None
        writer.holding = True
        try:
            while (
                backlog
                and self._writable
                and self.in_flight < MAX_CALLS_IN_FLIGHT
                and writer.held_bytes <= MAX_UNSENT_BYTES
            ):
                payload = backlog.popleft()
                if payload[0] != consts.MSG_REQUEST:
                    self._take_in(payload)
                elif self._refusal is not None:
                    writer.write(responder.refuse(payload, *self._refusal))
                    raise Goodbye
                else:
                    answer = responder.answer(payload)
                    if type(answer) is bytes:
                        writer.write(answer)
                        self.proved = True
                    elif type(answer) is Awaited:
                        self._answer_later(answer)
        except (Goodbye, MalformedError) as error:
            ending = error
        writer.release()
        if isinstance(ending, Goodbye):
            self.close()
        elif ending is not None:
            self._drop(str(ending))
        elif backlog or self._ending or not self._reading:
            self._continue()

    def _take_in(self, payload: bytes) -> None:
        """Something else than a request has come: a reply to one of ours, most likely."""
        if payload[0] == messages.OLD_FORM:
            self._writer.write(self._responder.refuse_old(payload))
            raise MalformedError("the peer uses RPyC 5 or older")
        self.requester.take(payload)

    def _answer_later(self, awaited: Awaited) -> None:
        self.in_flight += 1
        task = self._loop.create_task(self._await(awaited))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _continue(self) -> None:
        """Sees to what is left: requests that wait, the end, or what is still to be read."""
        if self._backlog:
            self._steer_reading()
            if self._may_answer:
                self._loop.call_soon(self._go_on)
        elif self._ending and not self.in_flight:
            self._loop.call_soon(self.close)
        elif not self._reading:
            self._steer_reading()

    @property
    def _may_answer(self) -> bool:
        """Whether one more request may be answered: too many are not, nor too many bytes."""
        return (
            self._writable
            and self.in_flight < MAX_CALLS_IN_FLIGHT
            and self._writer.held_bytes <= MAX_UNSENT_BYTES
        )

    async def _await(self, awaited: Awaited) -> None:
        self.reply(await self._responder.finish(awaited))

    # -- pace ---------------------------------------------------------------------

    def _steer_reading(self) -> None:
        reading = self._may_answer and not self._backlog and not self._ending
        if reading is not self._reading and not self._closed:
            self._reading = reading
            self._handle.steer_reading(on=reading)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the peer has not taken."""
        return 0 if self.ended else self._handle.unsent_bytes

    def overdue(self, now: float) -> str:
        """Why the peer is too slow to be kept, "" if it is not; see `Patience`."""
        sent, unsent = self._writer.sent_bytes, self.unsent_bytes
        return self._patience.overdue(
            now, sent=sent, unsent=unsent, busy=self.busy, reading=self._reading
        )

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self._end.is_set()

    async def wait_ended(self) -> None:
        """Waits until the connection has ended."""
        await self._end.wait()

    # -- the end ------------------------------------------------------------------

    def finish(self) -> None:
        """Ends the connection once what has been asked is answered."""
        self._ending = True
        if self.busy:
            self._steer_reading()
        else:
            self.close()

    def close(self) -> None:
        """Ends the connection; what has been written is sent yet."""
        self._ending = self._closed = True
        self._writer.release()
        self._writer.close()
        self._backlog.clear()
        self._handle.close()

    def abort(self) -> None:
        """Ends the connection at once, from any thread; harmless when done before."""
        self._closed = True
        self._writer.close()
        self._handle.abort()

    def _drop(self, why: str) -> None:
        logger.debug("%s dropped: %s", self.peer.where, why)
        self.requester.lose(ProtocolError(f"{self.peer.where}: {why}"))
        self.close()
