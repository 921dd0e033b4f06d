"""The questions that a catalog answers: which there are, and whether one is right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nodes.catalog.arguments import INTEGER_MAX, MAX_TEXT_CHARS, Argument, coerce, quoted, usage
from nodes.catalog.model import ANY, Lookup
from nodes.catalog.text_forms import fold_beginning
from nodes.errors import BadRequest

MAX_PAGE_RECORDS = 10_000
MAX_SUGGESTIONS = 100
MAX_PAGE_BYTES = 512 << 10
"""A page ends before its body exceeds this, except that it has at least one record. Whoever passes
a page of that size on is not held up by it for more than 5 ms, however deep its records nest."""

SLICE_RECORDS = 250
"""Records of a page that are read without a break: about a millisecond's work."""


class Questions:
    """What may be asked of a catalog with these lookups."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self._lookups = {lookup.name: lookup for lookup in lookups}
        compared = [lookup for lookup in lookups if lookup.kind != ANY]
        self.types = {
            field: kind
            for lookup in compared
            for field, kind in zip(lookup.fields, lookup.types, strict=True)
        }
        self._folded = {field for lookup in compared for field in lookup.folded}

    def lookup(self, name: str) -> Lookup:
        """The lookup of that name. Raises `BadRequest` if there is none."""
        found = self._lookups.get(name)
        if found is None:
            known = ", ".join(usage(shape) for shape in self._lookups.values())
            raise BadRequest(f"there is no lookup {quoted(name)}; there are {known[:500]}")
        return found

    def coerced(self, name: str, args: Sequence[object]) -> tuple[Argument, ...]:
        """A lookup's arguments, converted to its fields' types. Raises `BadRequest`."""
        return coerce(self.lookup(name), args)

    def check_suggestion(self, field: str, prefix: str, limit: int) -> tuple[str, str]:
        """Checks a question for suggestions; returns the type of the field, and the prefix as it is
        compared.

        Raises:
            BadRequest: no lookup is on that field, or an argument is wrong.
        """
        if field not in self.types:
            raise BadRequest(
                f"there are no suggestions for {quoted(field)};"
                f" there are for {', '.join(self.types)[:500]}"
            )
        if type(prefix) is not str or len(prefix) > MAX_TEXT_CHARS:
            raise BadRequest(f"the prefix must be a text of at most {MAX_TEXT_CHARS} characters")
        if type(limit) is not int or not 1 <= limit <= MAX_SUGGESTIONS:
            raise BadRequest(f"limit must be an integer from 1 to {MAX_SUGGESTIONS}")
        try:
            prefix.encode()
        except UnicodeEncodeError:
            raise BadRequest(f"not valid Unicode: {quoted(prefix)}") from None
        return self.types[field], fold_beginning(prefix) if field in self._folded else prefix


def check_limit(limit: int) -> None:
    """Raises `BadRequest` for a limit that no page can have."""
    if type(limit) is not int or not 1 <= limit <= MAX_PAGE_RECORDS:
        raise BadRequest(f"limit must be an integer from 1 to {MAX_PAGE_RECORDS}")


def prefix_ranges(kind: str, prefix: str) -> Iterator[tuple[Argument, Argument | None]]:
    """The ranges [low, high) in which the values of a field of that type start with `prefix`; a
    range without an upper end has None for it.
    """
    if kind == "text":
        yield prefix, next_prefix(prefix)
    elif kind == "integer" and not prefix:
        yield -(2**63), None
    elif kind == "integer" and re.fullmatch(r"0|[1-9][0-9]{0,18}", prefix):
        low, high = int(prefix), int(prefix) + 1
        while low <= INTEGER_MAX:
            yield low, high if high <= INTEGER_MAX else None
            if not low:
                return
            low, high = low * 10, high * 10


def next_prefix(prefix: str) -> str | None:
    """The smallest text above every text that starts with `prefix`; None if there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Skips the surrogates, which are no characters.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
