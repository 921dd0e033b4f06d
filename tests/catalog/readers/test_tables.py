"""Tables of other programs: Parquet, spreadsheets, SQLite."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from nodes.catalog import check_data
from nodes.errors import DataError
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import person, write
from tests.catalog.readers.kit import read


def write_parquet(file: Path, columns: dict[str, list[object]]) -> Path:
    import pyarrow
    import pyarrow.parquet as pq

    pq.write_table(pyarrow.table(columns), file)
    return file


def write_sheets(file: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """The smallest workbook that there can be."""

    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return "<c/>" if value is None else f"<c><v>{value}</v></c>"

    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    numbered = list(enumerate(sheets.items(), 1))
    with zipfile.ZipFile(file, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{packages}/content-types"><Default Extension="xml" '
            f'ContentType="{kinds}.sheet.main+xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{packages}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        names = "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, (name, _) in numbered
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n, _ in numbered
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{packages}/relationships">{links}</Relationships>',
        )
        for n, (_, rows) in numbered:
            lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            book.writestr(
                f"xl/worksheets/s{n}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
            )
    return file


def write_tables(file: Path, *scripts: str) -> Path:
    with closing(sqlite3.connect(file)) as db:
        db.executescript(";".join(scripts))
    return file


def test_parquet(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "a.parquet",
        {
            "name": ["al", None],
            "day": [datetime.date(2001, 2, 3), None],
            "price": [decimal.Decimal("1.10"), None],
            "n": [7, None],
            "x": [float("nan"), 0.5],
            "tags": [["a", "b"], []],
            "raw": [b"ok", b"ok"],
        },
    )
    assert read(file).records == [
        {
            "name": "al",
            "day": "2001-02-03",
            "price": "1.10",
            "n": 7,
            "tags": ["a", "b"],
            "raw": "ok",
        },
        {"x": 0.5, "tags": [], "raw": "ok"},
    ]


def test_what_json_has_not_is_one_bad_record(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"x": [float("inf"), 1.0], "b": [b"a", b"\xff"]})
    assert read(file).bad == {
        "a.parquet, record 1": "inf is not a finite number",
        "a.parquet, record 2": "it has bytes that are no UTF-8 text",
    }


def test_a_spreadsheet(tmp_path: Path) -> None:
    rows: list[list[object]] = [[None, None], ["name", "year"], ["al", 2001], [None], ["bo", 1.5]]
    file = write_sheets(tmp_path / "a.xlsx", {"empty": [], "people": rows, "more": rows[1:]})
    reading = read(file)
    assert reading.records == [{"name": "al", "year": 2001}, {"name": "bo", "year": 1.5}]
    assert reading.notes == [
        "its sheet 'people' is read, and not 'more'; records in dataset.toml names another"
    ]
    assert read(file, records="more").records == reading.records
    with pytest.raises(DataError, match=r"no sheet 'x', .* there are 'empty', 'people', 'more'"):
        read(file, records="x")


def test_a_table_of_sqlite(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    write_tables(file, "CREATE TABLE p (name, n, x)", "INSERT INTO p VALUES ('al', 1, NULL)")
    assert read(file).records == [{"name": "al", "n": 1}]
    write_tables(file, 'CREATE TABLE "q""; --" (a)')
    with pytest.raises(DataError, match=r'as records = "p"; there are \'p\', \'q"; --\''):
        read(file)
    assert read(file, records='q"; --').records == []
    assert read(file, records="p").records == [{"name": "al", "n": 1}]


def test_a_table_that_is_written_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE p (name); INSERT INTO p VALUES (1)"
        )
        with pytest.raises(DataError, match=r"some of it is in a\.sqlite-wal yet"):
            read(file)
    assert read(file).records == [{"name": 1}]


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.ods", "a.sqlite", "a.db"])
def test_what_is_none_of_these_is_said_so(tmp_path: Path, name: str) -> None:
    for content in (b"", b"no such file", b"PK\x03\x04" + b"\0" * 100):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"^{name}: "):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.parquet", "pyarrow", "parquet"), ("a.xlsx", "python_calamine", "excel")],
)
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=rf"pip install 'rollcall-console\[{extra}\]'"):
        read(tmp_path / name)


def test_tables_are_served_where_there_is_no_text_beside_them(put: Put, ask: Ask) -> None:
    folder = put({})
    write_parquet(folder / "a.parquet", {"name": ["al"], "location": ["Oslo"], "year": [1]})
    write_sheets(folder / "b.xlsx", {"s": [["name", "location", "year"], ["al", "Rome", 2]]})
    write_tables(
        folder / "c.db", "CREATE TABLE t AS SELECT 'al' AS name, 'B' AS location, 3 AS year"
    )
    catalog = ask(folder)
    assert [one["location"] for one in catalog.records("getbyname", "al")] == ["Oslo", "Rome", "B"]
    report = check_data(write(folder, {"d.json": [person("al")]}))
    assert [one.name for one in report.left_out] == ["a.parquet", "b.xlsx", "c.db"]
    assert "beside text it is read only if" in report.left_out[0].why
