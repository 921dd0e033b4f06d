"""The schema scan: finds the fields, their types and the bad records during the one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import cast

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN, quoted
from nodes.catalog.dataset import Dataset
from nodes.catalog.files import DEFINITION_FILE
from nodes.catalog.keys import (
    IndexKey,
    KeyColumn,
    column_values,
    element_keys,
    field_values,
    index_key,
)
from nodes.catalog.model import PREFIX, Lookup
from nodes.catalog.proposal import field_list, missing_fields_error
from nodes.catalog.readers.records import Records, UniformRecords
from nodes.catalog.reports import BadRecord, FieldReport
from nodes.errors import DataError

MAX_BAD_RECORDS_KEPT = 1000  # in the report of a check
MAX_BAD_RECORDS_SHOWN = 20  # in the message of a failed build
MAX_FIELDS_KEPT = 5000
MAX_FIELD_CHARS = 500_000
"""Of the names of all fields that are kept: a worker tells them to its master, and records with
their keys for values, of which no two are alike, have as many as there are records."""

MAX_EXAMPLE_CHARS = 40
MAX_FIELDS_COUNTED = 300
MAX_VALUES_COUNTED = 1000
"""Different values of a field, as far as they are counted, and of how many fields."""

_NO_KEY = hash(None)
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
    """The scan of a build: field names, and the types of the fields that lookups are on."""

    def __init__(self, declared: Mapping[str, str] | None = None) -> None:
        """Initialize.

        Args:
            declared: The types that the dataset says of some fields.
        """
        self.records = 0
        self.more_fields = False
        self._declared = declared or {}
        self._fields: dict[str, bool] = {}
        self._field_chars = 0
        self.key_types: dict[str, set[type]] = {}
        self.value_types: dict[str, set[type]] = {}
        self.list_fields: set[str] = set()
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
        if not self.more_fields and not _field_names(records) <= self._fields.keys():
            for record in records:
                for field, value in record.items():
                    # Whether a lookup could be on it. The first record is enough to tell.
                    self.add_field(field, findable=index_key(value) is not None)

    def add_field(self, field: str, *, findable: bool) -> None:
        """Note a field; beyond some number of them, only that there are more."""
        if field in self._fields:
            return
        self._field_chars += len(field)
        if len(self._fields) < MAX_FIELDS_KEPT and self._field_chars <= MAX_FIELD_CHARS:
            self._fields[field] = findable
        else:
            self.more_fields = True

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
            self.value_types.setdefault(field, set()).update(key_types)
            column = KeyColumn([index_key(value) for value in values], [])
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
        if str in key_types or self._declared.get(field) == "text":
            return "text"
        is_number = float in key_types or self._declared.get(field) == "number"
        return "number" if is_number else "integer"

    def lookups(self, dataset: Dataset, *, reasons: bool = True) -> tuple[Lookup, ...]:
        """The dataset's lookups with the types of their fields.

        Args:
            dataset: The dataset.
            reasons: Whether the error lists the first bad records, if there are no others.

        Raises:
            DataError: no record has one of these fields, or there is no record.
        """
        if not self.records:
            there = ", ".join(dataset.files)[:200]
            why = self._why() if reasons else ""
            raise DataError(f"{dataset.folder}: there is no usable record in {there}{why}")
        self._check_declared(dataset)
        wanted = dataset.fields()
        types = {field: kind for field in wanted if (kind := self.type_of(field))}
        if missing := {field: self._instead(field) for field in wanted if field not in types}:
            fit = [field for field, found in self._fields.items() if found]
            raise missing_fields_error(dataset, missing, self.fields(), examples=fit[:3])
        shapes = dataset.lookups.shapes()
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

    def _check_declared(self, dataset: Dataset) -> None:
        """Raises `DataError` if a type is declared that a field cannot have."""
        looked_up = dataset.fields()
        for field, kind in self._declared.items():
            if not self.more_fields and field not in {*self._fields, *self.key_types}:
                there = field_list(self.fields())
                why = f"no record has {quoted(field)}; the fields found are {there}"
            elif field in looked_up and kind != "text" and self.type_of(field) == "text":
                why = f"{quoted(field)} is to be {kind}, and some records have text in it"
            else:
                continue
            raise DataError(f"{dataset.folder / DEFINITION_FILE}: [types]: {why}")

    def _instead(self, field: str) -> str:
        """What records have in a field that has no value to find them by; "" if it is not there."""
        types = self.value_types.get(field, set()) - {msgspec.UnsetType}
        if list in types:
            return "holds lists without either"
        if types - {type(None)}:
            return "holds objects, whose fields are named as address.city"
        return "is empty in every record" if field in self._fields or types else ""

    def reject_bad_records(self, dataset: Dataset) -> None:
        """Fail if there are bad records.

        Raises:
            DataError: there are; the message lists the first.
        """
        if not self.bad_count:
            return
        advice = (
            "correct them, or leave them out with --skip-bad" if self.records else "correct them"
        )
        raise DataError(
            f"{dataset.folder}: {self.bad_count} record(s) cannot be used; {advice}{self._why()}"
        )

    def _why(self) -> str:
        """The first bad records, each in a line."""
        lines = [f"  {bad.where}: {bad.why}" for bad in self.bad[:MAX_BAD_RECORDS_SHOWN]]
        if self.bad_count > len(lines):
            lines.append(f"  and {self.bad_count - len(lines)} more")
        return ":\n" + "\n".join(lines) if lines else ""


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
    """The scan of a check: types, counts and examples of all fields, which is slower."""

    def __init__(self, declared: Mapping[str, str] | None = None) -> None:
        super().__init__(declared)
        self._value_counts: Counter[str] = Counter()
        self._hashes: dict[str, set[int]] = {}
        self._examples: dict[str, object] = {}

    def add_records(self, records: Records) -> None:
        """Count records, and for every field the values and their types."""
        super().add_records(records)
        for field in _field_names(records) & self._fields.keys():
            self._add_values(field, column_values(records, field))

    def key_columns(self, records: Records, fields: Iterable[str]) -> list[KeyColumn]:
        """As a build has it: lookups are on fields beyond those that are kept, too."""
        self.add_records(records)
        return [
            self._column(field, field_values(records, field))
            for field in fields
            if field not in self._fields
        ]

    def _add_values(self, field: str, values: list[object]) -> None:
        column = self._column(field, values)
        self._value_counts[field] += _count_values(values)
        hashes = self._hashes.get(field)
        if hashes is None and len(self._hashes) < MAX_FIELDS_COUNTED:
            hashes = self._hashes[field] = set()
        if hashes is not None and len(hashes) < MAX_VALUES_COUNTED:
            hashes.update(map(hash, column.keys), (hash(key) for _, key in column.elements))
            hashes.discard(_NO_KEY)
        if self._examples.get(field) is None:
            there = (value for value in values if type(value) not in _NO_VALUE_TYPES)
            self._examples[field] = next(there, None)

    def reports(self, notes: Mapping[str, str]) -> tuple[FieldReport, ...]:
        """Every field with its type and the number of records that have a value for it.

        Args:
            notes: What is to be said of some fields.
        """
        return tuple(
            FieldReport(
                name=field,
                type=self._described_type(field),
                records=self._value_counts[field],
                values=min(len(self._hashes.get(field, ())), MAX_VALUES_COUNTED),
                example=_example(self._examples.get(field)),
                note=notes.get(field, ""),
            )
            for field in self.fields()
        )

    def _described_type(self, field: str) -> str:
        kind = self.type_of(field)
        if kind is None:
            return "nested" if self._value_counts[field] else "null"
        return f"list of {kind}" if field in self.list_fields else kind


def _example(value: object) -> str:
    """A value as JSON has it, cut short; "" for none."""
    if value is None:
        return ""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_EXAMPLE_CHARS else f"{text[:MAX_EXAMPLE_CHARS]}..."
