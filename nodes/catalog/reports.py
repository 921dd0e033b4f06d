"""Reports: what a check of a dataset found."""

from __future__ import annotations

import msgspec

from nodes.catalog.model import Lookup


class BadRecord(msgspec.Struct, frozen=True):
    """A record that cannot be used.

    Attributes:
        where: Its file, and its line or number there.
        why: The reason.
    """

    where: str
    why: str


class FileReport(msgspec.Struct, frozen=True):
    """What is in a file.

    Attributes:
        name: Its path in the folder.
        records: The number of usable records.
        bad: The number of others.
        notes: How it was read, where that is not plain to see.
        problem: Why the rest of it cannot be read; "" if it can.
    """

    name: str
    records: int
    bad: int
    notes: tuple[str, ...] = ()
    problem: str = ""


class LeftOut(msgspec.Struct, frozen=True):
    """A file or folder that is there, and is not read.

    Attributes:
        name: Its name in the folder.
        why: The reason, and what to do to have it read.
    """

    name: str
    why: str


class FieldReport(msgspec.Struct, frozen=True):
    """What is known of a field.

    Attributes:
        name: The field's name.
        type: "text", "integer" or "number"; "nested" if it only has lists or objects, "null" if
            it has no value at all.
        records: The number of records with a value for it.
        values: How many different values it has, as far as they were counted.
        example: One of its values, cut short.
        note: What a person may want to know of its type.
    """

    name: str
    type: str
    records: int
    values: int = 0
    example: str = ""
    note: str = ""


class CheckReport(msgspec.Struct, frozen=True):
    """The report of a check of a dataset.

    Attributes:
        name: The dataset's name.
        records: The number of usable records.
        files: The files with their counts.
        left_out: What else is there and is not read.
        fields: The fields with their types.
        more_fields: Whether there are others, of which nothing is kept.
        lookups: The lookups that a catalog would answer; none if there is a problem.
        bad: The first bad records.
        bad_count: The number of all bad records.
        problem: Why no catalog can be built, even without the bad records; "" if one can.
    """

    name: str
    records: int
    files: tuple[FileReport, ...]
    left_out: tuple[LeftOut, ...]
    fields: tuple[FieldReport, ...]
    more_fields: bool
    lookups: tuple[Lookup, ...]
    bad: tuple[BadRecord, ...]
    bad_count: int
    problem: str
