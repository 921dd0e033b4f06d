"""Single lookups that are kept to be shown: the slowest of late, and the latest that failed."""

from __future__ import annotations

import shlex
from collections import deque
from typing import NamedTuple

from nodes.dispatch.call import Answer, Call
from nodes.support.text import excerpt
from nodes.support.units import rounded_ms
from nodes.transport import messages, shortcuts
from nodes.wire import LookupRequest, SlowLookup

MAX_SLOW = 16
MAX_FAILED = 16
"""Lookups that are kept: the slowest, and the latest that failed."""

SLOW_KEPT_S = 600.0
"""Seconds for which they are kept."""

MAX_ARGUMENT_CHARS = 100
"""Characters that are shown of a lookup's arguments."""

WAITED_S = 0.001
"""Seconds of waiting for a turn below which it is no reason to be slow."""

Asked = bytes | LookupRequest
"""A lookup's name and arguments: encoded, as they came, or as the request that they became."""


class _Note(NamedTuple):
    """A lookup that is kept: its arguments are decoded only to be shown."""

    at: float
    took_s: float
    asked: Asked
    attempts: int
    worker: str
    why: str
    request_id: str
    trace_id: str
    code: str = ""


class SlowLookups:
    """Keeps them. No clock: `now` is passed in, in seconds.

    Attributes:
        above_s: seconds that one must have taken to be among the slowest.
    """

    def __init__(self) -> None:
        self.above_s = 0.0
        self._slowest: list[_Note] = []
        self._failed: deque[_Note] = deque(maxlen=MAX_FAILED)

    def slow(self, call: Call, answer: Answer, asked: Asked, now: float, trace_id: str) -> None:
        """One was answered, and took more than `above_s`."""
        why = _why_slow(call, answer.took_s)
        ids = call.request_id, trace_id
        note = _Note(now, answer.took_s, asked, answer.attempts, answer.worker.id, why, *ids)
        self._slowest.append(note)
        self.look(now)

    def failed(
        self, call: Call, code: str, took_s: float, asked: Asked, *, now: float, trace_id: str
    ) -> None:
        """One has failed after so many seconds, with an error of that code."""
        attempts, worker = 0, ""
        if call.state is not None and call.state.asked is not None:
            attempts, worker = call.state.attempts, call.state.asked.id
        why = _why_slow(call, took_s)
        ids = call.request_id, trace_id
        self._failed.append(_Note(now, took_s, asked, attempts, worker, why, *ids, code))

    def look(self, now: float) -> None:
        """Forgets what is too old, and all but the slowest."""
        recent = [note for note in self._slowest if now - note.at < SLOW_KEPT_S]
        recent.sort(key=lambda note: note.took_s, reverse=True)
        self._slowest = recent[:MAX_SLOW]
        self.above_s = self._slowest[-1].took_s if len(self._slowest) == MAX_SLOW else 0.0

    def view(self, now: float, wall: float) -> tuple[SlowLookup, ...]:
        """All of them at `now`, which is the Unix time `wall`: what failed, newest first, then the
        slowest.
        """
        failed = [note for note in self._failed if now - note.at < SLOW_KEPT_S]
        return tuple(
            SlowLookup(
                at=wall - (now - note.at),
                name=encoded_name(note.asked).decode(),
                arguments=_arguments(note.asked),
                ms=rounded_ms(note.took_s),
                attempts=note.attempts,
                worker=note.worker,
                why=note.why,
                code=note.code,
                request_id=note.request_id,
                trace_id=note.trace_id,
            )
            for note in (*reversed(failed), *self._slowest)
        )


def encoded_name(asked: Asked) -> bytes:
    """The name of the lookup that was asked."""
    return shortcuts.first_text(asked) if isinstance(asked, bytes) else asked.name.encode()


def _why_slow(call: Call, took_s: float) -> str:
    """Why a lookup took longer than one attempt: "hedged", "rerouted", "waited" or ""."""
    waited_s = call.sent_at - call.began if call.sent_at else took_s
    if waited_s > max(WAITED_S, took_s / 2):
        return "waited"
    return "" if call.state is None else call.state.detour


def _arguments(asked: Asked) -> str:
    """The arguments as they would be typed."""
    if isinstance(asked, bytes):
        _, *args = shortcuts.call_arguments(asked, 0, messages.MAX_REQUEST_READS) or ("",)
    else:
        args = list(asked.args)
    return excerpt(shlex.join(str(one)[:MAX_ARGUMENT_CHARS] for one in args), MAX_ARGUMENT_CHARS)
