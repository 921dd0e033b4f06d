"""The events: like ones in one line, all of them or only the bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from console.events_view import EVENT_COLUMNS, event_columns, event_rows, event_text, fold_all
from console.plan import Part
from console.text import Glyphs
from console.widgets.table import LiveTable
from nodes.support.event_kinds import BAD
from nodes.wire import Event

NOTHING_YET = "Nothing has happened yet"
NOTHING_THEN = "No event of that time, or before it, is known"


class EventTable(LiveTable):
    """See the module."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "severity", "bad only")]

    def __init__(self, glyphs: Glyphs, *, name: str = Part.EVENTS) -> None:
        super().__init__(EVENT_COLUMNS, name=name, glyphs=glyphs, empty=NOTHING_YET)
        self._events: dict[str, tuple[Event, ...]] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self.bad_only = False

    def show(self, events: Mapping[str, Sequence[Event]]) -> None:
        """Shows these events, by the names of their clusters; does nothing if there are no new
        ones.
        """
        newest = {
            name: (len(some), some[-1].number if some else 0) for name, some in events.items()
        }
        if newest != self._newest:
            self._newest = newest
            self._events = {name: tuple(some) for name, some in events.items()}
            self.set_columns(event_columns(self._events))
            self._draw()

    def say_replaying(self, *, replaying: bool) -> None:
        """Says of another time, if there is no event, that none is known."""
        self.say_empty(NOTHING_THEN if replaying else NOTHING_YET)

    def _draw(self) -> None:
        at_top = not self.keys or self.cursor == self.keys[0]
        self.set_rows(event_rows(self._shown_events()))
        if at_top and self.keys:
            self.select(self.keys[0])

    def _shown_events(self) -> dict[str, list[Event]]:
        return {
            name: [event for event in some if not self.bad_only or event.kind in BAD]
            for name, some in self._events.items()
        }

    def action_severity(self) -> None:
        """Shows the bad ones alone, or all again."""
        self.bad_only = not self.bad_only
        self._draw()

    def text_of(self, key: str) -> str:
        """All that is known of the events of a row; "" if there are none of that key."""
        lines = fold_all(self._shown_events())
        return next((event_text(one) for one in lines if one.key == key), "")
