"""What is typed into the query box: taken apart, and completed; pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nodes.wire import LookupShape

Values = Callable[[str, str, int], list[str]]
"""`values(field, prefix, limit)`: real values of a field that start with `prefix`."""


class Typed(NamedTuple):
    """A line so far: the words before the last, and the last, which may still grow."""

    before: tuple[str, ...]
    last: str
    start: int
    """Where the last word starts in the line."""


def words_of(line: str) -> list[str]:
    """The words of a line written as a shell would take it.

    Raises:
        ValueError: a quote is not closed.
    """
    return shlex.split(line)


def typed(line: str) -> Typed:
    """Takes a line apart that may end in the middle of a word, quoted or not."""
    words: list[str] = []
    word, start, quote, inside = "", len(line), "", False
    for index, char in enumerate(line):
        if quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "\"'":
            quote = char
            if not inside:
                inside, start = True, index
        elif char.isspace():
            if inside:
                words.append(word)
            word, inside, start = "", False, len(line)
        else:
            if not inside:
                inside, start = True, index
            word += char
    return Typed(tuple(words), word, start)


def completions(
    line: str, shapes: Sequence[LookupShape], values: Values, limit: int = 8
) -> list[str]:
    """Whole lines that the line may become: names of lookups, then real values.

    Arguments:
        line: what is typed.
        shapes: the lookups there are.
        values: asked for real values.
        limit: lines at most.
    """
    before, last, start = typed(line)
    head = line[:start]
    if not before:
        return [f"{head}{one.name} " for one in shapes if one.name.startswith(last)][:limit]
    shape = next((one for one in shapes if one.name == before[0]), None)
    if shape is None or len(before) > len(shape.fields):
        return []
    found = values(shape.fields[len(before) - 1], last, limit)
    return [f"{head}{quoted(value)}" for value in found]


def quoted(word: str) -> str:
    """A word as one would type it: in double quotes if it needs any."""
    if shlex.quote(word) == word:
        return word
    return f'"{word}"' if not set(word) & set('"\\') else shlex.quote(word)
