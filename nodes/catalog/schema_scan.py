"""The schema scan: finds the fields, their types and the bad records during the one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import cast

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, quoted
from nodes.catalog.dataset import Dataset, missing_fields_error
from nodes.catalog.keys import IndexKey, KeyColumn, element_keys, field_values, index_key
from nodes.catalog.model import PREFIX, BadRecord, FieldReport, Lookup
from nodes.catalog.records import Records, UniformRecords
from nodes.errors import DataError

MAX_BAD_RECORDS_KEPT = 1000  # in the report of a check
MAX_BAD_RECORDS_SHOWN = 20  # in the message of a failed build

_HELD = {
    dict: " (there are objects: a lookup is on a field within, named as address.city)",
    list: " (there are lists without one)",
    type(None): " (it is null)",
}
"""What a field holds that no lookup can be on, and what is said of it."""

_NO_VALUE_TYPES = frozenset((type(None), msgspec.UnsetType))


def _fit_64_bits(integers: Sequence[int]) -> bool:
    """Whether SQLite can store them all as integers."""
    return min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX


def _field_names(records: Records) -> set[str]:
    if isinstance(records, UniformRecords):
        return records.field_names()
    return set[str]().union(*records)


def _count_values(values: list[object]) -> int:
    """The number of values that are there and not null."""
    if _NO_VALUE_TYPES.isdisjoint(map(type, values)):
        return len(values)
    return sum(type(value) not in _NO_VALUE_TYPES for value in values)


class SchemaScan:
    """The scan of a build: all field names, and the types of the fields that lookups are on."""

    def __init__(self) -> None:
        self.records = 0
        self._fields: dict[str, bool] = {}
        self.key_types: dict[str, set[type]] = {}
        self.list_fields: set[str] = set()
        self.held: dict[str, set[type]] = {}
        self.bad: list[BadRecord] = []
        self.bad_count = 0

    def add_bad_record(self, where: str, why: str) -> None:
        """Count a record that cannot be used; the first ones are kept for the report."""
        self.bad_count += 1
        if len(self.bad) < MAX_BAD_RECORDS_KEPT:
            self.bad.append(BadRecord(where, why))

    def add_records(self, records: Records) -> None:
        """Count records and note their fields."""
        self.records += len(records)
        if not _field_names(records) <= self._fields.keys():
            for record in records:
                for field, value in record.items():
                    # Whether a lookup could be on it. The first record is enough to tell.
                    self._fields.setdefault(field, index_key(value) is not None)

    def key_columns(self, records: Records, fields: Iterable[str]) -> list[KeyColumn]:
        """The keys of records, a column for each of `fields`; adds the records as well."""
        self.add_records(records)
        return [self._column(field, field_values(records, field)) for field in fields]

    def _column(self, field: str, values: list[object]) -> KeyColumn:
        key_types = set(map(type, values))
        # In most columns the values are the keys. Their types tell, without a look at each value.
        if key_types in ({str}, {float}) or (
            key_types == {int} and _fit_64_bits(cast("list[int]", values))
        ):
            column = KeyColumn(cast("list[IndexKey]", values), [])
        else:
            column = KeyColumn([index_key(value) for value in values], [])
            self.held.setdefault(field, set()).update(key_types)
            if list in key_types:
                for at, value in enumerate(values):
                    if isinstance(value, list):
                        column.elements.extend((at, key) for key in element_keys(value))
            key_types = {type(key) for _, key in column.elements}
            if key_types:
                self.list_fields.add(field)
            key_types |= set(map(type, column.keys)) - {type(None)}
        self.key_types.setdefault(field, set()).update(key_types)
        return column

    def fields(self) -> tuple[str, ...]:
        """Every field of any record, in order of first appearance."""
        return tuple(self._fields)

    def type_of(self, field: str) -> str | None:
        """A field's type over all records; None if it has no value that can be looked up."""
        key_types = self.key_types.get(field)
        if not key_types:
            return None
        if str in key_types:
            return "text"
        return "number" if float in key_types else "integer"

    def lookups(self, dataset: Dataset) -> tuple[Lookup, ...]:
        """The dataset's lookups with the types of their fields.

        Raises:
            DataError: no record has one of these fields, or there is no record.
        """
        if not self.records:
            there = ", ".join(dataset.files)[:200]
            raise DataError(f"{dataset.folder}: there is no usable record in {there}")
        shapes = dataset.lookups.shapes()
        wanted = dataset.fields()
        types = {field: kind for field in wanted if (kind := self.type_of(field))}
        if missing := [field for field in wanted if field not in types]:
            fit = [field for field, found in self._fields.items() if found]
            raise missing_fields_error(
                dataset, self._missing(missing), self.fields(), examples=fit[:3]
            )
        for shape in shapes:
            _check_beginnings(dataset, shape, types, self.list_fields)
        return tuple(
            msgspec.structs.replace(
                shape,
                types=shape.types or tuple(types[field] for field in shape.fields),
                lists=tuple(field for field in shape.fields if field in self.list_fields),
            )
            for shape in shapes
        )

    def _missing(self, fields: Iterable[str]) -> str:
        """What is wrong with fields that have no value which a lookup could compare."""
        lacking: dict[str, list[str]] = {}
        for field in fields:
            held = self.held.get(field, set())
            why = next((why for kind, why in _HELD.items() if kind in held), "")
            lacking.setdefault(why, []).append(repr(field[:80])[1:-1])
        return "; ".join(
            f"no record has {'a text or a number in ' if why else ''}{', '.join(names)}{why}"
            for why, names in lacking.items()
        )

    def reject_bad_records(self, dataset: Dataset) -> None:
        """Fail if there are bad records.

        Raises:
            DataError: there are; the message lists the first.
        """
        if not self.bad_count:
            return
        lines = [f"  {bad.where}: {bad.why}" for bad in self.bad[:MAX_BAD_RECORDS_SHOWN]]
        if self.bad_count > len(lines):
            lines.append(f"  and {self.bad_count - len(lines)} more")
        raise DataError(
            f"{dataset.folder}: {self.bad_count} record(s) cannot be used; correct them,"
            " or leave them out with --skip-bad:\n" + "\n".join(lines)
        )


def _check_beginnings(
    dataset: Dataset, shape: Lookup, types: Mapping[str, str], lists: Container[str]
) -> None:
    """Raises `DataError` for a lookup of the kind prefix whose last field has no beginnings."""
    field = shape.fields[-1]
    if shape.kind != PREFIX or (types[field] == "text" and field not in lists):
        return
    held = "lists" if field in lists else f"{types[field]}s"
    raise DataError(
        f"{dataset.folder}: {shape.name} is of the kind prefix, and {quoted(field)} holds {held}:"
        " it must have one text at most in each record"
    )


class FullSchemaScan(SchemaScan):
    """The scan of a check: types and counts of all fields, which is slower.

    Args:
        declared: The fields of lookups, of which some may be within others.
    """

    def __init__(self, declared: Iterable[str] = ()) -> None:
        super().__init__()
        self._declared = tuple(declared)
        self.value_counts: Counter[str] = Counter()

    def add_records(self, records: Records) -> None:
        """Count records, and for every field the values and their types."""
        super().add_records(records)
        for field in self._declared:
            self._column(field, field_values(records, field))
        if isinstance(records, UniformRecords):
            for field in records.field_names():
                values = records.values(field)
                self._column(field, values)
                self.value_counts[field] += _count_values(values)
            return
        for record in records:
            for field, value in record.items():
                keys = element_keys(value if isinstance(value, list) else [value])
                if keys:
                    self.key_types.setdefault(field, set()).update(map(type, keys))
                    if isinstance(value, list):
                        self.list_fields.add(field)
            self.value_counts.update(field for field, value in record.items() if value is not None)

    def reports(self) -> tuple[FieldReport, ...]:
        """Every field with its type and the number of records that have a value for it."""
        return tuple(
            FieldReport(
                field,
                self._described_type(field),
                self.value_counts[field],
            )
            for field in self.fields()
        )

    def _described_type(self, field: str) -> str:
        kind = self.type_of(field)
        if kind is None:
            return "nested" if self.value_counts[field] else "null"
        return f"list of {kind}" if field in self.list_fields else kind
