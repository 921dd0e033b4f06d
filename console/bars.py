"""Charts of one line, or of one cell: trends, bars of shares, places of a heat map; pure."""

from __future__ import annotations

from console.charts import LEAST_TOP, Values
from console.text import Glyphs, fit


def trend(values: Values, top: float, glyphs: Glyphs) -> str:
    """One line of blocks, on a scale that is given: rows beside each other can be compared."""
    steps = len(glyphs.blocks) - 1
    cells = []
    for value in values:
        part = min(1.0, value / top) if value is not None and top >= LEAST_TOP else 0.0
        filled = round(part * steps)
        least = 1 if value is not None else 0
        cells.append(glyphs.blocks[max(least, min(steps, filled))])
    return "".join(cells)


def share_bar(share: float, fair: float, width: int, glyphs: Glyphs) -> str:
    """A bar from nothing to twice the fair share, with a mark at the fair share.

    3 workers and 30 read alike: a bar that ends at the mark is a worker that does its part.
    """
    if width <= 0:
        return ""
    steps = len(glyphs.eighths)
    part = 0.0 if fair <= 0 else min(1.0, max(0.0, share / fair / 2))
    filled = round(part * width * steps)
    whole, rest = divmod(filled, steps)
    cells = [glyphs.bar] * whole + [" "] * (width - whole)
    if rest and whole < width:
        cells[whole] = glyphs.eighths[rest]
    middle = width // 2
    if middle < width and cells[middle] == " ":
        cells[middle] = glyphs.fair
    return "".join(cells)


def share_scale(width: int) -> str:
    """What stands above the bars: where nothing, the fair share and twice of it are."""
    middle = width // 2
    text = f"0{' ' * max(0, middle - 3)}fair"
    return fit(f"{text}{' ' * max(0, width - len(text) - 2)}2x", width)


def heat_cell(value: float | None, top: float, glyphs: Glyphs) -> str:
    """A place of a heat map: a digit from 0 to 9, so that it needs no colour; "." for no value."""
    if value is None:
        return glyphs.nothing
    return str(min(9, int(value / top * 10))) if top > 0 else "0"
