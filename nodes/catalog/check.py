"""Looking a dataset over without building a catalog from it."""

from __future__ import annotations

from pathlib import Path

from nodes.catalog.dataset import load_dataset
from nodes.catalog.model import CheckReport, FileReport
from nodes.catalog.schema_scan import FullSchemaScan
from nodes.catalog.sources import read_records


def check_data(data: Path) -> CheckReport:
    """Read every record of a folder or file and report what is there; nothing is written.

    Args:
        data: a folder or a file of records.

    Returns:
        What is there; bad records are listed in it.

    Raises:
        DataError: no catalog could be built even without the bad records: a broken file or
            `dataset.toml`, no record at all, a lookup on a field that no record has.
    """
    dataset = load_dataset(data)
    scan = FullSchemaScan()
    files = []
    for name in dataset.files:
        records, bad = scan.records, scan.bad_count
        for _, batch, _ in read_records(dataset.folder / name, name, scan.note_bad):
            scan.note(batch)
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
