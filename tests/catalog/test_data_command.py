"""`rollcall-nodes data check` and `data build`, for people and for machines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.cli.data import build_with_progress
from nodes.cli.data import data as command
from tests.catalog.conftest import Put
from tests.catalog.kit import catalogs, definition, person

AL, BO = person("al"), person("Zoë", extra=[1])


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args], catch_exceptions=False)


def parsed(result: Result) -> dict[str, Any]:
    """The one JSON object on stdout."""
    (line,) = result.stdout.splitlines()
    value: dict[str, Any] = json.loads(line)
    return value


# -- check ---------------------------------------------------------------------------------------


def test_check_reports_and_writes_nothing(put: Put, cache: Path) -> None:
    result = run("check", put({"a.json": [AL, BO], "b.csv": "name,location,year\nbo,Oslo,1\n"}))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "data: 3 records",
        "  a.json: 2 records",
        "  b.csv: 1 record",
        "fields",
        '  name: text, in 3, as "al"',
        '  location: text, in 3, as "Oslo"',
        "  year: integer, in 3, as 2001",
        "  extra: list of integer, in 1, as [1]",
        "lookups: getbyname(name), getbylocation(location), getbyyear(location, year)",
    ]
    assert catalogs(cache) == []


def test_check_as_json(put: Put) -> None:
    table = definition({"by": ["size"]}, name="things")
    result = run(
        "check", "--json", put({"a.json": [{"size": 1.5, "no": None}], "dataset.toml": table})
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert parsed(result) == {
        "name": "things",
        "records": 1,
        "files": [{"name": "a.json", "records": 1, "bad": 0, "notes": [], "problem": ""}],
        "left_out": [],
        "fields": [
            {
                "name": "size",
                "type": "number",
                "records": 1,
                "values": 1,
                "example": "1.5",
                "note": "",
            },
            {"name": "no", "type": "null", "records": 0, "values": 0, "example": "", "note": ""},
        ],
        "more_fields": False,
        "lookups": [{"name": "by", "fields": ["size"], "types": ["number"]}],
        "bad": [],
        "bad_count": 0,
        "problem": "",
    }


def test_check_lists_bad_records_and_exits_with_1(put: Put) -> None:
    data = put({"a.jsonl": json.dumps(AL) + "\n7" * 25})
    result = run("check", data)
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "data: 1 record, and 25 that cannot be used"
    assert "  a.jsonl: 1 record, 25 bad" in lines
    assert "  a.jsonl, line 2: a record must be an object, this is a number" in lines
    assert "  and 5 more" in lines
    result = run("check", "--json", data)
    assert result.exit_code == 1
    report = parsed(result)
    assert (report["records"], report["bad_count"], len(report["bad"])) == (1, 25, 25)
    assert report["bad"][0]["where"] == "a.jsonl, line 2"


def test_the_data_that_ships_is_the_default() -> None:
    result = run("check", "--json")
    assert result.exit_code == 0
    assert parsed(result)["name"] == "people"


# -- build ---------------------------------------------------------------------------------------


def test_build_tells_where_the_catalog_is(put: Put, cache: Path) -> None:
    result = run("build", put({"a.json": [AL, BO]}))
    assert (result.exit_code, result.stderr) == (0, "")
    first, lookups, path = result.stdout.splitlines()
    assert first.startswith("data: 2 records, catalog ")
    assert lookups == "lookups: getbyname(name), getbylocation(location), getbyyear(location, year)"
    assert [Path(path).name] == catalogs(cache)
    assert SqliteCatalog.open(path).info.version in first


def test_build_as_json(put: Put) -> None:
    data = put({"a.json": [AL, BO]})
    found = parsed(run("build", "--json", data))
    info = SqliteCatalog.open(found["path"]).info
    assert found == {
        "path": info.path,
        "name": "data",
        "version": info.version,
        "records": 2,
        "lookups": [
            {"name": "getbyname", "fields": ["name"], "types": ["text"]},
            {"name": "getbylocation", "fields": ["location"], "types": ["text"]},
            {"name": "getbyyear", "fields": ["location", "year"], "types": ["text", "integer"]},
        ],
        "fields": ["name", "location", "year", "extra"],
        "files": ["a.json"],
        "bytes": Path(info.path).stat().st_size,
        "skipped": 0,
    }
    assert parsed(run("build", "--json", data)) == found
    inode = Path(info.path).stat().st_ino
    assert parsed(run("build", "--json", "--force", data)) == found
    assert Path(info.path).stat().st_ino != inode


def test_build_fails_on_bad_records_unless_told_to_skip_them(put: Put, cache: Path) -> None:
    data = put({"a.json": [AL, None, BO]})
    result = run("build", data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "1 record(s) cannot be used" in result.stderr
    assert "a.json, record 2: a record must be an object, this is null" in result.stderr
    assert "--skip-bad" in result.stderr
    assert catalogs(cache) == []
    result = run("build", "--skip-bad", data)
    assert result.exit_code == 0
    assert "1 bad record(s) left out; see: rollcall-nodes data check" in result.stdout
    assert parsed(run("build", "--skip-bad", "--json", data))["skipped"] == 1


UNUSABLE: list[tuple[dict[str, object], str]] = [
    ({"a.json": "[\n{]"}, "a.json, line 2, column 2: not JSON"),
    ({"a.csv": "name\n\xff"}, "no record has 'location', 'year'"),
    ({"a.json": [{"title": "x"}]}, "the fields found are 'title'"),
]


@pytest.mark.parametrize(("files", "message"), UNUSABLE)
def test_data_that_cannot_be_used_exits_with_2(
    put: Put, files: dict[str, object], message: str
) -> None:
    data = put(files)
    result = run("build", data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("rollcall-nodes: ")
    assert message in result.stderr
    result = run("build", "--json", data)
    assert result.exit_code == 2
    error = parsed(result)
    assert (error["error"], error["code"]) == (True, "data")
    assert message in error["error_message"]


@pytest.mark.parametrize(("files", "message"), UNUSABLE)
def test_a_check_of_it_reports_all_the_same(
    put: Put, files: dict[str, object], message: str
) -> None:
    data = put({**files, "z.json": [{"other": 1}]})
    result = run("check", data)
    assert (result.exit_code, result.stderr) == (2, "")
    assert message in result.stdout
    assert "  z.json: 1 record" in result.stdout.splitlines()
    report = parsed(run("check", "--json", data))
    assert message in report["problem"]
    assert report["lookups"] == []


@pytest.mark.parametrize("verb", ["check", "build"])
def test_a_folder_without_records(put: Put, verb: str) -> None:
    data = put({"readme.txt": "x"})
    result = run(verb, data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there are no records here; add a file" in result.stderr
    assert parsed(run(verb, "--json", data))["code"] == "data"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = run("check", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere: no such folder or file of records" in result.stderr


def test_the_file_to_write_is_shown(put: Put) -> None:
    data = put({"a.json": [{"team": "Owls", "season": 2019}]})
    message = parsed(run("build", "--json", data))["error_message"]
    assert message.endswith(
        'name = "data"\n\n[lookups]\ngetbyteam = ["team"]\ngetbyseason = ["season"]\n'
    )


def test_names_from_the_data_cannot_steer_the_terminal(put: Put) -> None:
    table = definition({"by": ["\x1b[2J"]})
    result = run("check", put({"a\x1b[1m.json": [{"\x1b[2J": 1}], "dataset.toml": table}))
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert r"\x1b[2J" in result.stdout


# -- the progress bar ----------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "after", "shown"),
    [(Terminal, 0.0, True), (Terminal, 3600.0, False), (io.StringIO, 0.0, False)],
)
def test_a_long_build_shows_a_bar_on_a_terminal(
    put: Put, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], after: float, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    data = put({"a.json": [AL, BO]})
    assert build_with_progress(data, bar_after_s=after).records == 2
    text = stderr.getvalue()
    assert ("read" in text and "index" in text) is shown
    assert (text == "") is not shown
