"""The rows and columns of a table, and how rows are sorted; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from console.lines import Tone


class Column(NamedTuple):
    """A column: its title, its width in cells, whether it is set right, and what the sort by it
    is called, if not by its title.
    """

    title: str
    width: int
    right: bool = False
    sorted_as: str = ""

    @property
    def name(self) -> str:
        """What the sort by it is called."""
        return self.sorted_as or self.title


class Row(NamedTuple):
    """A row.

    Attributes:
        key: what it is known by.
        cells: what it shows.
        order: what it is sorted by, for each column; None stands last.
        tone: how all of it is drawn.
        tones: how its cells are drawn; none for all as the row.
        search: what a filter looks at; the cells, if it is empty.
        below: whether it stands below all others, however they are sorted.
        spans: whether its first cell goes across all columns.
        data: what its cells are made of, where that is done when it is drawn.
    """

    key: str
    cells: tuple[str, ...]
    order: tuple[str | float | None, ...]
    tone: Tone = Tone.PLAIN
    tones: tuple[Tone, ...] = ()
    search: str = ""
    below: bool = False
    data: object = None
    spans: bool = False

    def matches(self, wanted: str) -> bool:
        """Whether it contains a text, whatever the case."""
        folded = wanted.casefold()
        looked_at = (self.search,) if self.search else self.cells
        return any(folded in text.casefold() for text in looked_at)


def sorted_rows(rows: Sequence[Row], column: int, *, descending: bool) -> list[Row]:
    """Sorted by a column, rows without a value last in either order, and those that stand below
    after them; equal ones stay in the order in which they were given.
    """
    upper = [row for row in rows if not row.below]
    present = [row for row in upper if _order(row, column) is not None]
    absent = [row for row in upper if _order(row, column) is None]

    def key(row: Row) -> tuple[bool, float, str]:
        value = _order(row, column)
        return (True, 0, value) if isinstance(value, str) else (False, value or 0, "")

    present.sort(key=key, reverse=descending)
    return present + absent + [row for row in rows if row.below]


def _order(row: Row, column: int) -> str | float | None:
    return row.order[column] if column < len(row.order) else None
