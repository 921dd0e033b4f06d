"""The requests of one peer: answered as they come, so many at a time, a turn an iteration."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from nodes.support.turns import turns, whose_turn
from nodes.transport import consts, messages, shortcuts
from nodes.transport.frames import HEADER, MalformedError, Skipped
from nodes.transport.holdings import LARGE_BYTES, Holdings
from nodes.transport.responder import Awaited, Goodbye, Responder, too_long
from nodes.transport.writer import MAX_UNSENT_BYTES, FrameWriter

if TYPE_CHECKING:
    from nodes.transport.handle import TransportHandle
    from nodes.transport.limits import Limits
    from nodes.transport.patience import Patience
    from nodes.transport.requester import Requester

MAX_CALLS_IN_FLIGHT = 256
LEAST_CALLS_IN_FLIGHT = 4
"""Requests of one peer that are answered at a time; more are not read from it meanwhile. How many
depends on how large its answers are: one more after each that is small."""

TURN_S = 0.001
"""Seconds that a peer's requests may take before it is another's turn."""

OVERLOADED = "more answers wait to be taken than this server has room for; try again in a moment"
"""What a peer is told for whose answer, or request, there is no room."""


class End(Protocol):
    """The connection, as far as requests may end it."""

    def close(self) -> None:
        """Ends the connection; what has been written is sent yet."""

    def answered_all(self) -> None:
        """All is answered that was asked, and no more will be: ends the connection."""

    def drop(self, why: str) -> None:
        """Ends the connection of a peer that breaks the protocol."""

    def is_gone(self) -> bool:
        """Whether the peer has hung up while this process did not run."""


class Requests:
    """The requests of one peer.

    Args:
        end: the connection.
        writer, handle, patience: the connection's.
        requester: takes in what is no request.
        limits: of the connection.
        holdings: bounds what is held for all peers of a server; None for a peer that was dialled,
            which is trusted.

    Attributes:
        in_flight: requests that wait for their answer.
        backlog: payloads that have come and are not looked at yet.
        proved: whether a request was ever answered.
        ending: whether no more will come.
        writable: whether the peer takes its answers.
        reading: whether anything is read from the peer now.
    """

    def __init__(
        self,
        end: End,
        *,
        writer: FrameWriter,
        handle: TransportHandle,
        patience: Patience,
        requester: Requester,
        limits: Limits,
        holdings: Holdings | None,
    ) -> None:
        self.in_flight = 0
        self.backlog: deque[bytes] = deque()
        self.proved = False
        self.ending = False
        self.writable = True
        self.reading = True
        self._end = end
        self._writer = writer
        self._handle = handle
        self._patience = patience
        self._requester = requester
        self._limits = limits
        self._holdings = holdings
        self._responder: Responder | None = None
        self._drops_abandoned = False
        self._closed = False
        self._turn_due = False
        self._window = MAX_CALLS_IN_FLIGHT
        self._asked_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._context: contextvars.Context | None = None

    def answer_with(self, responder: Responder, *, drops_abandoned: bool) -> None:
        """That answers them."""
        self._responder = responder
        self._drops_abandoned = drops_abandoned

    def forget(self) -> None:
        """The connection has ended."""
        self._closed = self.ending = True
        self.backlog.clear()
        if self._responder is not None:
            self._responder.forget()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return bool(self.in_flight or self.backlog)

    @property
    def called(self) -> bool:
        """Whether one was a call."""
        return self._responder is not None and self._responder.called

    @property
    def held_bytes(self) -> int:
        """Bytes of requests that are being answered, and of answers that were not taken."""
        return self._asked_bytes + self._unsent_bytes

    @property
    def _unsent_bytes(self) -> int:
        return self._writer.held_bytes + self._handle.unsent_bytes

    # -- in -----------------------------------------------------------------------

    def go_on(self) -> None:
        """Takes in what has come, as far as it may be answered; sends all answers in one go."""
        responder = self._responder
        if responder is None or (self._drops_abandoned and self._end.is_gone()):
            self.backlog.clear()
            return
        backlog, writer, turn_ends = self.backlog, self._writer, 0.0
        ending: Goodbye | MalformedError | None = None
        writer.holding = True
        try:
            while (
                backlog
                and self.writable
                and self.in_flight < self._window
                and writer.held_bytes <= MAX_UNSENT_BYTES
                and self._asked_bytes <= MAX_UNSENT_BYTES
            ):
                payload = backlog.popleft()
                if payload[0] != consts.MSG_REQUEST:
                    self._take_in(payload, responder)
                    continue  # what we have asked for waits for nobody's turn
                if len(payload) > LARGE_BYTES and not self._has_room(payload):
                    self.refuse(Skipped(payload, too_large=False))
                elif (answer := responder.answer(payload)) is not None:
                    if type(answer) is bytes and len(answer) <= LARGE_BYTES:
                        writer.write(answer)
                        self.proved = True
                    else:
                        self._answer(answer, len(payload), responder)
                if backlog:  # else there is no need to know the time
                    now = monotonic()
                    turn_ends = turn_ends or now + TURN_S
                    if now >= turn_ends:
                        break
        except (Goodbye, MalformedError) as error:
            ending = error
        writer.release()
        if ending is not None:
            self._leave(ending)
        elif backlog or self.ending or not self.reading:
            self.go_on_soon()

    def _leave(self, ending: Goodbye | MalformedError) -> None:
        if isinstance(ending, Goodbye):
            self._end.close()
        else:
            self._end.drop(str(ending))

    def _answer(self, answer: bytes | Awaited, size: int, responder: Responder) -> None:
        """Answers a request of so many bytes: with much, or later."""
        if type(answer) is Awaited:
            self._answer_later(answer, size, responder)
        else:
            self._writer.write(self._fitted(cast("bytes", answer)))
            self.proved = True

    def refuse(self, skipped: Skipped) -> None:
        """A request was not kept: it is too large, or there was no room for it.

        Raises:
            MalformedError: it is no request, and nobody can be told.
        """
        seq = shortcuts.sequence_of(skipped.head, messages.REQUEST)
        if seq is None:
            raise MalformedError("a frame that is too large")
        if skipped.too_large:
            said = f"a request has at most {self._limits.frame_in} bytes, this one has more"
            frame = messages.exception_reply(seq, "builtins", "ValueError", said)
        else:
            frame = _overloaded(seq)
        self._writer.write(frame)
        self.proved = True

    def _has_room(self, payload: bytes) -> bool:
        return self._holdings is None or self._holdings.admit(len(payload))

    def _take_in(self, payload: bytes, responder: Responder) -> None:
        """Something else than a request has come: a reply to one of ours, most likely."""
        if payload[0] == messages.OLD_FORM:
            self._writer.write(responder.refuse_old(payload))
            raise MalformedError("the peer uses RPyC 5 or older")
        self._requester.take(payload)

    def _answer_later(self, awaited: Awaited, size: int, responder: Responder) -> None:
        self.in_flight += 1
        self._asked_bytes += size
        if self._context is None:
            self._context = contextvars.copy_context()
            self._context.run(whose_turn.set, self)
        task = self._loop.create_task(self._finish(awaited, size, responder), context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, awaited: Awaited, size: int, responder: Responder) -> None:
        frame = await responder.finish(awaited)
        self._asked_bytes -= size
        self.reply(frame)

    # -- out ----------------------------------------------------------------------

    def answer(self, seq: bytes, text: bytes) -> None:
        """Answers the request of that sequence number, one of a `RawVerb`, with finished text."""
        self.reply(messages.text_reply(seq, text))

    def reply(self, frame: bytes) -> None:
        """Answers one of the requests in flight."""
        self.in_flight -= 1
        if len(frame) > LARGE_BYTES or not self.writable:
            frame = self._fitted(frame)
        elif self._window < MAX_CALLS_IN_FLIGHT:
            self._window += 1
        self._writer.write(frame)
        self.proved = True
        self._patience.since = self._loop.time()
        # While frames are held back, what is left is seen to once all that came is taken in.
        if (self.backlog or self.ending or not self.reading) and not self._writer.holding:
            self.go_on_soon()

    def _fitted(self, frame: bytes) -> bytes:
        """An answer, if it can be sent and held until it is taken; what is said in its place
        else.
        """
        size = len(frame)
        seq = shortcuts.sequence_of(frame[HEADER.size :], messages.REPLY)
        if seq is None or self._responder is None:
            return frame  # an exception: these are short
        if size > self._limits.frame_reply:
            return self._responder.failure(seq, too_long(frame))
        if self._holdings is None:
            return frame
        fitting = max(LEAST_CALLS_IN_FLIGHT, self._limits.held_per_peer // size)
        self._window = min(self._window, fitting)
        unsent = self._unsent_bytes
        if unsent > LARGE_BYTES and unsent + size > self._limits.held_per_peer:
            return _overloaded(seq)
        return frame if self._holdings.admit(size) else _overloaded(seq)

    def go_on_soon(self) -> None:
        """Sees to what is left: requests that wait, the end, or what is still to be read."""
        if self.backlog:
            self.steer_reading()
            if self._may_answer and not self._turn_due:
                self._turn_due = True
                turns().call(self, self._go_on_now)
        elif self.ending and not self.in_flight:
            self._loop.call_soon(self._end.answered_all)
        elif not self.reading:
            self.steer_reading()

    def _go_on_now(self) -> None:
        self._turn_due = False
        self.go_on()

    @property
    def _may_answer(self) -> bool:
        """Whether one more request may be answered: too many are not, nor too many bytes."""
        return (
            self.writable
            and self.in_flight < self._window
            and self._writer.held_bytes <= MAX_UNSENT_BYTES
            and self._asked_bytes <= MAX_UNSENT_BYTES
        )

    def steer_reading(self) -> None:
        """Reads from the peer, or does not, as is right now."""
        reading = self._may_answer and not self.backlog and not self.ending
        if reading is not self.reading and not self._closed:
            self.reading = reading
            self._handle.steer_reading(on=reading)


def _overloaded(seq: bytes) -> bytes:
    return messages.exception_reply(seq, "rollcall", "Overloaded", OVERLOADED)
