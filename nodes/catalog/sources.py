"""Reading files of records: JSON, JSON Lines and CSV, a module for each format.

A record that cannot be used is reported with its place and the reason, and reading goes on. A
file that cannot be parsed raises `DataError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nodes.catalog.json_source import read_json, read_json_lines
from nodes.catalog.records import Batch, ReportBadRecord
from nodes.errors import DataError

FILE_SUFFIXES = (".json", ".jsonl", ".csv")


def read_records(path: Path, name: str, report_bad_record: ReportBadRecord) -> Iterator[Batch]:
    """Read the records of one file, in their order.

    Args:
        path: The file; its suffix, one of `FILE_SUFFIXES`, tells the format.
        name: The file's name in messages.
        report_bad_record: Called for each record that cannot be used.

    Raises:
        DataError: the file cannot be read or parsed.
    """
    try:
        match path.suffix.lower():
            case ".json":
                yield from read_json(path, name, report_bad_record)
            case ".jsonl":
                yield from read_json_lines(path, name, report_bad_record)
            case _:
                from nodes.catalog.csv_source import read_csv  # noqa: PLC0415 - few need csv

                yield from read_csv(path, name, report_bad_record)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
