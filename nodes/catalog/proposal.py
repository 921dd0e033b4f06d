"""Proposed definitions: the `dataset.toml` to write where there is none that fits the records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from nodes.catalog.arguments import quoted
from nodes.catalog.dataset import DEFAULT_LOOKUPS, Dataset
from nodes.catalog.declared_lookups import MAX_LOOKUPS
from nodes.catalog.files import DEFINITION_FILE
from nodes.catalog.readers.json_document import keys_note
from nodes.catalog.reports import CheckReport, FieldReport
from nodes.errors import DataError, UndeclaredLookups

MAX_RECORDS_PER_VALUE = 1000
"""A lookup that finds more records than that on the average is not proposed."""
MAX_FIELDS_NAMED = 30


def missing_fields_error(
    dataset: Dataset, missing: Mapping[str, str], found: Sequence[str], *, examples: Sequence[str]
) -> DataError:
    """The error for lookups on fields by which no record can be found.

    Args:
        dataset: The dataset with these lookups.
        missing: These fields, each with what it has instead of a value; "" if it is not there.
        found: The fields that records have.
        examples: Some of `found` that a lookup could be on.
    """
    path = dataset.folder / DEFINITION_FILE
    there = field_list(found)
    absent = [field for field, has in missing.items() if not has]
    reasons = [
        f"{quoted(field)} {has}: a lookup needs text or numbers"
        for field, has in missing.items()
        if has
    ]
    if absent:
        on = ", which a lookup is on" if dataset.declared else ""
        reasons.insert(0, f"no record has {', '.join(map(quoted, absent))}{on}")
    why = "; ".join(reasons)
    if dataset.declared:
        return DataError(f"{path}: {why}; the fields found are {there}")
    shown = definition_text(dataset.name, _lookup_names(examples), whole=not path.exists())
    # An existing definition may name the files, so the advice is to add to it.
    verb = "add" if path.exists() else "write"
    advice = (
        f"Give that folder as the data, and {verb} the lookups you want in {path}"
        f" ('rollcall-nodes data init' writes it), for example:\n\n{shown}"
        if examples
        else "There is none of text or numbers, which a lookup could be on."
    )
    text = (
        f"{dataset.folder}: {why}, so the default lookups do not fit; the fields found are {there}."
        f" {advice}"
    )
    if examples and not path.exists():
        return UndeclaredLookups(text, str(dataset.folder))
    return DataError(text)


def field_list(fields: Sequence[str]) -> str:
    """Fields for a message, in quotes, as a blank in a name is not seen otherwise."""
    more = len(fields) - MAX_FIELDS_NAMED
    named = ", ".join(map(quoted, fields[:MAX_FIELDS_NAMED])) or "none"
    return f"{named} and {more} more" if more > 0 else named


def proposed_definition(dataset: Dataset, report: CheckReport) -> str:
    """The text of a `dataset.toml` with a lookup on every field by which records are found.

    Args:
        dataset: The dataset, for which there is no definition.
        report: The report of its check.

    Raises:
        DataError: There is no such field.
    """
    fields = {field.name: field for field in report.fields}
    lookups: dict[str, tuple[str, ...]] = {}
    if all(field in fields and fields[field].values for field in ("name", "location", "year")):
        lookups = dict(DEFAULT_LOOKUPS)
    covered = {field for on in lookups.values() for field in on}
    useful = [field for field in report.fields if field.name not in covered and _is_useful(field)]
    names = _lookup_names([field.name for field in useful[: MAX_LOOKUPS - len(lookups)]], lookups)
    lookups |= {name: (field,) for name, field in names.items()}
    if not lookups:
        raise DataError(
            f"{dataset.folder}: there is no field by which few records would be found; see:"
            " rollcall-nodes data check"
        )
    key = dataset.reading.key
    keyed = any(keys_note(key) in file.notes for file in report.files)
    return definition_text(report.name, lookups, key=key if keyed else "")


def _is_useful(field: FieldReport) -> bool:
    """Whether a value of the field finds few records, of many."""
    if field.type.removeprefix("list of ") not in ("text", "integer") or not field.values:
        return False
    one_for_all = field.values == 1 and field.records > 1
    return not one_for_all and field.records <= field.values * MAX_RECORDS_PER_VALUE


def definition_text(
    name: str,
    lookups: Mapping[str, str | tuple[str, ...]],
    *,
    key: str = "",
    whole: bool = True,
) -> str:
    """The text of a `dataset.toml`, which is always valid.

    Args:
        name: The dataset's name.
        lookups: The fields of each lookup.
        key: The field that takes the keys of records; "" for none.
        whole: Whether it is all of the file, and not an addition.
    """
    lines = [f"name = {_toml_string(name)}"] if whole else []
    if key:
        lines.append(f"key = {_toml_string(key)}")
    lines += ["", "[lookups]"] if lines else ["[lookups]"]
    for lookup, on in lookups.items():
        fields = (on,) if isinstance(on, str) else on
        lines.append(f"{lookup} = [{', '.join(map(_toml_string, fields))}]")
    return "\n".join(lines) + "\n"


def _lookup_names(fields: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Fields by the name of a lookup on each; all names differ."""
    names: dict[str, str] = {}
    used = set(taken)
    for field in fields:
        stem = "getby" + re.sub(r"[^a-z0-9]", "", field.lower())[:50]
        name, number = stem, 1
        while name in used:
            number += 1
            name = f"{stem}_{number}"
        used.add(name)
        names[name] = field
    return names


def _toml_string(text: str) -> str:
    """A TOML string: the same as JSON's, but DEL is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
