"""A hundred files as people have them are read without an option, and as one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.catalog import check_data
from nodes.errors import DataError
from tests.catalog.conftest import Ask
from tests.catalog.corpus import File, corpus, write_corpus
from tests.catalog.readers.kit import read

FILES = list(corpus())


@pytest.mark.parametrize("one", FILES, ids=[file.name for file in FILES])
def test_a_file_is_read_as_it_is_found(tmp_path: Path, one: File) -> None:
    path = write_corpus(tmp_path / "a", [one]) / one.name
    if one.needs_encoding:
        try:
            bad = " ".join(read(path).bad.values())
        except DataError as error:
            bad = str(error)
        assert 'write encoding = "' in bad
        assert read(path, encoding="cp1252").records == one.records
    else:
        reading = read(path)
        assert (reading.records, reading.bad) == (one.records, {})


def test_all_but_those_whose_encoding_is_not_told_are_served(tmp_path: Path, ask: Ask) -> None:
    told = [file for file in FILES if not file.needs_encoding]
    assert len(told) == 97
    folder = write_corpus(tmp_path / "all", told)
    report = check_data(folder)
    assert (report.bad_count, report.problem) == (0, "")
    assert report.records == sum(len(file.records) for file in told)
    expected = [one for file in sorted(told) for one in file.records if one["name"] == "Bob; jr"]
    catalog = ask(folder)
    assert catalog.records("getbyname", "Bob; jr") == expected
