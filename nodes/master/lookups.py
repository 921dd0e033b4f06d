"""A lookup's way in: checked, admitted, timed, sent on, and wrapped in its envelope."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

from nodes.catalog import Argument, Lookup, coerce
from nodes.dispatch.batches import Batches
from nodes.dispatch.dispatcher import Answer, Args, Dispatcher, MakeArgs
from nodes.errors import BadRequest, NoWorkers, Overloaded, PoisonLookup, Stopping
from nodes.routing import NO_WORKERS, WindowedHistogram
from nodes.security.cursors import cursor_version
from nodes.support.deadline import seconds_left
from nodes.support.event_kinds import EventKind
from nodes.wire import (
    Description,
    LookupRequest,
    answer_envelope,
    batch_envelope,
    encode_request,
)

MOST_CALLS = 512
RETRY_AFTER_MS = 100
"""Lookups in flight at once, those that wait for their turn included; one more is refused with
`overloaded`, to come back later."""

MOST_SECONDS = 60.0
"""The longest deadline that a client may ask for."""

STOPPING = "this master is stopping; ask again when another has taken its place"


class LookupHandler:
    """What clients ask of a master.

    Args:
        dispatcher: finds a worker for each.
        description: asked what is served; None while nobody has said so.
        note: told the kind, the worker ("" for the cluster) and the words of an event.

    Attributes:
        in_flight: lookups and batches that are being answered now.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        description: Callable[[], Description | None],
        *,
        note: Callable[[EventKind, str, str], None],
    ) -> None:
        self._note = note
        self._dispatcher = dispatcher
        self._batches = Batches(dispatcher)
        self._description = description
        self._known: tuple[Description | None, dict[str, Lookup]] = (None, {})
        self.in_flight = 0
        self._lock = threading.Lock()
        self._finishing = False
        self._finished = threading.Condition(self._lock)
        self._histogram = WindowedHistogram()
        self.answered = 0
        self.errors = 0

    def declared(self) -> dict[str, Lookup]:
        """The lookups that can be asked now, by name."""
        now, (of, known) = self._description(), self._known
        if now is of or now is None:
            return known
        known = {one.name: Lookup(one.name, one.fields, one.types) for one in now.lookups}
        self._known = (now, known)
        return known

    def measured(self, now: float) -> tuple[float, float | None, float | None]:
        """Answers a second, and the seconds that half and 99 % of them stayed under; None
        for the latter when there were none in the last 10 s.
        """
        with self._lock:  # lookups add to them all the while
            figures = self._histogram
            return figures.rate(now), figures.percentile(0.5, now), figures.percentile(0.99, now)

    def await_worker(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for the first worker, who will say what is served, as
        long as one is expected.

        Raises:
            Overloaded, Stopping: nobody is waited for here.
        """
        self._admit()
        try:
            self._dispatcher.await_worker(timeout)
        finally:
            self._leave()
        self.check_open()

    def lookup(
        self, name: str, args: tuple[object, ...], *, limit: int, after: str | None, timeout: float
    ) -> bytes:
        """Answers a lookup with a finished envelope.

        Args:
            name, args: the lookup, and one value for each of its fields.
            limit: records of the page, at most.
            after: the cursor of the page before, None for the first.
            timeout: seconds for all of it.

        Raises:
            LookupFailed: see `nodes.errors`.
        """
        _check_timeout(timeout)
        known = self.declared()
        if not known:
            deadline = time.monotonic() + timeout
            self.await_worker(timeout)
            timeout = seconds_left(deadline, time.monotonic())
            known = self.declared()
        checked = _checked(known, name, args)

        def make_args(left: float) -> Args:
            # What is left of the time travels along: a worker drops what is late already.
            return (encode_request(LookupRequest(name, checked, limit, after, left)),)

        # A page after another is of the same catalog, as long as a worker has it.
        version = cursor_version(after) if after else ""
        return self._answer("lookup", make_args, timeout, version)

    def lookup_many(self, text: str, *, limit: int, timeout: float) -> bytes:
        """Answers a batch with a finished envelope around one for each lookup, in order.

        Args:
            text: see `nodes.dispatch.batches`.
            limit: records of each answer's page, at most.
            timeout: seconds for all of it.

        Raises:
            BadRequest, Overloaded: nothing was asked.
        """
        _check_timeout(timeout)
        began = time.monotonic()
        self._admit()
        try:
            answers = self._batches.ask(text, limit=limit, timeout=timeout)
        finally:
            self._leave()
        if answers.failed:
            self.check_open()
        took = time.monotonic() - began
        self._count(answers.asked - answers.failed, answers.failed, took, began + took)
        return batch_envelope(answers.body, count=answers.asked, elapsed_ms=took * 1000)

    def _count(self, answered: int, failed: int, took: float, now: float) -> None:
        with self._lock:
            self.answered += answered
            self.errors += failed
            self._histogram.add(took, now, answered + failed)

    def check_open(self) -> None:
        """Raises `Stopping` once `finish` was called."""
        if self._finishing:
            raise Stopping(STOPPING)

    def finish(self, timeout: float) -> None:
        """Takes in nothing new, and waits up to `timeout` seconds until what has been taken in,
        and perhaps waits for its turn, is answered. What no worker answers any more is
        refused as `Stopping`, like the new: it is for the next master.
        """
        with self._lock:
            self._finishing = True
            self._finished.wait_for(lambda: not self.in_flight, timeout)

    def close(self) -> None:
        """Ends the threads that batches are asked in."""
        self._batches.close()

    def suggest(self, field: str, prefix: str, *, limit: int, timeout: float) -> bytes:
        """A few values of a field that start with `prefix`; result and errors as `lookup`."""
        # A completion is no lookup: it is admitted like one, and counted nowhere.
        self._admit()
        began = time.monotonic()
        try:
            answer = self._dispatcher.call(
                "suggest", lambda _left: (field, prefix, limit), timeout=timeout, counted=False
            )
        except NoWorkers:
            self.check_open()
            raise
        finally:
            self._leave()
        return _wrapped(answer, time.monotonic() - began)

    def _answer(self, verb: str, make_args: MakeArgs, timeout: float, version: str) -> bytes:
        began = time.monotonic()
        failed = True
        try:
            self._admit()
            try:
                answer = self._dispatcher.call(verb, make_args, timeout=timeout, version=version)
            finally:
                self._leave()
            failed = False
        except BadRequest:
            failed = False
            raise
        except PoisonLookup as poison:
            self._note(EventKind.POISON_LOOKUP, "", poison.message)
            raise
        except NoWorkers:
            self.check_open()
            raise
        finally:
            took = time.monotonic() - began
            self._count(not failed, failed, took, began + took)
        return _wrapped(answer, took)

    def _admit(self) -> None:
        """Takes a slot; `_leave` gives it back. Raises `Overloaded` when there is none, and
        `Stopping` when there will be none.
        """
        with self._lock:
            if self._finishing:
                raise Stopping(STOPPING)
            if self.in_flight >= MOST_CALLS:
                raise Overloaded(
                    f"{MOST_CALLS} lookups are in flight; try again", retry_after_ms=RETRY_AFTER_MS
                )
            self.in_flight += 1

    def _leave(self) -> None:
        with self._lock:
            self.in_flight -= 1
            if self._finishing and not self.in_flight:
                self._finished.notify_all()


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


def _check_timeout(timeout: float) -> None:
    if not 0 < timeout <= MOST_SECONDS:
        raise BadRequest(f"timeout_s must be above 0 and at most {MOST_SECONDS:g}")


def _wrapped(answer: Answer, took: float) -> bytes:
    return answer_envelope(
        answer.part, worker=answer.worker, attempts=answer.attempts, elapsed_ms=took * 1000
    )
