"""Columns of cells that have no types: their names, and the type of each over all files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, quoted
from nodes.catalog.readers.options import ColumnType

CellConverter = Callable[[str], object]

# Integers as JSON writes them. "007", "+5" or " 5" would lose something as a number: they are text.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_LOOKS_NUMERIC = re.compile(r"\s*[+-]?([0-9][0-9 ]*([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?\s*")
_DECLARED_INTEGER = re.compile(r"[+-]?[0-9]{1,64}")
_DECLARED_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def column_names(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """The fields of the columns, and what to say of those that were named here.

    A column without a name is named by its position; of several with one name, those after the
    first are numbered.
    """
    given = [name.strip() for name in header]
    names: list[str] = []
    notes: list[str] = []
    for number, name in enumerate(given, 1):
        chosen = name or f"column{number}"
        count = 1
        while chosen in names or (chosen != name and chosen in given):
            count += 1
            chosen = f"{name or f'column{number}'}_{count}"
        names.append(chosen)
        if not name:
            notes.append(f"column {number} has no name: it is {quoted(chosen)}")
        elif chosen != name:
            notes.append(f"column {number} is named {quoted(name)} as well: it is {quoted(chosen)}")
    return names, notes


class ColumnTypes:
    """The type of each column, which all the cells of that name in all files fit.

    A column is numeric only if each of its cells is written as we would write that number: text is
    then got back from it unchanged, and no two texts become one number.
    """

    def __init__(self, declared: dict[str, ColumnType]) -> None:
        self._declared = declared
        self._found: dict[str, _Found] = {}

    def add(self, fields: Sequence[str], rows: list[list[str]]) -> None:
        """Take some rows into account, each with a cell for each field."""
        for field, texts in zip(fields, zip(*rows, strict=True), strict=False):
            found = self._found.setdefault(field, _Found())
            if found.kind != "text":
                found.add(set(texts))

    def is_declared(self, field: str) -> bool:
        """Whether the dataset says of which type the field is."""
        return field in self._declared

    def kind(self, field: str) -> ColumnType:
        """The type of a field."""
        found = self._found.get(field)
        return self._declared.get(field) or (found.kind if found else "text")

    def converters(self, fields: Iterable[str]) -> list[CellConverter]:
        """What makes values of the cells of these fields; it raises `ValueError` for others."""
        return [
            _DECLARED[self._declared[field]]
            if field in self._declared
            else _FOUND[self.kind(field)]
            for field in fields
        ]

    def empty_fields(self) -> list[str]:
        """The fields of columns without a value."""
        return [field for field, found in self._found.items() if found.is_empty]

    def notes(self) -> dict[str, str]:
        """Of each field that is text though it looks numeric, what a person may want to know."""
        return {
            field: f"as a number {quoted(found.example)} would not stay as it is"
            for field, found in self._found.items()
            if found.kind == "text" and found.looked_numeric and field not in self._declared
        }


class _Found:
    """What the cells of one column were so far."""

    def __init__(self) -> None:
        self.kind: ColumnType = "integer"
        self.is_empty = True
        self.example = ""
        self.looked_numeric = True
        self._integers = False
        self._whole_numbers = False  # as 2.0, which is the same number as the integer 2

    def add(self, texts: set[str]) -> None:
        """Take the distinct cells of some rows into account."""
        texts.discard("")
        if not texts:
            return
        self.is_empty = False
        if _are_plain_integers(texts):
            self._integers = True
        elif not _are_plain_floats(texts):
            for text in sorted(texts):
                if not self._add_number(text):
                    self._make_text(text)
                    return
        else:
            self._add_floats(texts)
        if self._integers and self._whole_numbers:
            self._make_text(min(text for text in (*texts, "2.0") if text.endswith(".0")))

    def _add_floats(self, texts: set[str]) -> None:
        self.kind = "number"
        self._whole_numbers = self._whole_numbers or any(text.endswith(".0") for text in texts)

    def _add_number(self, text: str) -> bool:
        if _is_plain_integer(text):
            self._integers = True
        elif _is_plain_float(text):
            self._add_floats({text})
        else:
            return False
        return True

    def _make_text(self, text: str) -> None:
        self.kind = "text"
        self.example = text
        self.looked_numeric = _LOOKS_NUMERIC.fullmatch(text) is not None


def _is_plain_integer(text: str) -> bool:
    # One of more than 64 bits would lose digits as a number: it stays text.
    fits = len(text) < 20 or (len(text) == 20 and text[0] == "-")
    return bool(fits and _INTEGER.fullmatch(text)) and INTEGER_MIN <= int(text) <= INTEGER_MAX


def _is_plain_float(text: str) -> bool:
    """Whether this is the shortest text that is that number, as programs write it: never 1E5."""
    return _are_plain_floats({text})


def _are_plain_integers(texts: set[str]) -> bool:
    """A fast test for a column of integers; it may be False for some, never True for others."""
    try:
        integers = set(map(int, texts))
    except ValueError:
        return False
    fit = min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX
    return fit and set(map(str, integers)) == texts


def _are_plain_floats(texts: set[str]) -> bool:
    """A fast test for a column of fractions, as the one above."""
    try:
        values = list(map(float, texts))
    except ValueError:
        return False
    return all(map(math.isfinite, values)) and set(map(repr, values)) == texts


def _parse_number(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _declared_integer(text: str) -> int:
    if not _DECLARED_INTEGER.fullmatch(text.strip()):
        raise ValueError(text)
    value = int(text)
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ValueError(text)
    return value


def _declared_number(text: str) -> object:
    if _DECLARED_INTEGER.fullmatch(text.strip()):
        return _declared_integer(text)
    value = float(text) if _DECLARED_NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_FOUND: dict[str, CellConverter] = {"text": str, "integer": int, "number": _parse_number}
_DECLARED: dict[str, CellConverter] = {
    "text": str,
    "integer": _declared_integer,
    "number": _declared_number,
}
