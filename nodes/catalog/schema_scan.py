"""The schema scan: fields, their types and bad records, noted while the records go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from nodes.catalog.arguments import INTEGER_MAX, INTEGER_MIN
from nodes.catalog.dataset import Dataset, unmet
from nodes.catalog.model import BadRecord, FieldReport, Lookup
from nodes.catalog.records import Record
from nodes.errors import DataError

MAX_BAD_KEPT = 1000  # bad records kept for a report
MAX_BAD_SHOWN = 20  # bad records shown in a message

IndexKey = str | int | float | None


def index_key(value: object) -> IndexKey:
    """What a lookup compares: None for what no lookup finds (null, a list, an object)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # A larger one cannot be stored as a number without losing digits.
        return value if INTEGER_MIN <= value <= INTEGER_MAX else key_text(value)
    return value if isinstance(value, float) else None


def key_text(key: IndexKey) -> str:
    """A key as text, for a field that holds text in some records and numbers in others."""
    return key if isinstance(key, str) else msgspec.json.encode(key).decode()


def _fit(integers: Sequence[int]) -> bool:
    """Whether all can be stored as numbers."""
    return min(integers) >= INTEGER_MIN and max(integers) <= INTEGER_MAX


class SchemaScan:
    """Counts over all records of a dataset, filled record by record."""

    def __init__(self) -> None:
        self.records = 0
        self._fields: dict[str, bool] = {}
        self.kinds: dict[str, set[type]] = {}
        self.bad: list[BadRecord] = []
        self.bad_count = 0

    def note_bad(self, where: str, why: str) -> None:
        """Count a record that cannot be used, and keep the first of them for the report."""
        self.bad_count += 1
        if len(self.bad) < MAX_BAD_KEPT:
            self.bad.append(BadRecord(where, why))

    def count(self, records: Sequence[Record]) -> None:
        """Note the records and what fields they have."""
        self.records += len(records)
        if not set[str]().union(*records) <= self._fields.keys():
            for record in records:
                for field, value in record.items():
                    # Whether it can be looked up: good enough from its first record.
                    self._fields.setdefault(field, index_key(value) is not None)

    def columns(self, records: Sequence[Record], fields: Iterable[str]) -> list[list[IndexKey]]:
        """The records' keys, a list for each of `fields`; records and types are noted."""
        self.count(records)
        return [self._column(field, [record.get(field) for record in records]) for field in fields]

    def _column(self, field: str, values: list[object]) -> list[IndexKey]:
        kinds = set(map(type, values))
        # Most columns hold keys as they are: a look at their types spares one at each value.
        if kinds in ({str}, {float}) or (kinds == {int} and _fit(cast("list[int]", values))):
            keys = cast("list[IndexKey]", values)
        else:
            keys = [index_key(value) for value in values]
            kinds = set(map(type, keys)) - {type(None)}
        self.kinds.setdefault(field, set()).update(kinds)
        return keys

    def fields(self) -> tuple[str, ...]:
        """Every field of any record, in order of first appearance."""
        return tuple(self._fields)

    def type_of(self, field: str) -> str | None:
        """A field's type over all records; None if nothing in it can be looked up."""
        kinds = self.kinds.get(field)
        if not kinds:
            return None
        if str in kinds:
            return "text"
        return "number" if float in kinds else "integer"

    def lookups(self, dataset: Dataset) -> tuple[Lookup, ...]:
        """The dataset's lookups, with types.

        Raises:
            DataError: a field of theirs is in no record, or there is no record.
        """
        if not self.records:
            there = ", ".join(dataset.files)[:200]
            raise DataError(f"{dataset.folder}: there is no usable record in {there}")
        wanted = dataset.fields()
        types = {field: kind for field in wanted if (kind := self.type_of(field))}
        if missing := [field for field in wanted if field not in types]:
            fit = [field for field, found in self._fields.items() if found]
            raise unmet(dataset, missing, self.fields(), examples=fit[:3])
        return tuple(
            Lookup(name, fields, tuple(types[field] for field in fields))
            for name, fields in dataset.lookups.items()
        )

    def refuse_bad(self, dataset: Dataset) -> None:
        """Allow no bad record.

        Raises:
            DataError: there is one; the message has the first of them.
        """
        if not self.bad_count:
            return
        lines = [f"  {bad.where}: {bad.why}" for bad in self.bad[:MAX_BAD_SHOWN]]
        if self.bad_count > len(lines):
            lines.append(f"  and {self.bad_count - len(lines)} more")
        raise DataError(
            f"{dataset.folder}: {self.bad_count} record(s) cannot be used; correct them,"
            " or leave them out with --skip-bad:\n" + "\n".join(lines)
        )


class FullSchemaScan(SchemaScan):
    """A scan of all fields rather than the lookups' only: slower, for a report."""

    def __init__(self) -> None:
        super().__init__()
        self.filled: Counter[str] = Counter()

    def note(self, records: Sequence[Record]) -> None:
        """Count records and every field they have a value for."""
        self.count(records)
        for record in records:
            for field, value in record.items():
                if (key := index_key(value)) is not None:
                    self.kinds.setdefault(field, set()).add(type(key))
            self.filled.update(field for field, value in record.items() if value is not None)

    def reports(self) -> tuple[FieldReport, ...]:
        """Every field with its type and the number of records that have it."""
        return tuple(
            FieldReport(
                field,
                self.type_of(field) or ("nested" if self.filled[field] else "null"),
                self.filled[field],
            )
            for field in self.fields()
        )
