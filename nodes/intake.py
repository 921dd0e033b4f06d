"""A lookup's way in: checked, admitted, timed, sent on, and wrapped in its envelope."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from nodes.catalog import Argument, Lookup, coerce, cursor_version
from nodes.dispatch import Answer, Args, Dispatcher, MakeArgs
from nodes.errors import BadRequest, NoWorkers, Overloaded, PoisonLookup
from nodes.routing import NO_WORKERS, Figures
from nodes.wire import Description, LookupRequest, answer_envelope, encode_request

MOST_CALLS = 256
RETRY_AFTER_MS = 100
"""Lookups in flight at once; one more is refused with `overloaded`, to come back later."""

MOST_SECONDS = 60.0
"""The longest deadline that a client may ask for."""


class Intake:
    """What clients ask of a master.

    Arguments:
        dispatcher: finds a worker for each.
        description: asked what is served; None while nobody has said so.
        note: told the kind, the worker ("" for the cluster) and the words of an event.
    """

    def __init__(
        self, dispatcher: Dispatcher, description: Callable[[], Description | None], *,
        note: Callable[[str, str, str], None],
    ) -> None:  # fmt: skip
        self._note = note
        self._dispatcher = dispatcher
        self._description = description
        self._known: tuple[Description | None, dict[str, Lookup]] = (None, {})
        self._slots = threading.Semaphore(MOST_CALLS)
        self._lock = threading.Lock()
        self.figures = Figures()
        self.answered = 0
        self.errors = 0

    def lookups(self) -> dict[str, Lookup]:
        """The lookups that can be asked now, by name."""
        now, (of, known) = self._description(), self._known
        if now is of or now is None:
            return known
        known = {one.name: Lookup(one.name, one.fields, one.types) for one in now.lookups}
        self._known = (now, known)
        return known

    def lookup(
        self, name: str, args: tuple[object, ...], *, limit: int, after: str | None, timeout: float
    ) -> bytes:
        """Answers a lookup with a finished envelope.

        Arguments:
            name, args: the lookup, and one value for each of its fields.
            limit: records of the page, at most.
            after: the cursor of the page before, None for the first.
            timeout: seconds for all of it.

        Raises:
            LookupFailed: see `nodes.errors`.
        """
        if not 0 < timeout <= MOST_SECONDS:
            raise BadRequest(f"timeout_s must be above 0 and at most {MOST_SECONDS:g}")
        if not self.lookups():
            began = time.monotonic()
            self._dispatcher.await_worker(timeout)
            timeout = max(0.001, timeout - (time.monotonic() - began))
        coerced = self._coerced(name, args)

        def make_args(left: float) -> Args:
            # What is left of the time travels along: a worker drops what is late already.
            return (encode_request(LookupRequest(name, coerced, limit, after, left)),)

        # A page after another is of the same catalog, as long as a worker has it.
        version = cursor_version(after) if after else ""
        return self._answer("lookup", make_args, timeout, version)

    def suggest(self, field: str, prefix: str, *, limit: int, timeout: float) -> bytes:
        """A few values of a field that start with `prefix`; result and errors as `lookup`."""
        # A completion is no lookup: it is admitted like one, and counted nowhere.
        with self._admitted():
            began = time.monotonic()
            answer = self._dispatcher.call(
                "suggest", lambda _left: (field, prefix, limit), timeout=timeout, counted=False
            )
        return _wrapped(answer, time.monotonic() - began)

    def _coerced(self, name: str, args: tuple[object, ...]) -> tuple[Argument, ...]:
        known = self.lookups()
        lookup = known.get(name)
        if lookup is not None:
            return coerce(lookup, args)
        if known:
            raise BadRequest(f"there is no lookup {name[:80]!r}; there are {', '.join(known)}")
        raise NoWorkers(NO_WORKERS)

    def _answer(self, verb: str, make_args: MakeArgs, timeout: float, version: str) -> bytes:
        began = time.monotonic()
        failed = True
        try:
            with self._admitted():
                answer = self._dispatcher.call(verb, make_args, timeout=timeout, version=version)
            failed = False
        except BadRequest:
            failed = False
            raise
        except PoisonLookup as poison:
            self._note("poison_lookup", "", poison.message)
            raise
        finally:
            took = time.monotonic() - began
            with self._lock:
                self.errors += failed
                self.answered += not failed
                self.figures.add(took, began + took)
        return _wrapped(answer, took)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise Overloaded(
                f"{MOST_CALLS} lookups are in flight; try again", retry_after_ms=RETRY_AFTER_MS
            )
        try:
            yield
        finally:
            self._slots.release()


def _wrapped(answer: Answer, took: float) -> bytes:
    return answer_envelope(
        answer.part, worker=answer.worker, attempts=answer.attempts, elapsed_ms=took * 1000
    )
