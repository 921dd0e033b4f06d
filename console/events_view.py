"""Events as they are shown: like ones folded, the newest first; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from console.lines import Tone
from console.text import clean, time_of_day
from console.widgets.rows import Column, Row
from nodes.support.event_kinds import BAD, GOOD
from nodes.wire import Event

EVENT_COLUMNS = (Column("TIME", 8), Column("ID", 6), Column("WHAT", 14), Column("DETAIL", 160))

FOLD_S = 5.0
"""Seconds between two events of one kind, within which they are one line."""

MAX_BETWEEN = 4
"""Lines between two events that are joined, at most."""

MAX_NAMED = 3


class Folded(NamedTuple):
    """Events of one kind in a row, oldest first."""

    events: tuple[Event, ...]

    @property
    def last(self) -> Event:
        """The newest of them."""
        return self.events[-1]

    @property
    def workers(self) -> list[str]:
        """Those it happened to, each once."""
        return list(dict.fromkeys(event.worker for event in self.events if event.worker))


def fold(events: Iterable[Event]) -> list[Folded]:
    """Joins events of one kind that follow each other closely, whatever happened between them;
    the line that was added to last is the last.
    """
    folded: list[Folded] = []
    for event in events:
        earlier: tuple[Event, ...] = ()
        for index in range(len(folded) - 1, max(-1, len(folded) - 1 - MAX_BETWEEN), -1):
            if _joins(folded[index].last, event):
                earlier = folded.pop(index).events
                break
        folded.append(Folded((*earlier, event)))
    return folded


def _joins(earlier: Event, later: Event) -> bool:
    return earlier.kind == later.kind and 0 <= later.at - earlier.at <= FOLD_S


def event_rows(events: Sequence[Event]) -> list[Row]:
    """A row for each line of events, the newest first."""
    return [event_row(folded) for folded in reversed(fold(events))]


def event_row(folded: Folded) -> Row:
    """One line of events. Its key is the number of the newest."""
    last = folded.last
    tone = Tone.BAD if last.kind in BAD else Tone.GOOD if last.kind in GOOD else Tone.PLAIN
    kind = last.kind.replace("_", "-")
    workers = folded.workers
    who = workers[0] if len(workers) == 1 else f"{len(workers)}" if workers else ""
    return Row(
        key=str(last.number),
        cells=(time_of_day(last.at), clean(who, 20), clean(kind, 20), _text(folded)),
        order=(last.number, who, last.kind, last.text),
        tones=(Tone.MUTED, Tone.STRONG, tone, Tone.PLAIN),
        search=" ".join((kind, *workers, *(event.text for event in folded.events))),
    )


def _text(folded: Folded) -> str:
    last, workers = folded.last, folded.workers
    if len(folded.events) == 1:
        return clean(last.text)
    if len(workers) > 1:
        named = ", ".join(workers[:MAX_NAMED])
        more = f" and {len(workers) - MAX_NAMED} more" if len(workers) > MAX_NAMED else ""
        return clean(f"{named}{more}")
    return clean(f"{len(folded.events)}x, last: {last.text}")


def event_text(folded: Folded) -> str:
    """All that is known of a line of events."""
    return "\n".join(
        clean(f"{time_of_day(one.at)}  {one.worker}  {one.kind.replace('_', '-')}  {one.text}")
        for one in folded.events
    )
