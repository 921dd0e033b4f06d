"""What is typed into the query box: taken apart, and completed; pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nodes.wire import LookupShape

Values = Callable[[str, str, int], list[str]]
"""`values(field, prefix, limit)`: real values of a field that start with `prefix`."""


SPACE = " \t\r\n"
"""What stands between words."""


class PartialLine(NamedTuple):
    """A line so far: the words before the last, and the last, which may still grow."""

    before: tuple[str, ...]
    last: str
    start: int
    """Where the last word starts in the line."""


def split_words(line: str) -> list[str]:
    """The words of a line written as a shell would take it.

    Raises:
        ValueError: a quote is not closed.
    """
    return shlex.split(line)


def parse_partial(line: str) -> PartialLine:
    """Takes a line apart as `split_words` does; it may end within a word, quoted or not."""
    words: list[str] = []
    word, start, quote, inside, escaped = "", len(line), "", False, False
    for index, char in enumerate(line):
        if not quote and not escaped and char in SPACE:
            if inside:
                words.append(word)
            word, inside, start = "", False, len(line)
            continue
        if not inside:
            inside, start = True, index
        if escaped:
            # In quotes, a backslash is one unless it stands before what it could hide.
            word += char if not quote or char in '\\"' else f"\\{char}"
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        else:
            word += char
    return PartialLine(tuple(words), word, start)


def completions(
    line: str, shapes: Sequence[LookupShape], values: Values, limit: int = 8
) -> list[str]:
    """Whole lines that the line may become: names of lookups, then real values.

    Args:
        line: what is typed.
        shapes: the lookups there are.
        values: asked for real values.
        limit: lines at most.
    """
    before, last, start = parse_partial(line)
    head, raw = line[:start], line[start:]
    if not before:
        return [f"{head}{one.name} " for one in shapes if one.name.startswith(last)][:limit]
    shape = next((one for one in shapes if one.name == before[0]), None)
    if shape is None or len(before) > len(shape.fields):
        return []
    fields = shape.sources(len(before) - 1)
    found = [value for field in fields for value in values(field, last, limit)]
    if not set(fields).isdisjoint(shape.folded):
        found = [_typed(last, value) for value in found]
    return [f"{head}{_extended(raw, value)}" for value in dict.fromkeys(found)][:limit]


def meaning(line: str, shapes: Sequence[LookupShape]) -> str:
    """What the word that is typed is to a lookup that finds more than its equal; "" to another.

    Args:
        line: what is typed.
        shapes: the lookups there are.
    """
    before, _, _ = parse_partial(line)
    shape = next((one for one in shapes if before and one.name == before[0]), None)
    at = len(before) - 1
    if shape is None or at >= len(shape.fields):
        return ""
    field = shape.fields[at]
    if shape.searched:
        return f"any of {', '.join(shape.searched)}"
    said = [shape.kind] if shape.kind == "prefix" and field == shape.fields[-1] else []
    return ", ".join([*said, "any case"] if field in shape.folded else said)


def _typed(last: str, value: str) -> str:
    """A value that is found in any case, in the case in which its beginning is typed."""
    if value[: len(last)].casefold() == last.casefold():
        return last + value[len(last) :]
    return value


def quoted(word: str) -> str:
    """A word as one would type it: in double quotes if it needs any."""
    if word and not set(word) & set(f"{SPACE}\"'\\"):
        return word
    return f'"{word}"' if not set(word) & set('"\\') else shlex.quote(word)


def _extended(raw: str, value: str) -> str:
    """The value written so that it goes on from what is typed of it, if it can be."""
    doubly = value.replace("\\", "\\\\").replace('"', '\\"')
    forms = [quoted(value), f'"{doubly}"', re.sub(r"([ \t\r\n\"'\\])", r"\\\1", value)]
    if "'" not in value:
        forms.append(f"'{value}'")
    return next((form for form in forms if form.startswith(raw)), forms[0])


def correction(words: Sequence[str], shapes: Sequence[LookupShape]) -> str:
    """The line that was meant, if it can be told: a name that is misspelt, or a value of several
    words that was typed without quotes. "" for none.
    """
    if not words:
        return ""
    by_name = {shape.name: shape for shape in shapes}
    name, *values = words
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1, cutoff=0.6)
        return " ".join((near[0], *map(quoted, values))) if near else ""
    shape = by_name[name]
    surplus = len(values) - len(shape.fields)
    if surplus <= 0:
        return ""
    texts = [index for index, type_ in enumerate(shape.types) if type_ == "text"]
    if not texts:
        return ""
    first = texts[0]
    joined = " ".join(values[first : first + surplus + 1])
    meant = (*values[:first], joined, *values[first + surplus + 1 :])
    return " ".join((name, *map(quoted, meant)))
