"""Acts: what operators do to a cluster, each told with who it was and what came of it."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from nodes.errors import Forbidden, RollcallError, code_of
from nodes.master.audit import AuditFile
from nodes.master.events import EventLog
from nodes.routing.budget import Budget
from nodes.support.actor import actor, by
from nodes.support.event_kinds import EventKind
from nodes.support.log_lines import iso_time
from nodes.support.supervision import explain_failure
from nodes.support.text import excerpt
from nodes.support.validation import MAX_INTEGER
from nodes.wire import Reloaded

P = ParamSpec("P")
R = TypeVar("R")

FORBIDDEN_AT_ONCE = 20.0
FORBIDDEN_PER_S = 0.2
"""Forbidden acts that are told, at once and a second for long: whoever may do nothing is not to
fill the events with it. Those in between are counted."""

MAX_ARGUMENT_CHARS = 80


class Acts:
    """Tells of acts: as events and, if there is one, in the audit file. For many threads.

    Args:
        events: of the cluster.
        clock: Unix time in seconds.
        steady: seconds, monotonic.

    Attributes:
        audit: the audit file; None without one.
    """

    def __init__(
        self,
        events: EventLog,
        *,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.audit: AuditFile | None = None
        self._events = events
        self._clock = clock
        self._steady = steady
        self._forbidden = Budget(share=0.0, burst=FORBIDDEN_AT_ONCE, per_s=FORBIDDEN_PER_S)
        self._lock = threading.Lock()

    @property
    def last_event(self) -> int:
        """The number of the newest event."""
        return self._events.last

    def done(
        self, verb: str, arguments: Mapping[str, object], text: str, *, who: str, after: int
    ) -> None:
        """An act was done.

        Args:
            verb, arguments: of the operation.
            text: what came of it.
            who: did it.
            after: the number of the last event before it. Most acts are told by events of what
                they changed; this one is told here if none of those since then says of whom.
        """
        if not any(by(who) in event.text for event in self._events.after(after)):
            self._events.note(EventKind.DONE, "", f"{_asked(verb, arguments)}: {text}, {by(who)}")
        self._write(verb, arguments, who, {"outcome": "done", "text": text})

    def failed(
        self, verb: str, arguments: Mapping[str, object], error: Exception, *, who: str
    ) -> None:
        """An act was refused, or failed; arguments as `done`."""
        known = isinstance(error, RollcallError)
        text = str(error) if known else explain_failure(error)
        code = code_of(error) if isinstance(error, RollcallError) else "internal"
        said = f"{_asked(verb, arguments)}: not done: {text}, {by(who)}"
        self._events.note(EventKind.NOT_DONE, "", said)
        self._write(verb, arguments, who, {"outcome": "not_done", "code": code, "text": text})

    def may_tell_forbidden(self) -> bool:
        """Whether one more act that was forbidden is to be told; it is counted if not."""
        with self._lock:
            return self._forbidden.spend(self._steady())

    def forbidden(
        self, verb: str, arguments: Mapping[str, object], error: Forbidden, *, who: str
    ) -> None:
        """An act was forbidden, and may be told; arguments as `done`."""
        with self._lock:
            untold = self._forbidden.newly_refused()
        more = f" ({untold} more were forbidden since the last that was told)" if untold else ""
        self.failed(verb, arguments, Forbidden(f"{error}{more}"), who=who)

    def _write(
        self, verb: str, arguments: Mapping[str, object], who: str, outcome: Mapping[str, object]
    ) -> None:
        if self.audit is None:
            return
        entry = {
            "time": iso_time(self._clock()),
            "who": who,
            "verb": verb,
            "arguments": arguments,
            **outcome,
        }
        with self._lock:
            self.audit.write(entry)


class Actable(Protocol):
    """Whatever has operations that are acts, and who tells of them."""

    acts: Acts


A = TypeVar("A", bound=Actable)


def act(do: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
    """Makes an operation an act: it is told who did it and what came of it, whatever that is."""
    verb = do.__name__

    @functools.wraps(do)
    def told(self: A, /, *args: P.args, **named: P.kwargs) -> R:
        who, arguments, before = actor(), arguments_of(do, args, named), self.acts.last_event
        try:
            result = do(self, *args, **named)
        except Exception as error:
            self.acts.failed(verb, arguments, error, who=who)
            raise
        self.acts.done(verb, arguments, _came_of_it(result), who=who, after=before)
        return result

    return told


def arguments_of(
    do: Callable[..., object], args: tuple[object, ...], named: Mapping[str, object]
) -> dict[str, object]:
    """The arguments of a method by name, as they are told; none if they do not fit it."""
    try:
        bound = inspect.signature(do).bind(None, *args, **named).arguments
    except TypeError:
        return {}
    return {name: _shown(value) for name, value in list(bound.items())[1:]}


def _shown(value: object) -> object:
    if type(value) is int and abs(value) <= MAX_INTEGER:
        return value
    return excerpt(str(value), MAX_ARGUMENT_CHARS)


def _asked(verb: str, arguments: Mapping[str, object]) -> str:
    return " ".join([verb, *(str(value) for value in arguments.values() if value != "")])


def _came_of_it(result: object) -> str:
    if isinstance(result, Reloaded):
        return result.text
    return ", ".join(result) if isinstance(result, list) else str(result)
