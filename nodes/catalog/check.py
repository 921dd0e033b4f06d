"""Looking a dataset over without building a catalog from it."""

from __future__ import annotations

from pathlib import Path

from nodes.catalog.dataset import load_dataset
from nodes.catalog.model import CheckReport, FileReport
from nodes.catalog.schema_scan import FieldSurvey
from nodes.catalog.sources import read_records


def check_data(data: Path) -> CheckReport:
    """Read every record of a folder or file and report what is there; nothing is written.

    Bad records are listed in the report. Raises `DataError` if no catalog
    could be built even without them: a broken file or `dataset.toml`, no
    record at all, a lookup on a field that no record has.
    """
    dataset = load_dataset(data)
    survey = FieldSurvey()
    files = []
    for name in dataset.files:
        records, bad = survey.records, survey.bad_count
        for _, batch, _ in read_records(dataset.folder / name, name, survey.note_bad):
            survey.note(batch)
        files.append(FileReport(name, survey.records - records, survey.bad_count - bad))
    return CheckReport(
        name=dataset.name,
        records=survey.records,
        files=tuple(files),
        fields=survey.reports(),
        lookups=survey.lookups(dataset),
        bad=tuple(survey.bad),
        bad_count=survey.bad_count,
    )
