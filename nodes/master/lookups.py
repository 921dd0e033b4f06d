"""A lookup's way through the master: admitted, sent on as it came, wrapped in its envelope."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import cast

from nodes.catalog import Argument, Lookup, coerce
from nodes.dispatch.batches import Answers, Batches
from nodes.dispatch.call import Answer, Call
from nodes.dispatch.dispatcher import Dispatcher
from nodes.errors import (
    BadRequest,
    LookupFailed,
    NoWorkers,
    Overloaded,
    PoisonLookup,
    Stopping,
)
from nodes.master.client_calls import AwaitedCall, ClientCall, SuggestCall
from nodes.master.lookup_stats import BATCHES, LookupStats
from nodes.master.served_catalog import ServedCatalog
from nodes.master.slow_lookups import encoded_name
from nodes.monitoring.tracing import TracedLookup, Tracer
from nodes.routing import NO_WORKERS
from nodes.security.cursors import cursor_version
from nodes.support.event_kinds import EventKind
from nodes.support.traceparent import TraceParent
from nodes.transport import Asker, encode_arguments, shortcuts
from nodes.wire import (
    LOOKUP_TIMEOUT_S,
    MAX_TIMEOUT_S,
    PAGE_RECORDS,
    LookupRequest,
    answer_envelope,
    batch_envelope,
    encode_request,
    error_envelope,
)

MAX_LOOKUPS = 4096
RETRY_AFTER_MS = 100
"""Lookups in flight at once, those that wait for their turn included; one more is refused with
`overloaded`, to come back later."""

MAX_PREFIXED = 3
"""Arguments of a named lookup that is taken in as it came."""

STOPPING = "this master is stopping; ask again when another has taken its place"


class LookupHandler:
    """What clients ask of a master. For its event loop only.

    Args:
        dispatcher: finds a worker for each.
        served: says which lookups can be asked.
        wait_for_worker: waits until a worker is there or none is expected any more, at most so
            many seconds.
        note: told the kind, the worker ("" for the cluster) and the words of an event.

    Attributes:
        in_flight: lookups and batches that are being answered now.
        stats: what they were like.
        tracer: writes spans of them; None if nobody wants any.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        served: ServedCatalog,
        *,
        wait_for_worker: Callable[[float], Awaitable[None]],
        note: Callable[[EventKind, str, str], None],
    ) -> None:
        self._note = note
        self._dispatcher = dispatcher
        self._batches = Batches(dispatcher)
        self._served = served
        self._wait_for_worker = wait_for_worker
        self.in_flight = 0
        self._finished: asyncio.Event | None = None
        self.stats = LookupStats(lambda: served.lookups)
        self.tracer: Tracer | None = None

    # -- what nearly every client asks ------------------------------------------------

    def take(self, asker: Asker, seq: bytes, arguments: bytes) -> bool:
        """Takes in `lookup(name, *args)` as it came; the `take` of a `RawVerb`."""
        values = shortcuts.short_arguments(arguments)
        if not values or not self._may_take(values[0], len(values) - 1):
            return False
        self.in_flight += 1
        self._dispatcher.submit(ClientCall(arguments, self, asker, seq))
        return True

    def take_named(self, name: str) -> Callable[[Asker, bytes, bytes], bool]:
        """As `take`, for the verb that a lookup is by itself: `getbyname(*args)`."""

        def take(asker: Asker, seq: bytes, arguments: bytes) -> bool:
            values = shortcuts.short_arguments(arguments)
            if values is None or len(values) > MAX_PREFIXED:
                return False
            if not self._may_take(name, len(values)):
                return False
            prefixed = shortcuts.with_name(name, arguments)
            self.in_flight += 1
            self._dispatcher.submit(ClientCall(prefixed, self, asker, seq))
            return True

        return take

    def _may_take(self, name: str | int, count: int) -> bool:
        """Whether there is such a lookup of so many arguments, and room for one more."""
        if self._finished is not None or self.in_flight >= MAX_LOOKUPS:
            return False
        lookup = self._served.lookups.get(name) if type(name) is str else None
        return lookup is not None and len(lookup.fields) == count

    def answered_one(
        self, call: Call, answer: Answer, request: LookupRequest | None = None
    ) -> bytes:
        """A lookup was answered: its envelope."""
        self._leave()
        ended = call.began + answer.took_s
        traced = self.tracer is not None or call.trace is not None  # felt, were it a call more
        trace_id = self._trace(call, ended, request) if traced else ""
        self.stats.answered_one(call, answer, ended, request=request, trace_id=trace_id)
        return _envelope(answer)

    def failed_one(
        self,
        call: Call,
        error: LookupFailed,
        took_s: float,
        request: LookupRequest | None = None,
    ) -> bytes:
        """A lookup has failed: its envelope."""
        self._leave()
        now = time.monotonic()
        trace_id = self._trace(call, now, request, error.code)
        if not isinstance(error, BadRequest):
            error = error.identified(call.request_id)
            self.stats.failed_one(call, error, took_s, now, request=request, trace_id=trace_id)
        else:
            self.stats.turned_down(error.code)
        if isinstance(error, PoisonLookup):
            self._note(EventKind.POISON_LOOKUP, "", error.message)
        if isinstance(error, NoWorkers) and self._finished is not None:
            error = Stopping(STOPPING)
        return error_envelope(error)

    def _trace(
        self, call: Call, ended: float, request: LookupRequest | None, code: str = ""
    ) -> str:
        """The id of the trace that a lookup is a part of which is over, "" if there is none."""
        known = "" if call.trace is None else call.trace.trace_id
        if self.tracer is None:
            return known
        name = encoded_name(call.arguments if request is None else request).decode()
        sampled = self.tracer.sample(name, call.trace)
        if not sampled:
            return known
        attempts = call.attempts_made(ended)
        request_id = call.request_id if code else ""
        whole = (name, call.trace, call.began, ended, attempts, code, request_id)
        self.tracer.record(sampled, TracedLookup(*whole))
        return sampled

    # -- all that may be asked ----------------------------------------------------------

    async def lookup(
        self,
        name: str,
        args: tuple[object, ...],
        *,
        limit: int = PAGE_RECORDS,
        after: str | None = None,
        timeout_s: float = LOOKUP_TIMEOUT_S,
        trace: TraceParent | None = None,
    ) -> bytes:
        """Answers a lookup with a finished envelope.

        Args:
            name, args: the lookup, and one value for each of its fields.
            limit: records of the page, at most.
            after: the cursor of the page before, None for the first.
            timeout_s: seconds for all of it.
            trace: what it is a part of, None if that was not said.

        Raises:
            LookupFailed: it was not asked; see `nodes.errors`.
        """
        _check_timeout(timeout_s)
        began = time.monotonic()
        if not self._served.lookups:
            await self.await_worker(timeout_s)
            timeout_s = max(0.001, timeout_s - (time.monotonic() - began))
        try:
            checked = _checked(self._served.lookups, name, args)
        except NoWorkers as error:
            self.stats.refused(error, time.monotonic())
            raise
        request = LookupRequest(name, checked, limit, after, timeout_s)
        call = AwaitedCall(
            encode_arguments((encode_request(request),)),
            "lookup",
            timeout_s=timeout_s,
            # A page after another is of the same catalog, as long as a worker has it.
            version=cursor_version(after) if after else "",
            most=limit,
            trace=trace,
        )
        self._admit()
        try:
            answer = await call.submit(self._dispatcher)
        except LookupFailed as error:
            return self.failed_one(call, error, time.monotonic() - began, request)
        return self.answered_one(call, answer, request)

    async def lookup_many(
        self,
        text: str,
        *,
        limit: int = PAGE_RECORDS,
        timeout_s: float = LOOKUP_TIMEOUT_S,
        trace: TraceParent | None = None,
    ) -> bytes:
        """Answers a batch with a finished envelope around one for each lookup, in order.

        Args:
            text: see `nodes.dispatch.batches`.
            limit: records of each answer's page, at most.
            timeout_s: seconds for all of it.
            trace: as in `lookup`.

        Raises:
            BadRequest, DeadlineExceeded, Overloaded, Stopping: nothing was asked.
        """
        _check_timeout(timeout_s)
        began = time.monotonic()
        done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._admit()
        try:
            self._batches.ask(
                text,
                limit=limit,
                timeout_s=timeout_s,
                done=done.set_result,
                failed=done.set_exception,
                trace=trace,
            )
            answers = await done
        finally:
            self._leave()
        if answers.failures:
            self.check_open()
        now = time.monotonic()
        took = now - began
        self.stats.batch(answers, took, now)
        if self.tracer is not None and (sampled := self.tracer.sample(BATCHES, trace)):
            code = min(answers.failures, default="")
            whole = (BATCHES, trace, began, now, answers.attempts, code)
            self.tracer.record(sampled, TracedLookup(*whole, lookups=answers.asked))
        return batch_envelope(answers.body, count=answers.asked, elapsed_ms=took * 1000)

    async def suggest(self, field: str, prefix: str, *, limit: int, timeout_s: float) -> bytes:
        """A few values of a field that start with `prefix`; result and errors as `lookup`."""
        arguments = encode_arguments((field, prefix, limit))
        call = SuggestCall(arguments, most=limit, timeout_s=timeout_s)
        self._admit()  # like a lookup
        try:
            answer = await call.submit(self._dispatcher)
        except NoWorkers:
            self.check_open()
            raise
        finally:
            self._leave()
        return _envelope(answer)

    async def await_worker(self, timeout_s: float) -> None:
        """Waits up to `timeout_s` seconds for the first worker, who will say what is served, as
        long as one is expected.

        Raises:
            Overloaded, Stopping: nobody is waited for here.
        """
        self._admit()
        try:
            await self._wait_for_worker(timeout_s)
        finally:
            self._leave()
        self.check_open()

    # -- the end ------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raises `Stopping` once `finish` was called."""
        if self._finished is not None:
            raise Stopping(STOPPING)

    async def finish(self, timeout_s: float) -> None:
        """Takes in nothing new, and waits up to `timeout_s` seconds until what has been taken in,
        and perhaps waits for its turn, is answered. What no worker answers any more is
        refused as `Stopping`, like the new: it is for the next master.
        """
        self._finished = finished = asyncio.Event()
        if self.in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), timeout_s)

    def _admit(self) -> None:
        """Takes a slot; `_leave` gives it back. Raises `Overloaded` when there is none, and
        `Stopping` when there will be none.
        """
        self.check_open()
        if self.in_flight >= MAX_LOOKUPS:
            overload = Overloaded(
                f"{MAX_LOOKUPS} lookups are in flight; try again", retry_after_ms=RETRY_AFTER_MS
            )
            self.stats.refused(overload, time.monotonic())
            raise overload
        self.in_flight += 1

    def _leave(self) -> None:
        self.in_flight -= 1
        if self._finished is not None and not self.in_flight:
            self._finished.set()


def _checked(known: dict[str, Lookup], name: str, args: tuple[object, ...]) -> tuple[Argument, ...]:
    """The arguments as they came, if they fit the lookup. What they are to the fields of a catalog
    is said by the worker that answers: its catalog may be the next one already.
    """
    lookup = known.get(name)
    if lookup is not None:
        coerce(lookup, args)
        return cast("tuple[Argument, ...]", args)
    if known:
        raise BadRequest(f"there is no lookup {name[:80]!r}; there are {', '.join(known)}")
    raise NoWorkers(NO_WORKERS)


def _envelope(answer: Answer) -> bytes:
    part, worker, attempts, took_s = answer
    return answer_envelope(part, worker=worker.id, attempts=attempts, elapsed_ms=took_s * 1000)


def _check_timeout(timeout_s: float) -> None:
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise BadRequest(f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:g}")
