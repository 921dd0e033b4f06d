"""The dialect of a delimited file, found out from its first lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

SAMPLE_ROWS = 100
DELIMITERS = {",": ",", ";": ";", "\t": "a tab", "|": "|"}
"""Those that are found out, and how they are called."""

_NAMED = re.compile(r'\s*"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The line with which a spreadsheet says what its delimiter is."""


class Dialect(NamedTuple):
    """How cells are told apart.

    Attributes:
        delimiter: The character between two cells.
        skip_blanks: Whether blanks after a delimiter belong to it.
        named_bytes: The size of a first line that says nothing but what the delimiter is.
    """

    delimiter: str
    skip_blanks: bool = False
    named_bytes: int = 0

    def note(self, usual: str) -> str:
        """What to say of it, where it is not the usual one."""
        if self.delimiter != usual:
            return f"its cells are separated by {DELIMITERS.get(self.delimiter, self.delimiter)}"
        return f"the blank after each {self.delimiter} is left out" if self.skip_blanks else ""


def find_dialect(sample: str, *, usual: str, declared: str) -> Dialect:
    """The dialect of a file that starts with this.

    Args:
        sample: Some whole lines.
        usual: The delimiter that files of that name usually have.
        declared: The one that the dataset says; "" if none.
    """
    if named := _NAMED.match(sample):
        size = len(named.group().encode())
        return Dialect(declared or named.group(1), named_bytes=size)
    candidates = [declared] if declared else [usual, *(one for one in DELIMITERS if one != usual)]
    found = {one: _rows(sample, one) for one in candidates}
    best = max(candidates, key=lambda one: _fitness(found[one]))
    return Dialect(
        best if _fitness(found[best])[1] else declared or usual, _has_blanks(found[best])
    )


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline="\n"), delimiter=delimiter)
    try:
        return [row for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return []


def _fitness(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """How well rows fit their header: the share of those with as many cells, and how many."""
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    width = len(rows[0])
    fitting = sum(len(row) == width for row in rows)
    return (fitting / len(rows) if fitting > 1 or len(rows) == 1 else 0.1), width


def _has_blanks(rows: Sequence[Sequence[str]]) -> bool:
    """Whether every name but the first starts with one blank, and the cells below do as well."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    others = [cell for row in rows[:2] for cell in row[1:]]
    return all(cell.startswith(" ") for cell in others)
