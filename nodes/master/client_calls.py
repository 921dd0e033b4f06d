"""The calls that a master makes for its clients, and how each is answered."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import Dispatcher
from nodes.dispatch.replies import is_suggestion
from nodes.errors import LookupFailed
from nodes.support.traceparent import TraceParent
from nodes.support.turns import whose_turn
from nodes.transport import Asker
from nodes.wire import PAGE_RECORDS


class Envelopes(Protocol):
    """Who counts what became of a lookup, and makes its envelope."""

    def answered_one(self, call: Call, answer: Answer) -> bytes:
        """A lookup was answered."""

    def failed_one(self, call: Call, error: LookupFailed, took_s: float) -> bytes:
        """A lookup has failed after so many seconds."""


class ClientCall(Call):
    """A lookup that a client asked in the common form: its asker is answered.

    Args:
        arguments: as they came.
        envelopes: makes the answer.
        asker: who asks.
        seq: its sequence number there, encoded.
    """

    __slots__ = ("_envelopes", "_seq", "asker")

    def __init__(self, arguments: bytes, envelopes: Envelopes, asker: Asker, seq: bytes) -> None:
        super().__init__(arguments)
        self._envelopes = envelopes
        self.asker: Asker = asker
        self._seq = seq

    def answered(self, answer: Answer) -> None:
        self.asker.answer(self._seq, self._envelopes.answered_one(self, answer))

    def gave_up(self, error: LookupFailed) -> None:
        took_s = time.monotonic() - self.began
        self.asker.answer(self._seq, self._envelopes.failed_one(self, error, took_s))


class AwaitedCall(Call):
    """A call whose end is awaited, made for whom the work is done in which it is made.

    Args:
        arguments: encoded.
        verb: of the workers.
        timeout_s: seconds for all of it.
        version: of the catalog that should answer, "" for any.
        most, counted, trace: see `Call`.
    """

    __slots__ = ("_answer", "asker", "counted", "most", "timeout_s", "trace", "verb", "version")

    def __init__(
        self,
        arguments: bytes,
        verb: str,
        *,
        timeout_s: float,
        version: str = "",
        most: int = PAGE_RECORDS,
        counted: bool = True,
        trace: TraceParent | None = None,
    ) -> None:
        super().__init__(arguments)
        self.verb = verb
        self.timeout_s = timeout_s
        self.version = version
        self.most = most
        self.counted = counted
        self.trace = trace
        self.asker = whose_turn.get()
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def submit(self, dispatcher: Dispatcher) -> Answer:
        """Begins the call, and waits for its end. Raises `LookupFailed`."""
        dispatcher.submit(self)
        return await self._answer

    def answered(self, answer: Answer) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)

    def gave_up(self, error: LookupFailed) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


class SuggestCall(AwaitedCall):
    """A call for a few values of a field: a completion, which is no lookup and counted nowhere.

    Args:
        arguments: encoded.
        most: values.
        timeout_s: seconds for all of it.
    """

    __slots__ = ()

    def __init__(self, arguments: bytes, *, most: int, timeout_s: float) -> None:
        super().__init__(arguments, "suggest", timeout_s=timeout_s, most=most, counted=False)

    def accepts(self, reply: bytes) -> bool:
        return is_suggestion(reply, self.most)
