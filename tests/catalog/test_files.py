"""Which files of a folder are read, and why the others are not; definitions that are proposed."""

from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from nodes.catalog import check_data, ensure_catalog, propose_definition
from nodes.catalog.dataset import load_dataset
from nodes.catalog.files import MAX_FILES, MAX_NAMES_CHARS, checked_names
from nodes.catalog.schema_scan import MAX_FIELDS_KEPT
from nodes.cli.data import data as command
from nodes.errors import DataError
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import definition, person

TABLE = "name,location,year\nal,Oslo,1\n"


def test_every_kind_of_text_is_read(put: Put, ask: Ask) -> None:
    line = json.dumps(person("al"))
    catalog = ask(
        put(
            {
                "a.csv.gz": gzip.compress(TABLE.encode()),
                "b.TSV": TABLE.replace(",", "\t"),
                "c.ndjson": line,
                "d.jsonl.gz": gzip.compress(line.encode()),
                "e.json.gz": gzip.compress(f"[{line}]".encode()),
                "f.csv": TABLE,
                "f.csv.gz": b"the same, packed",
            }
        )
    )
    assert len(catalog.records("getbyname", "al")) == 6


def test_folders_and_patterns_may_be_named(put: Put) -> None:
    files = {f"{year}/{part}.csv": TABLE for year in (2023, 2024) for part in "ab"}
    folder = put(
        {**files, "2024/more/c.json": [], "2024/.d.csv": "", "2024/notes.txt": "", "[x].csv": TABLE}
    )

    def named(*patterns: str) -> tuple[str, ...]:
        (folder / "dataset.toml").write_text(f"files = {json.dumps(patterns)}")
        return load_dataset(folder).files

    assert named("2024/*.csv", "2023/b.csv") == ("2024/a.csv", "2024/b.csv", "2023/b.csv")
    assert named("2024/b.csv", "*/b.csv") == ("2024/b.csv", "2023/b.csv")
    assert named("2024/**/*") == ("2024/a.csv", "2024/b.csv", "2024/more/c.json")
    assert named("[x].csv") == ("[x].csv",)
    for pattern, why in (("2022/*", "no file of records matches"), ("a**", "no file|no pattern")):
        with pytest.raises(DataError, match=why):
            named(pattern)


def test_whatever_is_left_out_is_named_with_the_reason(put: Put) -> None:
    folder = put(
        {
            "a.csv": TABLE,
            "a.csv.gz": b"",
            "notes.txt": "x",
            ".b.csv": TABLE,
            "2024/e.csv": TABLE,
            "2024/deep/f.csv.gz": b"",
            "pictures/g.png": b"",
            ".git/h.json": "[]",
        }
    )
    (folder / "z.csv").symlink_to(folder / "nowhere")
    report = check_data(folder)
    assert {one.name: one.why for one in report.left_out} == {
        ".b.csv": "it is hidden, as its name starts with a dot",
        "2024/ (2 files)": "folders are read only if dataset.toml names their files, as files ="
        ' ["2024/*.csv"]',
        "a.csv.gz": "a.csv is read",
        "notes.txt": "it is of no kind that is read",
        "z.csv": "it is no file, or a link that leads nowhere",
    }
    (folder / "dataset.toml").write_text('files = ["2024/*.csv"]')
    named = {one.name: one.why for one in check_data(folder).left_out}
    assert named["a.csv"] == "dataset.toml does not name it in files"
    assert "2024/ (1 file)" in named
    assert check_data(folder / "a.csv").left_out == ()


def test_too_many_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    for names in ([f"{n}.csv" for n in range(MAX_FILES + 1)], ["x" * MAX_NAMES_CHARS, "a.csv"]):
        with pytest.raises(DataError, match=r"files of records, at most 10,000 are read; join"):
            checked_names(tmp_path, names)


def test_of_more_fields_than_can_be_told_the_first_are_kept(put: Put, ask: Ask) -> None:
    record = {**person("al"), **{f"u{n}": n for n in range(MAX_FIELDS_KEPT)}}
    last = f"u{MAX_FIELDS_KEPT - 1}"
    folder = put({"a.json": [record], "dataset.toml": definition({"late": [last]})})
    report = check_data(folder)
    assert (len(report.fields), report.more_fields, report.problem) == (MAX_FIELDS_KEPT, True, "")
    catalog = ask(folder)
    assert len(catalog.info.fields) == MAX_FIELDS_KEPT
    assert catalog.records("late", MAX_FIELDS_KEPT - 1) == [record]


# -- messages that say what there is instead ------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.json": [{"by": [{"x": 1}]}, {"by": None}]},
            "'by' holds lists without either: a lookup needs text or numbers",
        ),
        ({"a.json": [{"by": {"x": 1}}]}, "'by' holds objects, whose fields are named as"),
        ({"a.json": [{"by": None}]}, "'by' is empty in every record"),
        ({"a.csv": "a,by\n1,\n2,\n"}, "'by' is empty in every record"),
        ({"a.csv": "a,c\n1,\n"}, "no record has 'by', which a lookup is on; the fields found are"),
        ({"a.json": [{" by": 1}]}, "no record has 'by', .* the fields found are ' by'"),
    ],
)
def test_a_field_that_is_there_is_not_said_to_be_missing(
    put: Put, files: dict[str, object], message: str
) -> None:
    data = put({**files, "dataset.toml": definition({"q": ["by"]})})
    with pytest.raises(DataError, match=message):
        ensure_catalog(data)
    assert check_data(data).problem
    assert "by" in {field.name.strip() for field in check_data(data).fields} or "'by'" in message


def test_options_that_are_wrong_are_named(put: Put) -> None:
    for text, message in (
        ("records = 7", "records must be the name of what holds the records"),
        ('key = ""', 'key must be the field that the keys are values of, as "name"'),
        ('encoding = "klingon"', "encoding: 'klingon' is not known; there are utf-8"),
        ('encoding = "hex"', "encoding: 'hex' is not known"),
        ('delimiter = ";;"', 'delimiter must be one character, as ";"'),
        ("null = [7]", 'null must be what stands in a cell without a value, as "NA"'),
        ('types = "x"', '[types] takes fields, each as "text", "integer" or "number"'),
        ('[types]\na = "date"', "or \"number\": 'a' is neither"),
        ('[types]\na = ["text"]', "or \"number\": 'a' is neither"),
    ):
        with pytest.raises(DataError, match=r"dataset\.toml") as caught:
            load_dataset(put({"dataset.toml": text, "a.json": [person("al")]}))
        assert message in str(caught.value)


def test_a_change_of_the_options_is_a_new_catalog(put: Put, ask: Ask) -> None:
    folder = put({"a.csv": "name,location,year\n7,x,1\nNA,x,2\n"})
    assert ask(folder).records("getbyname", "NA") != []
    put({"dataset.toml": 'null = "NA"\n'})
    catalog = ask(folder)
    assert catalog.lookup("getbyname").types == ("integer",)
    put({"dataset.toml": 'null = "NA"\n[types]\nname = "text"\n'})
    assert ask(folder).records("getbyname", 7) == [{"name": "7", "location": "x", "year": 1}]


def test_numbers_are_found_by_their_digits_where_text_is_declared(put: Put, ask: Ask) -> None:
    table = definition({"q": ["code"]}) + '[types]\ncode = "text"\n'
    catalog = ask(put({"a.json": [{"code": 7}, {"code": "007"}], "dataset.toml": table}))
    assert catalog.records("q", "7") == catalog.records("q", 7) == [{"code": 7}]


def test_types_that_no_field_can_have_are_refused(put: Put, ask: Ask) -> None:
    table = definition({"q": ["a"], "p": ["c"]})
    for types, message in (
        ('b = "text"', "[types]: no record has 'b'; the fields found are 'a', 'c'"),
        ('c = "integer"', "[types]: 'c' is to be integer, and some records have text in it"),
    ):
        data = put({"a.json": [{"a": 1, "c": "x"}], "dataset.toml": f"{table}[types]\n{types}\n"})
        assert message in check_data(data).problem
        with pytest.raises(DataError, match="types"):
            ensure_catalog(data)
    # A lookup on a field that is declared a number may ask for fractions.
    put({"dataset.toml": f'{table}[types]\na = "number"\n'})
    catalog = ask(data)
    assert (len(catalog.records("q", 1.0)), catalog.records("q", "1.5")) == (1, [])


# -- data init -----------------------------------------------------------------------------------


def init(folder: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, ["init", str(folder), *options], catch_exceptions=False)
    return done.exit_code, done.output


def test_a_definition_is_written_that_serves_the_records(put: Put, ask: Ask) -> None:
    rows = [
        {
            "id": n,
            "größe": "x" * 20,
            "ünder": n % 7,
            "ä": n % 3,
            'k"\x7f': f"k{n}",
            "ok": True,
            "w": 0.5,
        }
        for n in range(2200)
    ]
    folder = put({'quo"te\x7f.json': rows, "b.csv": "id,note\n1,\n"})
    code, shown = init(folder, "--show")
    assert code == 0
    assert not (folder / "dataset.toml").exists()
    code, told = init(folder)
    assert code == 0
    assert told.endswith(shown)
    assert str(folder / "dataset.toml") in told
    text = (folder / "dataset.toml").read_text()
    written = tomllib.loads(text)
    assert written.keys() == {"name", "lookups"}, "files that come later are to be read as well"
    # One value for all, fractions and what half of all records have are of no use.
    assert list(written["lookups"].values()) == [["id"], ["ünder"], ["ä"], ['k"\x7f']]
    assert len(written["lookups"]) == 4
    assert len(ask(folder).records("getbyid", 5)) == 1
    code, told = init(folder)
    assert code == 2
    assert "is there already" in told
    assert (folder / "dataset.toml").read_text() == text


def test_people_keep_their_lookups(put: Put) -> None:
    folder = put(
        {"a.json": {"al": {"location": "Oslo", "year": 1}, "bo": {"location": "B", "year": 2}}}
    )
    written = tomllib.loads(propose_definition(folder))
    assert list(written["lookups"]) == ["getbyname", "getbylocation", "getbyyear"]
    (folder / "dataset.toml").write_text(propose_definition(folder))
    assert not check_data(folder).problem


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.json": [{"tags": [["a"]]}]}, "there is no field by which few records would be found"),
        ({"a.json": "[]"}, "there is no usable record in a.json"),
        ({"a.json": "{"}, "a.json, line 1, column 2: not JSON"),
    ],
)
def test_where_nothing_can_be_looked_up_nothing_is_written(
    put: Put, files: dict[str, object], message: str
) -> None:
    folder = put(files)
    code, told = init(folder)
    assert code == 2
    assert message in told
    assert not (folder / "dataset.toml").exists()
    assert "[lookups]" not in check_data(folder).problem


def test_names_of_proposed_lookups_differ(put: Put, ask: Ask) -> None:
    data = put({"a.csv": "3,é,ü\n1,2,3\n"})
    put({"dataset.toml": check_data(data).problem.partition("for example:\n\n")[2]})
    assert len(ask(data).info.lookups) == 3
