"""Many lookups in one question: split over the workers, answered in order.

The questions are a JSON array of arrays, as `[["getbyname", "xander"], ...]`, and the answers a
JSON array of envelopes in the same order. The master cuts the one into parts and joins the
other, and decodes neither lookups nor records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from nodes.dispatch.dispatcher import Args, Dispatcher
from nodes.dispatch.replies import is_batch_answer
from nodes.errors import BadRequest, LookupFailed
from nodes.support.deadline import seconds_left
from nodes.wire import batch_body, encode_batch, error_envelope

MAX_BATCH_LOOKUPS = 10_000
"""Lookups of one batch."""

PART_LOOKUPS = 250
"""Lookups that a worker is sent at once: a few milliseconds of work, so that what a worker
leaves undone is soon done again, and no part looks like a worker that is stuck."""

THREADS = 32
"""Parts under way at once, of all batches together; more wait for their turn."""

MAX_REPLY_BYTES = 24 << 20
"""Bytes of a batch's answers together, unless said otherwise."""

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Answers(NamedTuple):
    """A batch's answers: a JSON array, and how many of them are errors of the cluster's own."""

    body: bytes
    asked: int
    failed: int


class Batches:
    """Asks lookups by the hundred.

    Args:
        dispatcher: finds a worker for each part.
        reply_bytes: of a batch's answers together, at most. A lookup beyond them is answered with
            an empty page and the cursor of its first record.
    """

    def __init__(self, dispatcher: Dispatcher, *, reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self._reply_bytes = reply_bytes
        self._dispatcher = dispatcher
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="batch")

    def close(self) -> None:
        """Ends its threads; parts that wait for their turn are given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def ask(self, text: str, *, limit: int, timeout: float) -> Answers:
        """Asks all of them; one that fails fails alone, or with those of its part.

        Args:
            text: the questions, see above; at most `MAX_BATCH_LOOKUPS`.
            limit: records of each answer's page, at most.
            timeout: seconds for all of it.

        Raises:
            BadRequest: it is no array, or too long.
        """
        lookups = _questions(text)
        parts = [
            lookups[start : start + PART_LOOKUPS] for start in range(0, len(lookups), PART_LOOKUPS)
        ]
        most = self._reply_bytes // max(1, len(parts))
        deadline = time.monotonic() + timeout

        def one(part: list[msgspec.Raw]) -> Answers:
            return self._ask_part(part, limit, most, deadline)

        # The last one here: a batch of one part needs no other thread.
        others = [self._threads.submit(one, part) for part in parts[:-1]]
        done = [one(part) for part in parts[-1:]]
        done[:0] = [other.result() for other in others]
        bodies = b",".join([answers.body for answers in done])
        return Answers(b"[%b]" % bodies, len(lookups), sum(answers.failed for answers in done))

    def _ask_part(self, part: list[msgspec.Raw], limit: int, most: int, deadline: float) -> Answers:
        lookups = b",".join(part)

        def make_args(left: float) -> Args:
            return (encode_batch(lookups, limit=limit, most=most, within=left),)

        try:
            answer = self._dispatcher.call(
                "lookup_many",
                make_args,
                timeout=seconds_left(deadline, time.monotonic()),
                tasks=len(part),
                accept=_accepts(len(part)),
            )
        except LookupFailed as error:
            failure = error_envelope(error)
            return Answers(b",".join([failure] * len(part)), len(part), len(part))
        return Answers(batch_body(answer.part), len(part), 0)


def _accepts(count: int) -> Callable[[object], bool]:
    return lambda reply: is_batch_answer(reply, count)


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
