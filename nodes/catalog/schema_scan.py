"""The schema scan: finds the fields, their types and the bad records during the one reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN
from nodes.catalog.dataset import Dataset, missing_fields_error
from nodes.catalog.model import BadRecord, FieldReport, Lookup
from nodes.catalog.records import Records, UniformRecords
from nodes.errors import DataError

MAX_BAD_RECORDS_KEPT = 1000  # in the report of a check
MAX_BAD_RECORDS_SHOWN = 20  # in the message of a failed build

IndexKey = str | int | float | None

_NO_VALUE_TYPES = frozenset((type(None), msgspec.UnsetType))


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


def key_text(key: IndexKey) -> str:
    """A key as text, for a field with text in some records and numbers in others."""
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def _fit_64_bits(integers: Sequence[int]) -> bool:
    """Whether SQLite can store them all as integers."""
    return min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX


def _field_names(records: Records) -> set[str]:
    if isinstance(records, UniformRecords):
        return records.field_names()
    return set[str]().union(*records)


def _values(records: Records, field: str) -> list[object]:
    if isinstance(records, UniformRecords):
        return records.values(field)
    return [record.get(field) for record in records]


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

    def index_keys(self, records: Records, fields: Iterable[str]) -> list[list[IndexKey]]:
        """The index keys of records, a list for each of `fields`; adds the records as well."""
        self.add_records(records)
        return [self._column(field, _values(records, field)) for field in fields]

    def _column(self, field: str, values: list[object]) -> list[IndexKey]:
        key_types = set(map(type, values))
        # In most columns the values are the keys. Their types tell, without a look at each value.
        if key_types in ({str}, {float}) or (
            key_types == {int} and _fit_64_bits(cast("list[int]", values))
        ):
            keys = cast("list[IndexKey]", values)
        else:
            keys = [index_key(value) for value in values]
            key_types = set(map(type, keys)) - {type(None)}
        self.key_types.setdefault(field, set()).update(key_types)
        return keys

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
        wanted = dataset.fields()
        types = {field: kind for field in wanted if (kind := self.type_of(field))}
        if missing := [field for field in wanted if field not in types]:
            fit = [field for field, found in self._fields.items() if found]
            raise missing_fields_error(dataset, missing, self.fields(), examples=fit[:3])
        return tuple(
            Lookup(name, fields, tuple(types[field] for field in fields))
            for name, fields in dataset.lookups.items()
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


class FullSchemaScan(SchemaScan):
    """The scan of a check: types and counts of all fields, which is slower."""

    def __init__(self) -> None:
        super().__init__()
        self.value_counts: Counter[str] = Counter()

    def add_records(self, records: Records) -> None:
        """Count records, and for every field the values and their types."""
        super().add_records(records)
        if isinstance(records, UniformRecords):
            for field in records.field_names():
                values = records.values(field)
                self._column(field, values)
                self.value_counts[field] += _count_values(values)
            return
        for record in records:
            for field, value in record.items():
                if (key := index_key(value)) is not None:
                    self.key_types.setdefault(field, set()).add(type(key))
            self.value_counts.update(field for field, value in record.items() if value is not None)

    def reports(self) -> tuple[FieldReport, ...]:
        """Every field with its type and the number of records that have a value for it."""
        return tuple(
            FieldReport(
                field,
                self.type_of(field) or ("nested" if self.value_counts[field] else "null"),
                self.value_counts[field],
            )
            for field in self.fields()
        )
