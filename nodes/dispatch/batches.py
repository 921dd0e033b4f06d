"""Many lookups in one question: split over the workers, answered in order.

The questions are a JSON array of arrays, as `[["getbyname", "xander"], ...]`, and the answers a
JSON array of envelopes in the same order. The master cuts the one into parts and joins the
other, and decodes neither lookups nor records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import Dispatcher
from nodes.dispatch.replies import BatchTally, tally_batch
from nodes.errors import BadRequest, DeadlineExceeded, LookupFailed, Overloaded
from nodes.routing import PastAttempt
from nodes.support.fair_queue import FairQueue
from nodes.support.traceparent import TraceParent
from nodes.support.turns import whose_turn
from nodes.transport import encode_arguments
from nodes.wire import batch_body, encode_batch, error_envelope

MAX_BATCH_LOOKUPS = 10_000
"""Lookups of one batch."""

PART_LOOKUPS = 250
"""Lookups that a worker is sent at once: a few milliseconds of work, so that what a worker
leaves undone is soon done again, and no part looks like a worker that is stuck."""

PARTS_PER_WORKER = 2
"""Parts under way at once for each worker, of all batches together: one to work on, and the next.
More wait here, so that lookups which come alone are not kept waiting for long."""

MAX_BATCHES = 16
"""Batches of which parts are under way or answered: what is answered of each is kept until all of
it is. More wait for their turn, so that no more is kept than fills so many replies."""

MAX_WAITING = 1024
MAX_WAITING_OF_ONE = 64
"""Batches that wait for their turn, of all who ask and of one of them; one more is refused with
`overloaded`, to come back later."""

RETRY_AFTER_MS = 100

MAX_REPLY_BYTES = 2 << 20
"""Bytes of a batch's answers together, unless said otherwise: to put them together holds up nobody
for more than 5 ms."""

MAX_PART_BYTES = 512 << 10
"""Bytes of a part's answers; as long to look at as a page."""

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Answers(NamedTuple):
    """A batch's answers.

    Attributes:
        body: all of them, a JSON array.
        asked: how many there are.
        failures: those that are errors of the cluster's own, by code.
        empty: those that found nothing.
        refused: those that say that the lookup is wrong.
        attempts: those of all parts.
    """

    body: bytes
    asked: int
    failures: dict[str, int]
    empty: int = 0
    refused: int = 0
    attempts: Sequence[PastAttempt] = ()

    @property
    def answered(self) -> int:
        """Lookups that were answered, if only with nothing."""
        return self.asked - self.refused - sum(self.failures.values())


class Batches:
    """Answers batches, with the help of a dispatcher.

    Args:
        dispatcher: finds a worker for each part.
        reply_bytes: of a batch's answers together, at most. A lookup beyond them is answered with
            an empty page and the cursor of its first record.
    """

    def __init__(self, dispatcher: Dispatcher, *, reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self._reply_bytes = reply_bytes
        self._dispatcher = dispatcher
        self._waiting: FairQueue[_Batch] = FairQueue()
        self._begun: FairQueue[_Part] = FairQueue()
        self._begun_batches = 0
        self._under_way = 0

    def ask(
        self,
        text: str,
        *,
        limit: int,
        timeout_s: float,
        done: Callable[[Answers], None],
        failed: Callable[[LookupFailed], None],
        trace: TraceParent | None = None,
    ) -> None:
        """Asks all of them; one that fails fails alone, or with those of its part. When many are
        asked, each asker has a turn: see `whose_turn`.

        Args:
            text: the questions, see above; at most `MAX_BATCH_LOOKUPS`.
            limit: records of each answer's page, at most.
            timeout_s: seconds for all of it.
            done: given the answers.
            failed: told why there are none.
            trace: see `Call`.

        Raises:
            BadRequest: it is no array, or too long.
            Overloaded: too many wait.
        """
        self._check_room()
        lookups = _questions(text)
        deadline = self._dispatcher.clock() + timeout_s
        batch = _Batch(len(lookups), deadline, done=done, failed=failed, ended=self._ended)
        starts = range(0, len(lookups), PART_LOOKUPS)
        most = min(MAX_PART_BYTES, self._reply_bytes // max(1, len(starts)))
        for index, start in enumerate(starts):
            part = lookups[start : start + PART_LOOKUPS]
            body = encode_batch(b",".join(part), limit=limit, most=most, within=timeout_s)
            batch.parts.append(
                _Part(
                    body,
                    lookups=len(part),
                    timeout_s=timeout_s,
                    batch=batch,
                    index=index,
                    over=self._over,
                    trace=trace,
                )
            )
            batch.bodies.append(b"")
        if not lookups:
            batch.finish()
            return
        self._waiting.put(batch.asker, batch)
        self._let_in()

    def _check_room(self) -> None:
        of_one = self._waiting.queues.get(whose_turn.get(), ())
        if len(of_one) >= MAX_WAITING_OF_ONE or len(self._waiting) >= MAX_WAITING:
            raise Overloaded(
                "too many batches wait for their turn; try again", retry_after_ms=RETRY_AFTER_MS
            )

    def _ended(self) -> None:
        self._begun_batches -= 1

    def _over(self) -> None:
        self._under_way -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting.queues and self._begun_batches < MAX_BATCHES:
            batch = self._waiting.pop()
            if self._dispatcher.clock() >= batch.deadline:
                batch.failed(DeadlineExceeded("the batch's turn did not come in time; ask fewer"))
                continue
            self._begun_batches += 1
            for part in batch.parts:
                self._begun.put(batch.asker, part)
            batch.parts = []
        workers = max(1, len(self._dispatcher.router.registry.available))
        while self._begun.queues and self._under_way < PARTS_PER_WORKER * workers:
            self._under_way += 1
            self._dispatcher.submit(self._begun.pop())


class _Batch:
    """A batch: its answers so far, in order.

    Args:
        lookups: how many it has.
        deadline: after which it is not begun.
        done: given the answers.
        failed: told why there are none.
        ended: called before the answers are given.

    Attributes:
        attempts: those of its parts that are over.
        bodies: the answers of each part.
        parts: those that wait for the batch's turn.
        asker: for whom it is asked.
    """

    def __init__(
        self,
        lookups: int,
        deadline: float,
        *,
        done: Callable[[Answers], None],
        failed: Callable[[LookupFailed], None],
        ended: Callable[[], None],
    ) -> None:
        self.deadline = deadline
        self.failed = failed
        self.asker = whose_turn.get()
        self.parts: list[_Part] = []
        self.attempts: list[PastAttempt] = []
        self._ended = ended
        self.bodies: list[bytes] = []
        self._done = done
        self._lookups = lookups
        self._left = lookups
        self._failures: dict[str, int] = {}
        self._tallies: list[BatchTally] = []

    def put(self, index: int, body: bytes, lookups: int, tally: BatchTally) -> None:
        """The answers to one part, and what they come to."""
        self.bodies[index] = body
        self._tallies.append(tally)
        self._came(lookups)

    def fail(self, index: int, body: bytes, lookups: int, code: str) -> None:
        """One part has none: an error's code says why."""
        self.bodies[index] = body
        self._failures[code] = self._failures.get(code, 0) + lookups
        self._came(lookups)

    def _came(self, lookups: int) -> None:
        self._left -= lookups
        if not self._left:
            self._ended()
            self.finish()

    def finish(self) -> None:
        """All are there."""
        body = b"[%b]" % b",".join(self.bodies)
        empty = sum(tally.empty for tally in self._tallies)
        refused = sum(tally.refused for tally in self._tallies)
        self._done(Answers(body, self._lookups, self._failures, empty, refused, self.attempts))


class _Part(Call):
    """The call that carries one part of a batch."""

    verb = "lookup_many"

    __slots__ = ("_batch", "_index", "_over", "_tally", "asker", "tasks", "timeout_s", "trace")

    def __init__(
        self,
        body: bytes,
        *,
        lookups: int,
        timeout_s: float,
        batch: _Batch,
        index: int,
        over: Callable[[], None],
        trace: TraceParent | None,
    ) -> None:
        super().__init__(encode_arguments((body,)))
        self.tasks = lookups
        self.timeout_s = timeout_s
        self.asker = batch.asker
        self.trace = trace
        self._batch = batch
        self._index = index
        self._over = over
        self._tally = BatchTally()

    def accepts(self, reply: bytes) -> bool:
        tally = tally_batch(reply, self.tasks)
        if tally is None:
            return False
        self._tally = tally
        return True

    def answered(self, answer: Answer) -> None:
        self._batch.attempts += self.attempts_made(self.began + answer.took_s)
        self._batch.put(self._index, batch_body(answer.part), self.tasks, self._tally)
        self._over()

    def gave_up(self, error: LookupFailed) -> None:
        self._batch.attempts += self.attempts_made(0.0)
        first = self._index * PART_LOOKUPS
        numbers = range(first, first + self.tasks)
        failures = b",".join(
            error_envelope(error.identified(f"{self.request_id}#{number}")) for number in numbers
        )
        self._batch.fail(self._index, failures, self.tasks, error.code)
        self._over()


def _questions(text: str) -> list[msgspec.Raw]:
    try:
        lookups = _decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise BadRequest(f'lookups must be JSON like [["getbyname", "xander"]]: {error}') from error
    if len(lookups) > MAX_BATCH_LOOKUPS:
        raise BadRequest(
            f"{len(lookups)} lookups are too many for one batch of {MAX_BATCH_LOOKUPS}"
        )
    return lookups
