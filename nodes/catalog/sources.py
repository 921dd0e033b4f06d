"""The sources of a dataset: all its files, read as one.

They are gone through twice: columns of cells that have no types get them from all files first, so
that no type depends on which file comes first; then the records are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from nodes.catalog.readers.columns import ColumnTypes
from nodes.catalog.readers.formats import read_source, scan_source
from nodes.catalog.readers.options import ReadingOptions
from nodes.catalog.readers.records import Batch, ReportBadRecord
from nodes.catalog.readers.source import Source

Note = Callable[[str, str], None]
"""Called with a file's name, and what a person may want to know of how it was read."""


class Sources:
    """The files of a dataset, each up to the size that it has now.

    Attributes:
        types: The types of the columns of cells, complete when all files are scanned.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[str],
        options: ReadingOptions,
        report_bad: ReportBadRecord,
        note: Note = lambda _name, _text: None,
    ) -> None:
        """Initialize.

        Args:
            folder: The folder of the files.
            files: Their paths in it, which are their names in messages.
            options: How they are to be read.
            report_bad: Called for each record that cannot be used.
            note: Told how files were read.

        Raises:
            DataError: A file is not there.
        """
        self.types = ColumnTypes(options.types)
        self._sources = [
            Source(folder / name, name, options, report_bad, partial(note, name)) for name in files
        ]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(source.size for source in self._sources)

    def scan(self, number: int) -> Iterator[int]:
        """Find the types of the columns of one file; yields how many of its bytes are done with.

        Raises:
            DataError: It cannot be read.
        """
        return scan_source(self._sources[number], self.types)

    def read(self, number: int) -> Iterator[Batch]:
        """Read the records of one file, when all are scanned.

        Raises:
            DataError: It cannot be read.
        """
        return read_source(self._sources[number], self.types)


def read_records(
    path: Path, name: str, report_bad: ReportBadRecord, options: ReadingOptions | None = None
) -> Iterator[Batch]:
    """Read the records of a single file, in their order.

    Args:
        path: The file; its suffix tells the format.
        name: Its name in messages.
        report_bad: Called for each record that cannot be used.
        options: How it is to be read.

    Raises:
        DataError: It cannot be read.
    """
    types = ColumnTypes((options or ReadingOptions()).types)
    source = Source(path, name, options or ReadingOptions(), report_bad)
    for position in scan_source(source, types):
        yield position, [], []
    yield from read_source(source, types)
