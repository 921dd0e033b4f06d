"""The lines of a table, drawn: its header, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from console.lines import Tone
from console.text import clean, fit
from console.widgets.drawn import tone_style
from console.widgets.rows import Column, Row

NO_STYLE = Style()


def header_strip(
    columns: Sequence[Column], signs: Mapping[str, str], lead: str, style: Style
) -> Strip:
    """The titles; behind that of a column that has a sign, the sign."""
    cells = []
    for column in columns:
        sign = signs.get(column.name, "") if column.name else ""
        title = column.title[: max(0, column.width - len(sign))]
        cells.append(fit(f"{title}{sign}", column.width, right=column.right))
    return Strip([Segment(lead + " ".join(cells), style)])


def cells_strip(
    table: Widget,
    row: Row,
    columns: Sequence[Column],
    lead: str,
    style: Style,
    over: Style = NO_STYLE,
) -> Strip:
    """A row.

    Args:
        table: whose tones it is drawn in.
        row: with its cells.
        columns: of the table.
        lead: what stands before the first cell.
        style: of what has no tone.
        over: laid over all of it, to the right end of the table.
    """
    segments = [Segment(lead, style + over)]
    if row.spans:
        segments.append(Segment(row.cells[0], style + over))
    for index, (cell, column) in enumerate(zip(row.cells, columns, strict=False)):
        if row.spans:
            break
        tone = row.tones[index] if index < len(row.tones) else Tone.PLAIN
        text = fit(clean(cell, column.width + 1), column.width, right=column.right)
        shown = tone_style(table, tone, style) + over
        segments += (Segment(text, shown), Segment(" ", style + over))
    if over is not NO_STYLE:
        used = sum(segment.cell_length for segment in segments)
        segments.append(Segment(" " * max(0, table.virtual_size.width - used), style + over))
    return Strip(segments)
