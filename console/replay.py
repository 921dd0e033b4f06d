"""A recording, replayed: moves through its time, and what there is to be drawn of a moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from console.history import HISTORY_S, History
from console.text import clock
from nodes.master.recording import Recording
from nodes.wire import ClusterSnapshot, Event, Level, verdict

LARGE_STEP_S = 60.0
"""Seconds of a large step."""

GAP_S = 10.0
"""Seconds without a snapshot from which it is said that there is none."""

NEAR_S = 600.0
"""Seconds that are looked through at first, for a moment that is not known yet."""

WIDER = 4
"""By how much more is looked through each time that it was not there."""

AROUND_S = 60.0
"""Seconds before and after a moment's own history that are read with it, for the next steps."""

MAX_EVENTS = 2000
"""Events of a moment at most, the latest."""


class Source(Protocol):
    """Where recorded snapshots come from. Every method may wait, and may raise `DataError`.

    Attributes:
        trouble: why some of it is missing, as far as that is known; "" for nothing.
    """

    @property
    def trouble(self) -> str:
        """See above."""

    def begin(self) -> float:
        """The time of the first snapshot, Unix time in seconds."""

    def end(self) -> float:
        """The time of the last."""

    def cover(self, first: float, last: float) -> Recording:
        """A recording that has all there is from one time to another, and maybe more."""


class Way(StrEnum):
    """Whereto a move goes."""

    BACK = "back"
    FORTH = "forth"
    REWIND = "rewind"
    FORWARD = "forward"
    PREVIOUS_BAD = "previous bad"
    NEXT_BAD = "next bad"
    TO = "to"

    @property
    def ahead(self) -> bool:
        """Whether it goes to what came later."""
        return self in (Way.FORTH, Way.FORWARD, Way.NEXT_BAD)

    @property
    def searches(self) -> bool:
        """Whether it may take a while."""
        return self in (Way.PREVIOUS_BAD, Way.NEXT_BAD)


class Move(NamedTuple):
    """A move; `to` is the Unix time in seconds that `Way.TO` goes to."""

    way: Way
    to: float = math.inf


class Moved(NamedTuple):
    """What became of a move.

    Attributes:
        snapshot: of the moment that it came to; None if it came to none, and stays.
        note: what is to be said of it, "" for nothing.
        past_end: whether there is nothing recorded as late as that.
    """

    snapshot: ClusterSnapshot | None
    note: str = ""
    past_end: bool = False


class Frame(NamedTuple):
    """All that is drawn of a moment: its snapshot, and what had led to it by then."""

    snapshot: ClusterSnapshot
    history: History
    events: Sequence[Event]


class Interrupted(Exception):  # noqa: N818 - a wish, not a fault
    """Something else is wanted than what is being looked for."""


def is_bad(snapshot: ClusterSnapshot) -> bool:
    """Whether something was wrong, as the verdict of that moment has it."""
    return verdict(snapshot).level < Level.STARTING


class Replay:
    """Where in a recording somebody is. It is for one thread, which may wait.

    Args:
        source: of the snapshots.
        is_interrupted: whether something else is wanted; asked while it looks for something.

    Attributes:
        at: the moment it is at, Unix time in seconds; None for the end, before the first move.
    """

    def __init__(self, source: Source, is_interrupted: Callable[[], bool] = lambda: False) -> None:
        self.at: float | None = None
        self._source = source
        self._is_interrupted = is_interrupted
        self._around = History(endless=True)
        self._around_from, self._around_to = math.inf, -math.inf

    def move(self, move: Move) -> Moved:
        """Goes to another moment.

        Raises:
            DataError: there is nothing to be shown.
            Interrupted: something else is wanted; it stays where it is.
        """
        here = self._source.end() if self.at is None else self.at
        moved = self._move(move, here)
        if moved.snapshot is not None:
            self.at = moved.snapshot.taken_at
        return moved

    def _move(self, move: Move, here: float) -> Moved:
        match move.way:
            case Way.BACK:
                return self._back(_before(here), here)
            case Way.REWIND:
                return self._back(here - LARGE_STEP_S, here - LARGE_STEP_S)
            case Way.TO if move.to <= self._source.end():
                return self._back(move.to, move.to)
            case Way.FORTH:
                return self._forth(here)
            case Way.FORWARD:
                return self._forth(_before(here + LARGE_STEP_S))
            case Way.PREVIOUS_BAD:
                bad = self._previous_bad(here)
                return Moved(bad, "" if bad else f"nothing was wrong before {clock(here)}")
            case Way.NEXT_BAD:
                bad = self._next_bad(here)
                return Moved(bad, "" if bad else f"nothing went wrong after {clock(here)}")
        return Moved(None, past_end=True)

    def _back(self, latest: float, wanted: float) -> Moved:
        """To the last snapshot at `latest` or before; the gap to `wanted` is told."""
        found = self._last(latest)
        if found is None:
            begin = self._source.begin()
            first = self._first(_before(begin))
            return Moved(first, f"nothing is known before {clock(begin)}")
        return Moved(found, _gap(found.taken_at, wanted))

    def _forth(self, after: float) -> Moved:
        found = self._first(after)
        if found is None:
            return Moved(None, past_end=True)
        return Moved(found, _gap(after, found.taken_at))

    # -- looking for it -----------------------------------------------------------

    def _last(self, latest: float) -> ClusterSnapshot | None:
        """The last snapshot of that time or before."""
        for first in self._backwards(latest):
            found = self._source.cover(first, latest).at(latest)
            if found is not None and found.taken_at >= first:
                return found
        return None

    def _first(self, after: float) -> ClusterSnapshot | None:
        """The first snapshot after that time."""
        for last in self._forwards(after):
            recording = self._source.cover(after, last)
            found = next(recording.between(math.nextafter(after, math.inf), last), None)
            if found is not None:
                return found
        return None

    def _previous_bad(self, here: float) -> ClusterSnapshot | None:
        for first in self._backwards(here):
            recording = self._source.cover(first, here)
            found = recording.previous_bad(here, self._is_bad)
            if found is None or found.taken_at < first:
                continue
            before = recording.at(_before(found.taken_at))
            # Else it may have been wrong before that already.
            if (before is not None and before.taken_at >= first) or first <= self._source.begin():
                return found
        return None

    def _next_bad(self, here: float) -> ClusterSnapshot | None:
        for last in self._forwards(here):
            found = self._source.cover(here, last).next_bad(here, self._is_bad)
            if found is not None and found.taken_at <= last:
                return found
        return None

    def _is_bad(self, snapshot: ClusterSnapshot) -> bool:
        if self._is_interrupted():
            raise Interrupted
        return is_bad(snapshot)

    def _backwards(self, time: float) -> Iterator[float]:
        """From when on to look through what was before a time: ever more of it."""
        span_s = NEAR_S
        yield time - span_s
        while time - span_s > self._source.begin():
            span_s *= WIDER
            yield time - span_s

    def _forwards(self, time: float) -> Iterator[float]:
        """The same, for what came after it."""
        span_s = NEAR_S
        yield time + span_s
        while time + span_s < self._source.end():
            span_s *= WIDER
            yield time + span_s

    # -- what is seen -------------------------------------------------------------

    def frame(self, snapshot: ClusterSnapshot, events: Sequence[Event]) -> Frame:
        """What is drawn of a moment.

        Args:
            snapshot: of that moment.
            events: all that are known, oldest first.
        """
        at = snapshot.taken_at
        if not self._around_from <= at - HISTORY_S <= at <= self._around_to:
            self._read_around(at)
        ids = {worker.id for worker in snapshot.workers}
        known = [event for event in events if event.at <= at][-MAX_EVENTS:]
        return Frame(snapshot, self._around.until(at, ids), known)

    def _read_around(self, at: float) -> None:
        first, last = at - HISTORY_S - AROUND_S, at + AROUND_S
        recording = self._source.cover(first, last)
        self._around = History(endless=True)
        for snapshot in recording.between(first, last):
            self._around.add(snapshot)
        self._around_from, self._around_to = first, max(at, min(last, recording.span[1]))


def _before(time: float) -> float:
    return math.nextafter(time, -math.inf)


def _gap(earlier: float, later: float) -> str:
    """What is said of a stretch of time, if it is one without snapshots."""
    if later - earlier <= GAP_S:
        return ""
    return f"nothing is recorded between {clock(earlier)} and {clock(later)}"
