"""CSV as it is found: delimiters, quotes, line ends, encodings, names and types of columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.catalog.readers.columns import ColumnTypes, column_names
from nodes.catalog.readers.options import ReadingOptions
from nodes.errors import DataError
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import definition
from tests.catalog.readers.kit import EXAMPLES, lines_of, read


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "a.csv"


_cells = st.text("ab,;\t|\" 'é名\n", min_size=1, max_size=5).filter(
    lambda text: text.strip() == text
)
_numbers = ["1", "-7", "0.5", "2.0", "1.10", "007", "1E5", "1e-05", "1.5e+16", "9" * 20, "-0", "+1"]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.tuples(_cells, st.sampled_from(_numbers), _cells), min_size=2, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_program_writes_is_read_back(
    file: Path, rows: list[tuple[str, str, str]], delimiter: str, end: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("name", "n", "note"), *rows])
    file.write_bytes(text.getvalue().encode(encoding))
    reading = read(file)
    assert not reading.bad
    assert [(one["name"], one["note"]) for one in reading.records] == [(a, c) for a, _, c in rows]
    numbers = [one["n"] for one in reading.records]
    texts = [text for _, text, _ in rows]
    assert numbers == texts or [json.dumps(number) for number in numbers] == texts


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(_numbers) | st.floats().map(repr) | st.integers().map(str)))
def test_a_number_is_written_as_its_text_was(texts: list[str]) -> None:
    types = ColumnTypes({})
    for text in texts:
        types.add(["n"], [[text]])
    (convert,) = types.converters(["n"])
    values = [convert(text) for text in texts]
    assert [value if isinstance(value, str) else repr(value) for value in values] == texts
    if types.kind("n") != "text":
        assert len({value or 0 for value in values}) == len(
            {t.replace("-0.0", "0.0") for t in texts}
        )
    one = ColumnTypes({})
    one.add(["n"], [[text] for text in texts])
    assert one.kind("n") == types.kind("n"), "it does not depend on how the rows are read"


def test_types_are_those_of_all_files_whichever_comes_first(put: Put, ask: Ask) -> None:
    table = definition({"q": ["code"]})
    for order in ("ab", "ba"):
        one, two = order
        catalog = ask(
            put(
                {
                    "dataset.toml": table,
                    f"{one}.csv": "code,n\n1.5,1\nn/a,2\n",
                    f"{two}.csv": "code,n\n1.5,3\n70,4\n",
                }
            )
        )
        assert sorted(found["n"] for found in catalog.records("q", "1.5")) == [1, 3]
        assert catalog.records("q", 70) == [{"code": "70", "n": 4}]


def test_types_may_be_declared(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("code,price,n\n7,19.90,007\n8,x,1\n9,.5,99999999999999999999\n")
    reading = read(file, types={"code": "text", "price": "number", "n": "integer"})
    assert reading.records == [{"code": "7", "price": 19.9, "n": 7}]
    assert reading.bad == {
        "a.csv, line 3": "'price' is 'x', and [types] in dataset.toml says number",
        "a.csv, line 4": "'n' is '99999999999999999999', and [types] in dataset.toml says integer",
    }


_lines = st.lists(
    st.sampled_from(['"a"x,1', '"a,1', "a,1,2", "a", 'b"c,1', "good,1", '"g, ood",1', '"a\nb",1']),
    min_size=1,
    max_size=12,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_lines.filter(lambda lines: '"a,1' not in lines))
def test_each_bad_line_is_one_bad_record(file: Path, lines: list[str]) -> None:
    file.write_text("name,n\n" + "\n".join(lines) + "\n")
    reading = read(file)
    expected, number = [], 2
    for line in lines:
        if line in {'"a"x,1', "a,1,2", "a"}:
            expected.append(number)
        number += 1 + line.count("\n")
    assert sorted(lines_of(reading.bad)) == expected
    assert len(reading.records) == len(lines) - len(expected)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000), st.booleans())
def test_a_quote_that_is_not_closed_costs_one_line(
    file: Path, before: int, after: int, quoted_after: bool
) -> None:
    later = '"x, y",1\n' if quoted_after else "xy,1\n"
    file.write_text("name,n\n" + "ab,1\n" * before + '"cd,2\n' + later * after)
    reading = read(file)
    assert lines_of(reading.bad) == [before + 2]
    assert len(reading.records) == before + after


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60) | st.text('ab",;\n\r\t \0\ufeff').map(str.encode))
def test_whatever_is_in_a_file_comes_to_an_end(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    try:
        read(file)
    except DataError as error:
        assert str(error).startswith("a.csv")


FOUND: dict[str, tuple[bytes, dict[str, Any], list[str]]] = {
    "semicolons": (b"a;b\n1;x, y\n", {"a": 1, "b": "x, y"}, ["its cells are separated by ;"]),
    "tabs": (b"a\tb\n1\tx\n", {"a": 1, "b": "x"}, ["its cells are separated by a tab"]),
    "pipes": (b"a|b\n1|x\n", {"a": 1, "b": "x"}, ["its cells are separated by |"]),
    "sep=": (b"sep=;\r\na;b\r\n1;x\r\n", {"a": 1, "b": "x"}, ["its cells are separated by ;"]),
    "blanks": (b"a, b\n1, x\n", {"a": 1, "b": "x"}, ["the blank after each , is left out"]),
    "blank names": (b"a, b \n1,x\n", {"a": 1, "b": "x"}, []),
    "CR": (b"a,b\r1,x\r", {"a": 1, "b": "x"}, ["its lines end in CR"]),
    "UTF-16": ("a,b\n1,名".encode("utf-16"), {"a": 1, "b": "名"}, ["its encoding is utf-16-le"]),
    "one column": (b"a\n1\n", {"a": 1}, []),
    "blank lines first": (b"\n\na,b\n1,x\n", {"a": 1, "b": "x"}, []),
    "unnamed": (
        b",a,\n1,2,\n",
        {"column1": 1, "a": 2},
        ["column 1 has no name: it is 'column1'", "column 3 has no name: it is 'column3'"],
    ),
    "twice": (
        b"a,a,a_2\n1,2,3\n",
        {"a": 1, "a_3": 2, "a_2": 3},
        ["column 2 is named 'a' as well: it is 'a_3'"],
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found_out_how_a_file_is_written(tmp_path: Path, case: str) -> None:
    content, record, notes = FOUND[case]
    for name, packed in (("a.csv", content), ("a.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        reading = read(tmp_path / name)
        assert (reading.records, reading.bad) == ([record], {})
        assert list(dict.fromkeys(reading.notes)) == notes


def test_tabs_are_usual_in_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a, b\tc\n1, 2\t3\n")
    reading = read(tmp_path / "a.tsv")
    assert (reading.records, reading.notes) == ([{"a, b": "1, 2", "c": 3}], [])


def test_it_may_be_told_how_files_are_written(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("name~n~m\nZoë~NA~-\n~1~2\n".encode("cp1252"))
    reading = read(file, encoding="cp1252", delimiter="~", null=("NA", "-"))
    assert reading.records == [{"name": "Zoë"}, {"n": 1, "m": 2}]


def test_a_likely_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("name,city\nal,Rome\nZoë,Köln\nRené,Orléans\nÅsa,Malmö\n".encode("cp1252"))
    reading = read(file)
    assert lines_of(reading.bad) == [3, 4, 5]
    assert len(reading.records) == 1
    assert 'write encoding = "cp1252"' in reading.bad["a.csv, line 3"]
    file.write_bytes("名前,都市\n太郎,東京\n".encode("shift_jis"))
    with pytest.raises(DataError, match=r'in its first line byte 1 is not UTF-8, .*"cp932"'):
        read(file)
    assert read(file, encoding="cp932").records == [{"名前": "太郎", "都市": "東京"}]


@pytest.mark.parametrize("names", [["", ""], ["a", "a", "a"], ["column2", ""], ["a", "a_2", "a"]])
def test_every_column_has_a_name_of_its_own(names: list[str]) -> None:
    found, notes = column_names(names)
    assert len(set(found)) == len(names)
    assert all(found)
    assert len(notes) == sum(one != other for one, other in zip(names, found, strict=True))


def test_a_row_over_the_limit_is_one_bad_record(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    lines = "\n".join(["x" * 1000] * 2000)
    wide = ",".join(["y" * 1000] * 2000)
    file.write_text(f'name,n\nal,1\n"{lines}",2\nbo,3\n{wide}\ncy,4\n')
    reading = read(file)
    assert [one["name"] for one in reading.records if len(one["name"]) == 2] == ["al", "bo", "cy"]
    assert reading.bad["a.csv, line 3"].startswith("a quote that opens a cell here")
    assert reading.bad["a.csv, line 2004"].startswith("it is too large")


def test_a_cell_may_have_as_much_as_a_record(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"name,bio\nal,{'x' * 1_048_000}\n")
    assert len(read(file, types={"bio": "text"}).records[0]["bio"]) == 1_048_000
    assert ReadingOptions().types == {}
