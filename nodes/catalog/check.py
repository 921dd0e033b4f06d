"""Validation of a dataset, without building a catalog from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodes.catalog.dataset import Dataset, load_dataset
from nodes.catalog.files import DEFINITION_FILE, left_out
from nodes.catalog.model import Lookup
from nodes.catalog.proposal import proposed_definition
from nodes.catalog.reports import CheckReport, FileReport, LeftOut
from nodes.catalog.schema_scan import FullSchemaScan
from nodes.catalog.sources import Sources
from nodes.errors import DataError
from nodes.support.os_errors import explain_os_error


def check_data(data: Path) -> CheckReport:
    """Read every record of a folder or file and report what was found; writes nothing.

    Args:
        data: A folder or a file of records.

    Returns:
        The report, which lists bad records, files that cannot be read, and why no catalog can be
        built, if so.

    Raises:
        DataError: There is nothing to read, or `dataset.toml` is wrong.
    """
    return _Check(data, load_dataset(data)).report()


def propose_definition(data: Path) -> str:
    """The text of a `dataset.toml` for a folder without one; reads every record, writes nothing.

    Raises:
        DataError: There is one, or no lookup could be on any field.
    """
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder, in which a {DEFINITION_FILE} could be")
    if (data / DEFINITION_FILE).exists():
        raise DataError(f"{data / DEFINITION_FILE} is there already; it is left as it is")
    dataset = load_dataset(data)
    check = _Check(data, dataset)
    report = check.report()
    if not report.records:
        raise DataError(report.problem)
    return proposed_definition(dataset, report)


def write_definition(data: Path, text: str) -> None:
    """Writes what `propose_definition` said into the folder.

    Raises:
        DataError: There is a `dataset.toml` by now, or it cannot be written.
    """
    path = data / DEFINITION_FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {explain_os_error(error)}") from None


class _Check:
    """A check of a dataset, which goes on after each file that cannot be read."""

    def __init__(self, data: Path, dataset: Dataset) -> None:
        if dataset.store is not None and not dataset.files:
            raise DataError(f"{data}: its records lie in a store; there are no files here to check")
        self._data = data
        self._dataset = dataset
        self._scan = FullSchemaScan(dataset.reading.types)
        self._notes: dict[str, dict[str, None]] = defaultdict(dict)
        self._problems: dict[str, str] = {}

    def report(self) -> CheckReport:
        """The report."""
        dataset, scan = self._dataset, self._scan
        sources = Sources(
            dataset.folder, dataset.files, dataset.reading, scan.add_bad_record, self._note
        )
        for number, name in enumerate(dataset.files):
            with self._noted(name):
                for _ in sources.scan(number):
                    pass
        files = [self._file(sources, number) for number in range(len(dataset.files))]
        for field in sources.types.empty_fields():
            scan.add_field(field, findable=False)
        problem = "\n".join(
            self._problems[name] for name in dataset.files if name in self._problems
        )
        lookups: tuple[Lookup, ...] = ()
        if not problem:
            try:
                lookups = scan.lookups(dataset, reasons=False)
            except DataError as error:
                problem = str(error)
        return CheckReport(
            name=dataset.name,
            records=scan.records,
            files=tuple(files),
            left_out=self._left_out(),
            fields=scan.reports(sources.types.notes()),
            more_fields=scan.more_fields,
            lookups=lookups,
            bad=tuple(scan.bad),
            bad_count=scan.bad_count,
            problem=problem,
        )

    def _file(self, sources: Sources, number: int) -> FileReport:
        name = self._dataset.files[number]
        scan = self._scan
        records, bad = scan.records, scan.bad_count
        if name not in self._problems:
            with self._noted(name):
                for _, batch, _ in sources.read(number):
                    scan.key_columns(batch, self._dataset.fields())
        return FileReport(
            name=name,
            records=scan.records - records,
            bad=scan.bad_count - bad,
            notes=tuple(self._notes[name]),
            problem=self._problems.get(name, ""),
        )

    def _note(self, name: str, text: str) -> None:
        self._notes[name][text] = None

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            self._problems[name] = str(error)

    def _left_out(self) -> tuple[LeftOut, ...]:
        if self._data.is_file():
            return ()
        declared = self._dataset.files_declared
        return left_out(self._dataset.folder, self._dataset.files, declared=declared)
