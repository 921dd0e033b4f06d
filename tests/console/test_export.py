"""Records in a file, as JSON and as CSV."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.export import export
from nodes.errors import BadRequest

RECORDS: list[dict[str, Any]] = [
    {"record_id": "1", "name": 'Zoë, "Z"', "year": 2002, "tags": ["a", {"b": 1}]},
    {"record_id": "2", "name": "two\nlines", "note": None, "ok": True, "score": -1.5},
]

FORMULAS = ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"]


def rows(path: Path) -> list[list[str]]:
    """A CSV file as another program reads it."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_json_is_the_records_as_they_were(tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    assert export(RECORDS, str(target)) == target.resolve()
    assert json.loads(target.read_text("utf-8")) == RECORDS
    assert target.read_text("utf-8").startswith('[\n  {\n    "record_id": "1",')


def test_csv_has_a_column_for_every_field_of_any_record(tmp_path: Path) -> None:
    target = tmp_path / "found.csv"
    assert export(RECORDS, str(target)) == target.resolve()
    assert rows(target) == [
        ["record_id", "name", "year", "tags", "note", "ok", "score"],
        ["1", 'Zoë, "Z"', "2002", '["a",{"b":1}]', "", "", ""],
        ["2", "two\nlines", "", "", "", "True", "-1.5"],
    ]


@pytest.mark.parametrize("text", FORMULAS, ids=repr)
def test_no_spreadsheet_takes_a_text_for_a_formula(tmp_path: Path, text: str) -> None:
    target = tmp_path / "found.csv"
    export([{"name": text, text: "named so"}], str(target))
    assert rows(target) == [["name", f"'{text}"], [f"'{text}", "named so"]]


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(codec="utf-8"), min_size=1),
            st.one_of(st.text(st.characters(codec="utf-8")), st.integers(), st.none()),
            min_size=2,
        )
    )
)
def test_whatever_the_text_a_reader_finds_it_where_it_was(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("export")
    as_json, as_csv = folder / "found.json", folder / "found.csv"
    export(records, str(as_json))
    assert json.loads(as_json.read_text("utf-8")) == records
    export(records, str(as_csv))
    head, *body = rows(as_csv) or [[]]
    fields = list(dict.fromkeys(field for record in records for field in record))
    assert [name[name.startswith("'") and name not in fields :] for name in head] == fields
    assert [len(row) for row in body] == [len(fields)] * len(records)
    for record, row in zip(records, body, strict=True):
        for field, cell in zip(fields, row, strict=True):
            value = record.get(field)
            plain = "" if value is None else str(value)
            assert cell == plain or (isinstance(value, str) and cell == f"'{value}")
            assert isinstance(value, int) or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_none_found_is_a_file_too(tmp_path: Path) -> None:
    export([], str(tmp_path / "none.json"))
    assert json.loads((tmp_path / "none.json").read_text()) == []
    export([], str(tmp_path / "none.csv"))
    assert (tmp_path / "none.csv").read_text().strip() == ""


def test_numbers_of_any_size_are_exported(tmp_path: Path) -> None:
    export([{"big": 2**70}], str(tmp_path / "big.json"))
    assert json.loads((tmp_path / "big.json").read_text()) == [{"big": 2**70}]


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_file_that_is_there_is_never_touched(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"found.{suffix}"
    target.write_text("mine")
    with pytest.raises(BadRequest, match="there already; choose another name"):
        export(RECORDS, str(target))
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["found", "found.txt", "found.json.gz", "", ".", "x" * 5000])
def test_a_name_that_does_not_say_the_form_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=r"end the name in \.json or \.csv") as caught:
        export(RECORDS, name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("suffix", ["json", "csv"])
@pytest.mark.parametrize(
    "name",
    ["no/such/folder/x", "~no-such-user/x", "\0x", "y" * 300],
    ids=["folder", "user", "nul", "long"],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, name: str, suffix: str) -> None:
    target = f"{name}.{suffix}" if name.startswith("~") else f"{tmp_path}/{name}.{suffix}"
    with pytest.raises(BadRequest):
        export(RECORDS, target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_text_that_is_none_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(BadRequest, match="cannot be written"):
        export([{"name": "\ud800"}], str(tmp_path / f"x.{suffix}"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.json"
    opened = os.open

    def full(path: Path, flags: int, mode: int) -> int:
        os.close(opened(path, flags, mode))
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(BadRequest, match="cannot be written: No space left"):
        export(RECORDS, str(target))
    assert not target.exists()


def test_the_home_folder_has_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export(RECORDS, "~/found.json") == (tmp_path / "found.json").resolve()
