"""Keys: what a record's values are to the lookups that compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN
from nodes.catalog.readers.records import Records, UniformRecords
from nodes.catalog.text_forms import fold

IndexKey = str | int | float | None


class KeyColumn(NamedTuple):
    """The keys of a field in a batch of records.

    Attributes:
        keys: One for each record; None where it has none, or a list of values.
        elements: The keys of such lists, each once: the place of its record in the batch, and it.
    """

    keys: list[IndexKey]
    elements: list[tuple[int, IndexKey]]

    def all_keys(self) -> list[list[IndexKey]]:
        """All keys of each record."""
        found: list[list[IndexKey]] = [[] if key is None else [key] for key in self.keys]
        for at, key in self.elements:
            found[at].append(key)
        return found


def index_key(value: object) -> IndexKey:
    """The value that a lookup compares; None for null, a list or an object, never found by one."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # SQLite would store a larger one as a float and lose digits.
        return value if INTEGER_MIN <= value <= INTEGER_MAX else key_text(value)
    return value if isinstance(value, float) else None


def element_keys(values: Iterable[object]) -> list[IndexKey]:
    """The keys of a list's elements, each once; a list or an object within it has none."""
    keys = {(type(key), key): key for key in map(index_key, values)}  # 7 is not 7.0 as text
    return [key for key in keys.values() if key is not None]


def fold_key(key: IndexKey) -> IndexKey:
    """A key as `[fold]` has it compared."""
    return fold(key) if isinstance(key, str) else key


def differing(key: IndexKey, compared: IndexKey) -> IndexKey:
    """The key as it is, to be shown for the one that is compared; None if that is the same."""
    return None if compared is key or compared == key else key


def key_text(key: IndexKey) -> str:
    """A key as text, for a field with text in some records and numbers in others."""
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def field_values(records: Records, field: str) -> list[object]:
    """The value of a field in each record; None or UNSET where it has none.

    Args:
        records: The records.
        field: A name, or names with dots between them, of which each leads into the object before;
            a list on the way stands for each of its elements. A field that bears all of it as its
            name comes first.
    """
    if "." not in field:
        return column_values(records, field)
    head, _, rest = field.partition(".")
    own, outer = column_values(records, field), column_values(records, head)
    return [
        within(above, rest) if value is msgspec.UNSET else value
        for value, above in zip(own, outer, strict=True)
    ]


def column_values(records: Records, field: str) -> list[object]:
    """The value of the field of just that name in each record; UNSET where it has none."""
    if isinstance(records, UniformRecords):
        if field not in records.field_names():
            return [msgspec.UNSET] * len(records)
        return records.values(field)
    return [record.get(field, msgspec.UNSET) for record in records]


def within(value: object, path: str) -> object:
    """What is reached from a value by a path, UNSET if nothing is; see `field_values`."""
    if isinstance(value, list):
        reached: list[object] = []
        for element in value:
            if isinstance(element, Mapping):
                found = within(element, path)
                reached += found if isinstance(found, list) else [found]
        return reached
    if not isinstance(value, Mapping):
        return msgspec.UNSET
    if path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    return within(value.get(head), rest) if dot else msgspec.UNSET
