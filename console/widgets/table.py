"""A table for live data: sorted and filtered here, drawn line by line, its cursor a row's key.

Textual's own DataTable keeps its cursor by position: after a sort or a removal it stands on
another row, without a word. Here the cursor *is* the key of a row, so what is selected stays
selected whatever sorts, comes or leaves, and only the lines on screen are ever drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.text import clean, fit


class Column(NamedTuple):
    """A column: its title, its width in cells, and whether it is set right."""

    title: str
    width: int
    right: bool = False


class Row(NamedTuple):
    """A row: its key, what it shows, what it is sorted by (None last), and how it is coloured.

    `variant` is the name of a component class without its "table--"; "" is the plain one.
    """

    key: str
    cells: tuple[str, ...]
    order: tuple[str | float | None, ...]
    variant: str = ""


class LiveTable(ScrollView, can_focus=True):
    """See the module. Posts `Selected` when the cursor moves and `Opened` for Enter."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--good",
        "table--warning",
        "table--bad",
        "table--faint",
    }

    DEFAULT_CSS = """
    LiveTable {
        scrollbar-size-horizontal: 0;
        scrollbar-size-vertical: 1;
        & > .table--header { text-style: bold; color: $text-muted; }
        & > .table--cursor { background: $surface-lighten-2; }
        &:focus > .table--cursor { background: $primary; color: $text; text-style: bold; }
        & > .table--good { color: $text-success; }
        & > .table--warning { color: $text-warning; }
        & > .table--bad { color: $text-error; }
        & > .table--faint { color: $text-disabled; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(-1)", "First", show=False),
        Binding("end", "edge(1)", "Last", show=False),
        Binding("left", "sideways(-8)", "Left", show=False),
        Binding("right", "sideways(8)", "Right", show=False),
        Binding("enter", "open", "Details", show=False),
    ]

    class Selected(Message):
        """The cursor is on another row; `key` is "" when it is on none."""

        def __init__(self, table: LiveTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LiveTable:
            """The table."""
            return self.table

    class Opened(Selected):
        """Enter was pressed on a row, or it was clicked again."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        sort: int | None = None,
        descending: bool = False,
        name: str,
    ) -> None:
        super().__init__(id=name)
        self._columns = tuple(columns)
        self._all: tuple[Row, ...] = ()
        self._footer: Row | None = None
        self._shown: list[Row] = []
        self._index: dict[str, int] = {}
        self.sort_column = sort
        self.descending = descending
        self.filter_text = ""
        self.cursor = ""
        self.draws = 0
        """Ticks that drew something, for the test that idle ticks draw nothing."""

    # -- content ------------------------------------------------------------------

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Other columns; the rows must follow."""
        self._columns = tuple(columns)
        self.sort_column = None
        self._all, self._footer = (), None
        self._arrange()

    def set_rows(self, rows: Sequence[Row], footer: Row | None = None) -> None:
        """What there is now. Draws only if it differs from what there was."""
        fresh = tuple(rows)
        if fresh == self._all and footer == self._footer:
            return
        self._all, self._footer = fresh, footer
        self._arrange()

    @property
    def rows(self) -> list[Row]:
        """The rows as they stand on the screen, from the top."""
        return list(self._shown)

    @property
    def total(self) -> int:
        """How many rows there are, those filtered out included."""
        return len(self._all)

    def set_filter(self, text: str) -> None:
        """Show only the rows with a cell that contains `text`, whatever its case."""
        self.filter_text = text
        self._arrange()

    def sort_by(self, column: int | None, *, descending: bool | None = None) -> None:
        """Sort by a column; by the same one again turns the order round."""
        if descending is None:
            descending = not self.descending if column == self.sort_column else False
        self.sort_column, self.descending = column, descending
        self._arrange()

    def sort_next(self) -> None:
        """Sort by the column after the present one."""
        now = -1 if self.sort_column is None else self.sort_column
        self.sort_by((now + 1) % max(1, len(self._columns)), descending=False)

    def sort_previous(self) -> None:
        """Sort by the column before the present one."""
        now = 0 if self.sort_column is None else self.sort_column
        self.sort_by((now - 1) % max(1, len(self._columns)), descending=False)

    def _arrange(self) -> None:
        rows = list(self._all)
        if self.filter_text:
            wanted = self.filter_text.casefold()
            rows = [row for row in rows if any(wanted in c.casefold() for c in row.cells)]
        if self.sort_column is not None:
            rows = _sorted(rows, self.sort_column, descending=self.descending)
        self._shown = rows
        self._index = {row.key: index for index, row in enumerate(rows)}
        if self.cursor and not any(row.key == self.cursor for row in self._all):
            self._put_cursor("")
        lines = len(rows) + 1 + (self._footer is not None)
        width = sum(column.width + 1 for column in self._columns)
        if self.virtual_size != (width, lines):
            self.virtual_size = Size(width, lines)
        self.draws += 1
        self.refresh()

    # -- cursor -------------------------------------------------------------------

    def select(self, key: str) -> bool:
        """Puts the cursor on a row, and the row on the screen. False if there is none."""
        if key not in self._index:
            return False
        self._put_cursor(key)
        self._show_line(self._index[key])
        return True

    def _put_cursor(self, key: str) -> None:
        if key != self.cursor:
            self.cursor = key
            self.refresh()
            self.post_message(self.Selected(self, key))

    def _show_line(self, index: int) -> None:
        # The header lies over the top line, so a row needs the line above its own as well.
        self.scroll_to_region(Region(int(self.scroll_x), index, 1, 2), animate=False, force=True)

    def action_move(self, step: int) -> None:
        """Moves the cursor by rows."""
        if not self._shown:
            return
        now = self._index.get(self.cursor)
        if now is None:
            now = -1 if step > 0 else len(self._shown)
        self.select(self._shown[max(0, min(len(self._shown) - 1, now + step))].key)

    def action_page(self, step: int) -> None:
        """Moves the cursor by screens."""
        self.action_move(step * max(1, self.size.height - 2))

    def action_edge(self, step: int) -> None:
        """Moves the cursor to the first row or the last."""
        self.action_move(step * len(self._shown))

    def action_sideways(self, step: int) -> None:
        """Scrolls to the columns beside."""
        self.scroll_relative(x=step, animate=False)

    def action_open(self) -> None:
        """Opens the row under the cursor."""
        if self.cursor:
            self.post_message(self.Opened(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        """A header sorts, a row is selected, a selected row is opened."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._sort_at(offset.x + int(self.scroll_x))
            return
        index = offset.y - 1 + int(self.scroll_y)
        if 0 <= index < len(self._shown):
            key = self._shown[index].key
            if key == self.cursor and event.chain > 1:
                self.action_open()
            self.select(key)

    def _sort_at(self, x: int) -> None:
        left = 0
        for index, column in enumerate(self._columns):
            left += column.width + 1
            if x < left:
                self.sort_by(index)
                return

    # -- drawing ------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the screen; the first is always the header."""
        left, top = self.scroll_offset
        base = self.rich_style
        if y == 0:
            strip = self._header(self.get_component_rich_style("table--header"))
        else:
            strip = self._body_line(y - 1 + top, base)
        return strip.crop_extend(left, left + self.size.width, base)

    def _header(self, style: Style) -> Strip:
        cells = []
        for index, (title, width, right) in enumerate(self._columns):
            mark = "" if index != self.sort_column else "v" if self.descending else "^"
            cells.append(fit(f"{title}{mark}", width, right=right))
        return Strip([Segment(" ".join(cells), style)])

    def _body_line(self, index: int, base: Style) -> Strip:
        if index < len(self._shown):
            row = self._shown[index]
            style = base
            if row.variant:
                style += self.get_component_rich_style(f"table--{row.variant}")
            if row.key == self.cursor:
                style += self.get_component_rich_style("table--cursor")
            return self._line(row, style)
        if index == len(self._shown) and self._footer is not None:
            return self._line(self._footer, self.get_component_rich_style("table--header"))
        return Strip.blank(self.size.width, base)

    def _line(self, row: Row, style: Style) -> Strip:
        cells = (
            fit(clean(cell, column.width + 1), column.width, right=column.right)
            for cell, column in zip(row.cells, self._columns, strict=False)
        )
        return Strip([Segment(" ".join(cells), style)])


def _sorted(rows: list[Row], column: int, *, descending: bool) -> list[Row]:
    """Sorted by a column, rows without a value last in either order; equal ones stay in the
    order in which they were given.
    """
    present = [row for row in rows if _order(row, column) is not None]
    absent = [row for row in rows if _order(row, column) is None]

    def key(row: Row) -> tuple[bool, float, str]:
        value = _order(row, column)
        return (True, 0, value) if isinstance(value, str) else (False, value or 0, "")

    present.sort(key=key, reverse=descending)
    return present + absent


def _order(row: Row, column: int) -> str | float | None:
    return row.order[column] if column < len(row.order) else None
