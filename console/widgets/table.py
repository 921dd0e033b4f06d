"""A table for live data: sorted and filtered here, drawn line by line, its cursor a row's key.

Textual's own DataTable keeps its cursor by position: after a sort or a removal it stands on
another row, without a word. Here the cursor *is* the key of a row, so what is selected stays
selected whatever sorts, comes or leaves, and only the lines on screen are ever drawn. There is a
cursor whenever there is a row, and it is on a row that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.lines import Tone
from console.text import UNICODE, Glyphs
from console.widgets.drawn import TONE_CLASSES, tone_style
from console.widgets.rows import Column, Row, sorted_rows
from console.widgets.table_lines import NO_STYLE, cells_strip, header_strip


class LiveTable(ScrollView, can_focus=True):
    """See the module. Posts `Selected` when the cursor moves and `Opened` for Enter.

    Args:
        columns: may be others later.
        sort: the name of the column to sort by; "" for the order in which rows are given.
        name: its id.
        glyphs: what the terminal can show.
        empty: what is said when there is no row: what would fill it, and by which key.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "move", key_display="jk"),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("g,home", "edge(-1)", "First", show=False),
        Binding("G,end", "edge(1)", "Last", show=False),
        Binding("left", "sideways(-8)", "Left", show=False),
        Binding("right", "sideways(8)", "Right", show=False),
        Binding("enter", "open", "open", key_display="ENTER"),
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

    class Arranged(Message):
        """It is sorted or filtered otherwise, or has more rows, or fewer."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        sort: str = "",
        name: str,
        glyphs: Glyphs = UNICODE,
        empty: str = "",
    ) -> None:
        super().__init__(id=name)
        self.glyphs = glyphs
        self.empty = empty
        self._columns = tuple(columns)
        self._all: tuple[Row, ...] = ()
        self._footer: Row | None = None
        self._shown: list[Row] = []
        self._index: dict[str, int] = {}
        self.sort_column = sort
        self.descending = False
        self.filter_text = ""
        self.cursor = ""
        self.draws = 0
        """Updates that drew something, for the test that idle ticks draw nothing."""

    # -- content ------------------------------------------------------------------

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Other columns; rows that fit them must follow."""
        fresh = tuple(columns)
        if fresh != self._columns:
            self._columns = fresh
            self._all, self._footer = (), None
            self._shown, self._index = [], {}
            self.refresh()

    def set_rows(self, rows: Sequence[Row], footer: Row | None = None) -> None:
        """What there is now. Draws only if it differs from what there was."""
        fresh = tuple(rows)
        if fresh == self._all and footer == self._footer:
            return
        self._all, self._footer = fresh, footer
        self._arrange()

    def say_empty(self, text: str) -> None:
        """Something else is said when there is no row."""
        if text != self.empty:
            self.empty = text
            self.refresh()

    @property
    def rows(self) -> list[Row]:
        """The rows as they stand on the screen, from the top."""
        return [self.whole(row) for row in self._shown]

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that are shown, from the top."""
        return [row.key for row in self._shown]

    def whole(self, row: Row) -> Row:
        """A row with its cells; for those that are made only when they are drawn."""
        return row

    @property
    def footer(self) -> Row | None:
        """The last line."""
        return self._footer

    @property
    def total(self) -> int:
        """How many rows there are, those filtered out included."""
        return len(self._all)

    def set_filter(self, text: str) -> None:
        """Show only the rows that contain `text`, whatever its case."""
        if text != self.filter_text:
            self.filter_text = text
            self._arrange()
            self.post_message(self.Arranged(self))

    def sort_by(self, column: str, *, descending: bool | None = None) -> None:
        """Sort by a column; by the same one again turns the order round."""
        if descending is None:
            descending = not self.descending if column == self.sort_column else False
        self.sort_column, self.descending = column, descending
        self._arrange()
        self.post_message(self.Arranged(self))

    def sort_step(self, step: int) -> None:
        """Sort by the column after the present one, or before it."""
        names = [column.name for column in self._columns]
        if names:
            now = names.index(self.sort_column) if self.sort_column in names else -1
            self.sort_by(names[(now + step) % len(names)], descending=False)

    def _arrange(self) -> None:
        rows = list(self._all)
        if self.filter_text:
            rows = [row for row in rows if row.matches(self.filter_text)]
        names = [column.name for column in self._columns]
        if self.sort_column and self.sort_column in names:
            rows = sorted_rows(rows, names.index(self.sort_column), descending=self.descending)
        was = self._index.get(self.cursor, 0)
        self._shown = rows
        self._index = {row.key: index for index, row in enumerate(rows)}
        if self.cursor not in self._index:
            self._put_cursor(rows[min(was, len(rows) - 1)].key if rows else "")
        lines = len(rows) + 1 + (self._footer is not None)
        if lines != self.virtual_size.height:
            self.post_message(self.Arranged(self))
        width = self.lead_cells + sum(column.width + 1 for column in self._columns)
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
        # The header lies over the top line and the total over the last: both need a line more.
        lines = 2 + (self._footer is not None)
        region = Region(int(self.scroll_x), index, 1, lines)
        self.scroll_to_region(region, animate=False, force=True)

    def action_move(self, step: int) -> None:
        """Moves the cursor by rows."""
        if self._shown:
            now = self._index.get(self.cursor, 0)
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
        """A header sorts, a row is selected, a selected row is opened by a double click."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._sort_at(offset.x + int(self.scroll_x) - self.lead_cells)
            return
        index = self.index_at(offset.y)
        if index is not None:
            key = self._shown[index].key
            if key == self.cursor and event.chain > 1:
                self.action_open()
            self.select(key)

    def index_at(self, y: int) -> int | None:
        """The row at a line of the widget; None for none."""
        if y == 0 or (self._footer_pinned and y == self.size.height - 1):
            return None
        index = y - 1 + int(self.scroll_y)
        return index if index < len(self._shown) else None

    def _sort_at(self, x: int) -> None:
        left = 0
        for column in self._columns:
            left += column.width + 1
            if x < left:
                self.sort_by(column.name)
                return

    def on_resize(self, _event: events.Resize) -> None:
        """What a key acts on stays on the screen."""
        self.call_after_refresh(lambda: self.select(self.cursor))

    def on_focus(self) -> None:
        """The cursor is drawn otherwise."""
        self.refresh()

    def on_blur(self) -> None:
        """And back again."""
        self.refresh()

    # -- drawing ------------------------------------------------------------------

    @property
    def lead_cells(self) -> int:
        """Cells before the first column: for the cursor."""
        return 2

    def lead_text(self, row: Row) -> str:
        """What stands before a row."""
        return f"{self.glyphs.cursor if row.key == self.cursor else ' '} "

    @property
    def _footer_pinned(self) -> bool:
        return self._footer is not None and len(self._shown) + 2 > self.size.height

    def render_line(self, y: int) -> Strip:
        """One line of the screen; the first is always the header."""
        left, top = self.scroll_offset
        base = ground = self.rich_style
        if y == 0:
            sign = self.glyphs.descending if self.descending else self.glyphs.ascending
            ground = tone_style(self, Tone.HEADER, base) if self._columns else base
            strip = header_strip(
                self._columns, {self.sort_column: sign}, " " * self.lead_cells, ground
            )
        elif self._footer_pinned and y == self.size.height - 1:
            strip = self._total(base)
        else:
            strip = self._body_line(y - 1 + top, base)
        return strip.crop_extend(left, left + self.size.width, ground)

    def _body_line(self, index: int, base: Style) -> Strip:
        if index < len(self._shown):
            return self._line(self.whole(self._shown[index]), base)
        if index == len(self._shown) and self._footer is not None:
            return self._total(base)
        if not self._shown and index == 0 and self.empty:
            return Strip([Segment(f"  {self.empty}", tone_style(self, Tone.MUTED, base))])
        return Strip.blank(self.size.width, base)

    def _total(self, base: Style) -> Strip:
        assert self._footer is not None  # noqa: S101 - for the type checker
        style = tone_style(self, Tone.HEADER, base)
        over = Style(bgcolor=style.bgcolor)
        return cells_strip(self, self._footer, self._columns, " " * self.lead_cells, style, over)

    def _line(self, row: Row, base: Style) -> Strip:
        style = tone_style(self, row.tone, base)
        over = NO_STYLE
        if row.key == self.cursor:
            name = Tone.ROW_FOCUS if self.screen.focused is self else Tone.ROW_CURSOR
            cursor = self.get_component_rich_style(f"tone--{name}")
            over = Style(bgcolor=cursor.bgcolor, bold=cursor.bold, reverse=cursor.reverse)
        return cells_strip(self, row, self._columns, self.lead_text(row), style, over)
