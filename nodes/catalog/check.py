"""Validation of a dataset, without building a catalog from it."""

from __future__ import annotations

from pathlib import Path

from nodes.catalog.dataset import load_dataset
from nodes.catalog.model import CheckReport, FileReport
from nodes.catalog.schema_scan import FullSchemaScan
from nodes.catalog.sources import read_records
from nodes.errors import DataError


def check_data(data: Path) -> CheckReport:
    """Read every record of a folder or file and report what was found; writes nothing.

    Args:
        data: A folder or a file of records.

    Returns:
        The report, which lists bad records too.

    Raises:
        DataError: No catalog can be built even without the bad records, because of a broken
            file or `dataset.toml`, no record at all, or a lookup on a field that no record has.
    """
    dataset = load_dataset(data)
    if dataset.store is not None and not dataset.files:
        raise DataError(f"{data}: its records lie in a store; there are no files here to check")
    scan = FullSchemaScan(dataset.fields())
    files = []
    for name in dataset.files:
        records, bad = scan.records, scan.bad_count
        for _, batch, _ in read_records(dataset.folder / name, name, scan.add_bad_record):
            scan.add_records(batch)
        files.append(FileReport(name, scan.records - records, scan.bad_count - bad))
    return CheckReport(
        name=dataset.name,
        records=scan.records,
        files=tuple(files),
        fields=scan.reports(),
        lookups=scan.lookups(dataset),
        bad=tuple(scan.bad),
        bad_count=scan.bad_count,
    )
