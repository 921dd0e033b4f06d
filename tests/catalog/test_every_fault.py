"""A check of a folder with one of every fault is one page that a person can act on."""

from __future__ import annotations

import gzip
import json

from click.testing import CliRunner

from nodes.cli.data import data as command
from tests.catalog.conftest import Put
from tests.catalog.kit import person

PAGE_LINES = 66
LINE = json.dumps(person("al"))

FAULTS: dict[str, object] = {
    "array.json": f'[{LINE},\n {{"name": "no comma"}}\n {LINE}]',
    "bad-lines.jsonl": f'{LINE}\n{{"name": "cut\n[1]\n{{"a": NaN}}\n{{"b": 1, "b": 2}}\n',
    "codes.csv": "name,location,year,code\nal,Oslo,1,1.10\nbo,Oslo,2,1.1\n",
    "deep.jsonl": '{"a": ' + "[" * 200 + "]" * 200 + "}\n",
    "empty.csv": "",
    "latin.csv": "name,location,year\nZoë,Köln,1\nRené,Orléans,2\n".encode("cp1252"),
    "long.jsonl": LINE + "\n" + "x" * (1 << 21) + "\n",
    "names.csv": "name,,year,year\nal,x,1,2\n",
    "packed.csv.gz": gzip.compress(b"name\n" * 1000)[:-9],
    "quotes.csv": 'name,location,year\n"Al"x,Oslo,1\n"Bo,Oslo,2\nCy,Oslo,3\n',
    "semicolons.csv": "name;location;year\nal;Oslo;1\n",
    "two.json": '{"people": [{"name": "al"}], "towns": [{"name": "Oslo"}]}',
    "widths.csv": "name,location,year\nal,Oslo\nbo,Oslo,1,2\n",
    ".hidden.csv": "name\n",
    "2024/may.csv": "name\nal\n",
    "table.xlsx": b"",
    "notes.txt": "",
}


def test_it_names_every_fault_on_one_page(put: Put) -> None:
    done = CliRunner().invoke(command, ["check", str(put(FAULTS))], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (2, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= PAGE_LINES
    for name in FAULTS:
        part = name.partition("/")[0]
        assert any(line.strip().startswith(part) for line in lines), part
    # It says first what there is, and last what stops it.
    assert lines[0].startswith("data: 9 records, and ")
    at = lines.index("these records cannot be served")
    assert [line.split(",")[0].split(":")[0].strip() for line in lines[at + 1 :]] == [
        "array.json",
        "empty.csv",
        "packed.csv.gz",
        "two.json",
    ]


def test_a_page_is_about_the_folder_and_not_about_the_library(put: Put) -> None:
    text = CliRunner().invoke(command, ["check", str(put(FAULTS))]).output.lower()
    for theirs in ("expecting", "delimiter", "codec", "traceback", "errno", "utf8", "char "):
        assert theirs not in text
