"""Records written to a file, as JSON or CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nodes.errors import BadRequest


def export(records: Sequence[dict[str, Any]], target: str) -> Path:
    """Writes records to a new file, in the form its name ends with; returns where it is.

    Arguments:
        records: what to write.
        target: a path that ends in .json or .csv; "~" is the home folder.

    Raises:
        BadRequest: the name does not say which form, or is there already, or cannot be written.
    """
    path = Path(target).expanduser()
    if path.suffix not in (".json", ".csv"):
        raise BadRequest(f"{target[:80]!r}: end the name in .json or .csv")
    try:
        if path.suffix == ".json":
            with path.open("xb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(list(records)), indent=2))
        else:
            with path.open("x", newline="", encoding="utf-8") as text:
                _write_csv(records, text)
    except FileExistsError:
        raise BadRequest(f"{path} is there already; choose another name") from None
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror or error}") from None
    return path.resolve()


def _write_csv(records: Sequence[dict[str, Any]], file: Any) -> None:
    fields = list(dict.fromkeys(field for record in records for field in record))
    writer = csv.DictWriter(file, fields)
    writer.writeheader()
    for record in records:
        writer.writerow({field: _cell(value) for field, value in record.items()})


def _cell(value: object) -> object:
    """A value for a spreadsheet: nested ones as JSON, and none that it would take for a formula."""
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
