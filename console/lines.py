"""Lines of runs, and lines made of fields by priority, which never wrap; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len

from console.text import fit as fit_text

GAP = 2
"""Cells between two fields."""

LEAST_CUT = 8
"""Cells that are left at least of a field that is cut."""


class Tone(StrEnum):
    """How a run is drawn. Colour means state, and nothing else: the rest are shades."""

    PLAIN = ""
    MUTED = "muted"
    FAINT = "faint"
    STRONG = "strong"
    BAR = "bar"
    GRID = "grid"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    GOOD_BLOCK = "good-block"
    WARNING_BLOCK = "warning-block"
    BAD_BLOCK = "bad-block"
    FOCUS = "focus"
    ROW_FOCUS = "row-focus"
    ROW_CURSOR = "row-cursor"
    BUTTON = "button"
    HEADER = "header"


class Run(NamedTuple):
    """A piece of a line in one tone; `action` is carried out by a click on it."""

    text: str
    tone: Tone = Tone.PLAIN
    action: str = ""


Line = tuple[Run, ...]


class Field(NamedTuple):
    """A piece of a line that is shown as a whole, or left out.

    Attributes:
        text: what it says; a field without a text takes no room.
        priority: the highest is left out last.
        tone: how it is drawn.
        action: see `Run`.
        right: whether it stands at the right end of the line, after all that stand at the left.
        shrinks: whether it is cut, rather than left out, when there is not room for all of it.
    """

    text: str
    priority: int = 0
    tone: Tone = Tone.PLAIN
    action: str = ""
    right: bool = False
    shrinks: bool = False


def line_text(line: Iterable[Run]) -> str:
    """What a line says, without its tones."""
    return "".join(run.text for run in line)


def line_width(line: Iterable[Run]) -> int:
    """The cells that a line takes."""
    return sum(cell_len(run.text) for run in line)


def fit(fields: Sequence[Field], width: int, *, gap: int = GAP, margin: int = 1) -> Line:
    """A line of exactly `width` cells, with the fields of the highest priority that it has room
    for, in the order given. The most important is cut, if it does not fit by itself.

    Args:
        fields: what there is to say; of equal priority, the first is more important.
        width: cells of the line.
        gap: cells between two fields.
        margin: cells left free at both ends.
    """
    room = width - 2 * margin
    shown: dict[int, Field] = {}
    used = -gap
    said = (index for index, field in enumerate(fields) if field.text)
    for index in sorted(said, key=lambda i: -fields[i].priority):
        field = fields[index]
        left = room - used - gap
        if cell_len(field.text) > left and (not shown or (field.shrinks and left >= LEAST_CUT)):
            field = field._replace(text=fit_text(field.text, max(0, left)))
        if cell_len(field.text) <= left:
            shown[index] = field
            used += gap + cell_len(field.text)
    ordered = [shown[index] for index in sorted(shown)]
    start = _spaced([field for field in ordered if not field.right], gap)
    end = _spaced([field for field in ordered if field.right], gap)
    free = width - 2 * margin - line_width(start) - line_width(end)
    runs = (Run(" " * margin), *start, Run(" " * free), *end, Run(" " * margin))
    return tuple(run for run in runs if run.text)


def _spaced(fields: Sequence[Field], gap: int) -> list[Run]:
    runs: list[Run] = []
    for field in fields:
        if runs:
            runs.append(Run(" " * gap))
        runs.append(Run(field.text, field.tone, field.action))
    return runs


def plain(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line of one run."""
    return (Run(text, tone),)
