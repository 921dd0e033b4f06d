"""The events of a time: the newest of them, how many of each kind, and marks for the charts."""

from __future__ import annotations

from collections import Counter, deque

from nodes.report.columns import Grid
from nodes.report.model import EventFigures, Mark
from nodes.support.event_kinds import EventKind
from nodes.support.units import counted
from nodes.wire import Event

MAX_EVENTS = 1000
"""Events that are told of, the newest; of more it is told how many."""

MAX_TEXT_CHARS = 400
"""Characters of an event's text."""

MAX_KINDS = 100
"""Kinds of events that are counted: there are fewer, unless a file lies."""

MAX_TOLD = 3
"""Events of a mark that are told of."""

MARKS = {
    EventKind.CRASH_LOOPING: "X",
    EventKind.LOST: "x",
    EventKind.MACHINE_LOST: "M",
    EventKind.STORE_DOWN: "D",
    EventKind.DAMAGED: "D",
    EventKind.PANIC: "P",
    EventKind.POISON_LOOKUP: "!",
    EventKind.STOPPED: "O",
    EventKind.STARTED: "I",
    EventKind.KILLED: "K",
    EventKind.FROZEN: "F",
    EventKind.SUSPECT: "?",
    EventKind.BREAKER_OPENED: "b",
    EventKind.RELOAD: "R",
    EventKind.THAWED: "f",
    EventKind.DRAINING: "d",
    EventKind.RESTARTING: "r",
    EventKind.SPAWNED: "s",
}
"""The letter by which an event is marked, the gravest first; the rest have none."""

MEANINGS = {
    "X": "crash loop",
    "x": "worker lost",
    "M": "machine lost",
    "D": "records not readable",
    "P": "most workers fail",
    "!": "a lookup that ends workers",
    "O": "master stopped",
    "I": "master started",
    "K": "killed",
    "F": "frozen",
    "?": "silent",
    "b": "not asked for a while",
    "R": "reload",
    "f": "thawed",
    "d": "drains",
    "r": "restart",
    "s": "spawned",
}
"""What the letters mean."""

BAD = frozenset("XxMDP!b?K")

_RANK = {kind: rank for rank, kind in enumerate(MARKS)}


class EventTally:
    """Takes events of a time, in their order.

    Args:
        grid: the columns of the charts.

    Attributes:
        starts: when a master began, Unix time in seconds.
    """

    def __init__(self, grid: Grid) -> None:
        self.starts: list[float] = []
        self._grid = grid
        self._newest: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._counts: Counter[str] = Counter()
        self._marked: dict[int, tuple[list[Event], int]] = {}

    def add(self, event: Event) -> None:
        """Takes one."""
        if event.kind == EventKind.STARTED:
            self.starts.append(event.at)
        column = self._grid.column(event.at)
        if column is None:
            return
        self._newest.append(_cut(event))
        self._counts[event.kind] += 1
        if event.kind in _RANK:
            gravest, count = self._marked.get(column, ([], 0))
            ordered = sorted((*gravest, _cut(event)), key=lambda one: _RANK[EventKind(one.kind)])
            self._marked[column] = (ordered[:MAX_TOLD], count + 1)

    def figures(self) -> EventFigures:
        """All of it."""
        return EventFigures(
            shown=tuple(self._newest),
            counts=dict(self._counts.most_common(MAX_KINDS)),
            marks=tuple(_mark(column, *one) for column, one in sorted(self._marked.items())),
        )


def _mark(column: int, gravest: list[Event], count: int) -> Mark:
    letter = MARKS[EventKind(gravest[0].kind)]
    told = [" ".join(filter(None, (one.worker, one.kind, one.text))) for one in gravest]
    if count > len(told):
        told.append(f"and {counted(count - len(told), 'more', 'more')}")
    return Mark(column, letter, letter in BAD, count, "; ".join(told))


def _cut(event: Event) -> Event:
    if len(event.text) <= MAX_TEXT_CHARS:
        return event
    text = f"{event.text[: MAX_TEXT_CHARS - 3]}..."
    return Event(event.number, event.at, event.kind, event.worker, text)
