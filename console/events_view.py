"""Events as they are shown: like ones folded, the newest first; pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from rich.cells import cell_len

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

MAX_CLUSTER_CELLS = 20
"""Cells of the column for the cluster, at most."""


class Folded(NamedTuple):
    """Events of one kind in a row, oldest first, in the cluster of that name."""

    events: tuple[Event, ...]
    cluster: str = ""

    @property
    def key(self) -> str:
        """What it is known by: events are numbered in each cluster."""
        return f"{self.last.number} {self.cluster}".rstrip()

    @property
    def last(self) -> Event:
        """The newest of them."""
        return self.events[-1]

    @property
    def workers(self) -> list[str]:
        """Those it happened to, each once."""
        return list(dict.fromkeys(event.worker for event in self.events if event.worker))


def fold_all(events: Mapping[str, Iterable[Event]]) -> list[Folded]:
    """The lines of events of several clusters, by their names, in the order of time. Events of
    two clusters are never joined.
    """
    return list(
        heapq.merge(
            *(fold(some, name) for name, some in events.items()), key=lambda one: one.last.at
        )
    )


def fold(events: Iterable[Event], cluster: str = "") -> list[Folded]:
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
        folded.append(Folded((*earlier, event), cluster))
    return folded


def _joins(earlier: Event, later: Event) -> bool:
    return earlier.kind == later.kind and 0 <= later.at - earlier.at <= FOLD_S


def event_columns(clusters: Collection[str]) -> tuple[Column, ...]:
    """The columns, with one for the cluster where there are several."""
    if not any(clusters):
        return EVENT_COLUMNS
    at, *others = EVENT_COLUMNS
    longest = max(map(cell_len, clusters))
    return at, Column("CLUSTER", max(8, min(longest, MAX_CLUSTER_CELLS))), *others


def event_rows(events: Mapping[str, Iterable[Event]]) -> list[Row]:
    """A row for each line of events of clusters, the newest first."""
    return [event_row(folded) for folded in reversed(fold_all(events))]


def event_row(folded: Folded) -> Row:
    """One line of events; it tells its cluster, if that has a name."""
    last = folded.last
    tone = Tone.BAD if last.kind in BAD else Tone.GOOD if last.kind in GOOD else Tone.PLAIN
    kind = last.kind.replace("_", "-")
    workers = folded.workers
    who = workers[0] if len(workers) == 1 else f"{len(workers)}" if workers else ""
    cluster = [(folded.cluster, folded.cluster, Tone.MUTED)] if folded.cluster else []
    shown = [
        (time_of_day(last.at), last.number, Tone.MUTED),
        *cluster,
        (clean(who, 20), who, Tone.STRONG),
        (clean(kind, 20), last.kind, tone),
        (_text(folded), last.text, Tone.PLAIN),
    ]
    cells, order, tones = zip(*shown, strict=True)
    return Row(
        key=folded.key,
        cells=cells,
        order=order,
        tones=tones,
        search=" ".join((folded.cluster, kind, *workers, *(event.text for event in folded.events))),
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
    of = f"{folded.cluster}  " if folded.cluster else ""
    return "\n".join(
        clean(f"{time_of_day(one.at)}  {of}{one.worker}  {one.kind.replace('_', '-')}  {one.text}")
        for one in folded.events
    )
