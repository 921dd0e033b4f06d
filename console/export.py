"""Records written to a file, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nodes.errors import BadRequest
from nodes.support.files import write_atomically


def exists(target: str) -> bool:
    """Whether there is a file of that name already."""
    try:
        return Path(target).expanduser().is_file()
    except (RuntimeError, OSError, ValueError):
        return False  # what is wrong with the name, `export` will say


def export(records: Sequence[dict[str, Any]], target: str, *, replace: bool = False) -> Path:
    """Writes records to a new file, in the form its name ends with; returns where it is.

    Args:
        records: what to write.
        target: a path that ends in .json or .csv; "~" is the home folder.
        replace: whether a file that is there is replaced.

    Raises:
        BadRequest: the name does not say which form, or is there already, or cannot be written.
    """
    try:
        path = Path(target).expanduser()
    except RuntimeError as error:  # there is no such user
        raise BadRequest(f"{target[:80]!r}: {error}") from None
    if path.suffix not in (".json", ".csv"):
        raise BadRequest(f"{target[:80]!r}: end the name in .json or .csv")
    try:
        content = _json(records) if path.suffix == ".json" else _csv(records)
        if replace:
            write_atomically(path, content)
            return path.resolve()
        # For its owner only, as what it was exported from is.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                path.unlink()  # half a file looks like a whole one
                raise
    except FileExistsError:
        raise BadRequest(f"{path} is there already; choose another name") from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise BadRequest(f"{path} cannot be written: {why}") from None
    return path.resolve()


def _json(records: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(list(records)), indent=2)


def _csv(records: Sequence[dict[str, Any]]) -> bytes:
    fields = list(dict.fromkeys(field for record in records for field in record))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_cell, fields))
    for record in records:
        writer.writerow([_cell(record.get(field)) for field in fields])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """A value for a spreadsheet: nested ones as JSON, and none that it would take for a formula."""
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
