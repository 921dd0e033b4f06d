"""Files of records: JSON, JSON Lines and CSV, each read by a module of its own.

A record that cannot be used is reported with its place and the reason, and reading goes on; a
file that cannot be parsed raises `DataError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nodes.catalog.json_source import read_json, read_json_lines
from nodes.catalog.records import Batch, ReportBad
from nodes.errors import DataError

SUFFIXES = (".json", ".jsonl", ".csv")


def read_records(path: Path, name: str, report_bad: ReportBad) -> Iterator[Batch]:
    """The records of one file, in its order.

    Args:
        path: the file; its suffix, one of `SUFFIXES`, says what it holds.
        name: how messages call it.
        report_bad: told of each record that cannot be used.

    Raises:
        DataError: the file cannot be read or parsed.
    """
    try:
        match path.suffix.lower():
            case ".json":
                yield from read_json(path, name, report_bad)
            case ".jsonl":
                yield from read_json_lines(path, name, report_bad)
            case _:
                from nodes.catalog.csv_source import read_csv  # noqa: PLC0415 - few need csv

                yield from read_csv(path, name, report_bad)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
