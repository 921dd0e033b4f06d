"""Formats: the one place that says which suffix is read by whom."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath

from nodes.catalog.readers.columns import ColumnTypes
from nodes.catalog.readers.records import Batch
from nodes.catalog.readers.source import Source

GZIP = ".gz"


class Format(StrEnum):
    """The formats of files of records."""

    JSON = "JSON"
    JSON_LINES = "JSON Lines"
    CSV = "CSV"
    TSV = "TSV"
    PARQUET = "Parquet"
    SPREADSHEET = "spreadsheet"
    SQLITE = "SQLite"


_SUFFIXES = {
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".parquet": Format.PARQUET,
    ".xlsx": Format.SPREADSHEET,
    ".xlsb": Format.SPREADSHEET,
    ".xls": Format.SPREADSHEET,
    ".ods": Format.SPREADSHEET,
    ".sqlite": Format.SQLITE,
    ".sqlite3": Format.SQLITE,
    ".db": Format.SQLITE,
}
TEXT_FORMATS = frozenset((Format.JSON, Format.JSON_LINES, Format.CSV, Format.TSV))
"""What may also be compressed, and is read without being named."""
_USUAL_DELIMITERS = {Format.CSV: ",", Format.TSV: "\t"}
"""The formats whose cells have no types."""

SUFFIXES_TEXT = ".json, .jsonl, .ndjson, .csv or .tsv (any of them .gz), .parquet, .xlsx or .sqlite"


def format_of(name: str) -> Format | None:
    """The format of a file of that name; None if it is none of ours."""
    path = PurePath(name.lower())
    if path.suffix == GZIP:
        found = _SUFFIXES.get(PurePath(path.stem).suffix)
        return found if found in TEXT_FORMATS else None
    return _SUFFIXES.get(path.suffix)


def stem_of(name: str) -> str:
    """A file's name without the suffixes that say its format."""
    path = PurePath(name)
    return PurePath(path.stem).stem if path.suffix.lower() == GZIP else path.stem


def scan_source(source: Source, types: ColumnTypes) -> Iterator[int]:
    """Take a file's columns into account, if its cells have no types; yields as `scan_columns`."""
    usual = _USUAL_DELIMITERS.get(format_of(source.path.name) or Format.JSON)
    if usual:
        from nodes.catalog.readers.delimited import scan_columns  # noqa: PLC0415 - few need csv

        yield from scan_columns(source, types, usual=usual)


def read_source(source: Source, types: ColumnTypes) -> Iterator[Batch]:
    """Read the records of a file, in their order.

    Args:
        source: The file; its suffix tells the format.
        types: The types of columns, for which all files were scanned.

    Raises:
        DataError: The file cannot be read.
    """
    # Each is imported by whoever has such files.
    match format_of(source.path.name):
        case Format.CSV | Format.TSV as found:
            from nodes.catalog.readers.delimited import read_delimited  # noqa: PLC0415

            yield from read_delimited(source, types, usual=_USUAL_DELIMITERS[found])
        case Format.JSON_LINES:
            from nodes.catalog.readers.json_document import read_json_lines_or_array  # noqa: PLC0415

            yield from read_json_lines_or_array(source)
        case Format.PARQUET:
            from nodes.catalog.readers.tables import read_parquet  # noqa: PLC0415

            yield from read_parquet(source)
        case Format.SPREADSHEET:
            from nodes.catalog.readers.tables import read_spreadsheet  # noqa: PLC0415

            yield from read_spreadsheet(source)
        case Format.SQLITE:
            from nodes.catalog.readers.tables import read_sqlite  # noqa: PLC0415

            yield from read_sqlite(source)
        case _:
            from nodes.catalog.readers.json_document import read_json  # noqa: PLC0415

            yield from read_json(source)
