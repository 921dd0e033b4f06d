"""The tables of lookups: the slow and failed ones, and those by name."""

from __future__ import annotations

from console.keys import Keys
from console.lookups_view import (
    LOOKUP_COLUMNS,
    SLOW_COLUMNS,
    lookup_columns,
    lookup_rows,
    slow_rows,
)
from console.plan import Part, Plan
from console.seen import Seen
from console.text import Glyphs
from console.widgets.table import LiveTable


class LookupTables:
    """Both of them: drawn while they are on the screen.

    Args:
        glyphs: what the terminal can show.
        keys: what the operator's settings file has of keys.

    Attributes:
        slow, by_name: the tables.
    """

    def __init__(self, glyphs: Glyphs, keys: Keys) -> None:
        self._glyphs = glyphs
        self._nothing_yet = f"Nothing asked yet: {keys.lookups_come}"
        self.slow = LiveTable(
            SLOW_COLUMNS,
            sort="",
            name=Part.SLOW,
            glyphs=glyphs,
            empty="No lookup was slow, and none failed, of late",
        )
        self.by_name = LiveTable(LOOKUP_COLUMNS, sort="LOOKUP", name=Part.LOOKUPS, glyphs=glyphs)

    def fill(self, seen: Seen, plan: Plan) -> None:
        """Draws what the plan has a place for."""
        if Part.SLOW in plan:
            self.slow.set_rows(slow_rows(seen.snapshot.slow))
        if Part.LOOKUPS in plan:
            columns = lookup_columns(plan[Part.LOOKUPS].width)
            self.by_name.set_columns(columns)
            now = seen.replay_at is None
            self.by_name.say_empty(self._nothing_yet if now else "Nothing was asked")
            self.by_name.set_rows(lookup_rows(seen, columns, self._glyphs))
