"""A call to the workers: what is asked, and who is told what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nodes.dispatch.replies import is_answer
from nodes.errors import LookupFailed
from nodes.routing import CallState, Outcome, PastAttempt, Worker
from nodes.support.request_ids import new_request_id
from nodes.support.traceparent import TraceParent
from nodes.transport import RemoteFailure, TransportError, Value
from nodes.wire import PAGE_RECORDS, WorkerAnswer


class Answer(NamedTuple):
    """A worker's answer to a call, and how it was got.

    Attributes:
        part: the worker's part of the envelope.
        worker: that answered.
        attempts: how many workers were asked.
        took_s: seconds since the call was submitted.
    """

    part: WorkerAnswer
    worker: Worker
    attempts: int
    took_s: float


class Carrier(Protocol):
    """Who carries calls out; `nodes.dispatch.dispatcher.Dispatcher` is one."""

    def first_replied(self, call: Call, value: Value) -> None:
        """The first worker that a call was sent to has replied."""

    def first_failed(self, call: Call, error: TransportError) -> None:
        """The first worker that a call was sent to has failed it."""

    def replied(self, call: Call, worker: Worker, value: Value) -> None:
        """A worker has replied to a call that has a state."""

    def failed(self, call: Call, worker: Worker, error: TransportError) -> None:
        """A worker has failed a call that has a state."""


class Call:
    """One call: derive from it and say who is told of its end.

    It is its own first attempt: a `nodes.transport.requester.Pending` of the link it is sent on.
    Only if that is late or fails does the call get a `CallState`.

    Args:
        arguments: of the call, encoded.

    Attributes:
        verb: that is called; it must only read, as it may run more than once.
        counted: whether an answer is a task performed, and says how quick a worker is.
        tasks: lookups that the call carries.
        version: of the catalog that should answer, if a worker still has it; "" for any.
        timeout_s: seconds for all of it.
        most: records of its answer, at most.
        asker: for whom it is made: when calls wait, each asker has a turn. None for nobody's.
        trace: what it is a part of, None if that was not said.
        began: when it was submitted; seconds on the dispatcher's clock.
        sent_at: when it was first sent.
        worker: whom it was first sent to.
        over: whether a call with a state has ended.
        state: what is known of a call that did not end with its first attempt.
    """

    verb: str = "ask"
    counted = True
    tasks = 1
    version = ""
    timeout_s = 2.0
    most = PAGE_RECORDS
    asker: object = None
    trace: TraceParent | None = None

    __slots__ = (
        "_request_id",
        "arguments",
        "began",
        "carrier",
        "over",
        "sent_at",
        "state",
        "worker",
    )

    carrier: Carrier
    worker: Worker

    def __init__(self, arguments: bytes) -> None:
        self.arguments = arguments
        self.began = self.sent_at = 0.0
        self.state: CallState | None = None
        self.over = False

    @property
    def request_id(self) -> str:
        """Its id, which it has from the first time on that this is asked."""
        return self.known_as("")

    def known_as(self, request_id: str) -> str:
        """Its id: the one given, unless it has one; a new one for ""."""
        known = getattr(self, "_request_id", "") or request_id or new_request_id()
        self._request_id = known
        return known

    @property
    def named(self) -> str:
        """What it is called in the log."""
        of = "" if self.trace is None else f" of trace {self.trace.trace_id}"
        return f"request {self.request_id}{of}"

    @property
    def log_extra(self) -> dict[str, str]:
        """What a record of the log that is about it says besides its message."""
        ids = {"request_id": self.request_id}
        return ids if self.trace is None else {**ids, "trace_id": self.trace.trace_id}

    def attempts_made(self, ended: float) -> Sequence[PastAttempt]:
        """The attempts of a call that was over at `ended` (seconds on the dispatcher's clock)."""
        if self.state is not None:
            return self.state.past
        if not self.sent_at:
            return ()
        return (PastAttempt(self.worker.id, self.sent_at, ended, Outcome.ANSWERED),)

    def accepts(self, reply: bytes) -> bool:
        """Whether a reply has the form of an answer."""
        return is_answer(reply, self.most)

    def answered(self, answer: Answer) -> None:
        """A worker has answered."""
        raise NotImplementedError

    def gave_up(self, error: LookupFailed) -> None:
        """The call has failed."""
        raise NotImplementedError

    # -- its first attempt ----------------------------------------------------------

    def replied(self, value: Value) -> None:
        """The worker that it was first sent to has replied."""
        self.carrier.first_replied(self, value)

    def failed(self, error: TransportError) -> None:
        """The worker that it was first sent to has failed it."""
        self.carrier.first_failed(self, error)


class Attempt:
    """A further attempt of a call, at one worker; a `Pending` of the link to it."""

    __slots__ = ("call", "worker")

    def __init__(self, call: Call, worker: Worker) -> None:
        self.call = call
        self.worker = worker

    def replied(self, value: Value) -> None:
        """The worker has replied."""
        self.call.carrier.replied(self.call, self.worker, value)

    def failed(self, error: TransportError) -> None:
        """The worker has failed it."""
        self.call.carrier.failed(self.call, self.worker, error)


class Proof:
    """A question that shows whether a worker is alive, before an attempt is sent to it; a `Pending`
    of the link to it.
    """

    __slots__ = ("_asked_at", "_attempt", "_send")

    def __init__(self, attempt: Attempt, asked_at: float, send: Callable[[Attempt], None]) -> None:
        self._attempt = attempt
        self._asked_at = asked_at
        self._send = send

    def replied(self, _value: Value) -> None:
        """It was alive when it was asked, whatever it says."""
        worker = self._attempt.worker
        worker.alive_at = max(worker.alive_at, self._asked_at)
        self._send(self._attempt)

    def failed(self, error: TransportError) -> None:
        """It does not know the question, and is alive; or it is not."""
        if isinstance(error, RemoteFailure):
            self.replied(None)
        else:
            self._attempt.failed(error)
