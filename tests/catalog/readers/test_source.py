"""Sources: files that change, grow, vanish, are packed, too large, or in another encoding."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.readers.json_lines import read_json_lines
from nodes.catalog.readers.options import ReadingOptions
from nodes.catalog.readers.records import MAX_RECORD_BYTES
from nodes.catalog.sources import Sources
from nodes.errors import DataError
from tests.catalog.conftest import Put
from tests.catalog.kit import person
from tests.catalog.readers.kit import Reading, lines_of, read


def test_what_is_appended_while_it_is_read_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("name,year\nann,1999\n")
    reading = Reading(file).scan()
    with file.open("a") as out:
        out.write("bob,unknown\n")
    assert reading.read().records == [{"name": "ann", "year": 1999}]


def test_what_changes_while_it_is_read_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("name,year\nann,1999\n")
    reading = Reading(file).scan()
    file.write_text("name,year\nann,none\n")
    with pytest.raises(DataError, match=r"^a\.csv changed while it was read; try again"):
        reading.read()


def test_a_file_that_grows_as_fast_as_it_is_read_comes_to_an_end(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    line = '{"name": "al"}\n'
    file.write_text(line)
    reading = Reading(file)
    count = 0
    with file.open("a") as out:
        for _, records, _ in read_json_lines(reading.source, block_bytes=1):
            count += len(records)
            out.write(line)
            out.flush()
            assert count < 10
    assert count == 1


@pytest.mark.parametrize("scanned", [False, True])
def test_a_file_that_vanishes_is_named(put: Put, scanned: bool) -> None:
    data = put({"a.csv": "name\nal\n", "b.json": [person("bo")]})
    sources = Sources(data, ["a.csv", "b.json"], ReadingOptions(), lambda _where, _why: None)
    if scanned:
        assert list(sources.scan(0))
    (data / "a.csv").unlink()
    with pytest.raises(DataError, match=r"^a\.csv cannot be read: no such file or directory"):
        list(sources.read(0) if scanned else sources.scan(0))
    with pytest.raises(DataError, match=r"^a\.csv cannot be read: no such file"):
        Sources(data, ["a.csv"], ReadingOptions(), lambda _where, _why: None)


def test_a_build_of_a_file_that_vanishes_does_not_blame_the_cache(put: Put) -> None:
    data = put({"a.jsonl": f"{'{}'}\n" * 10, "b.json": [person("bo")]})

    def vanish(stage: str, done: int, total: int) -> None:
        (data / "b.json").unlink(missing_ok=True)

    with pytest.raises(DataError, match=r"^b\.json cannot be read: No such file"):
        ensure_catalog(data, progress=vanish)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz"])
def test_a_line_over_the_limit_is_left_out_and_not_kept(tmp_path: Path, name: str) -> None:
    first = "name" if "csv" in name else '{"name": 1}'
    line = "al" if "csv" in name else '{"name": "al"}'
    text = f"{first}\n{line}\n{'x' * 3 * MAX_RECORD_BYTES}\n{line}\n".encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    reading = read(file)
    assert lines_of(reading.bad) == [3]
    assert [one["name"] for one in reading.records][-2:] == ["al", "al"]


def test_packed_files_that_are_cut_short_or_none_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(b'{"name": "al"}\n' * 1000)
    for content in (whole[:-10], whole[:40] + b"x" * 20 + whole[60:], b"{}"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"^a\.jsonl\.gz: it is cut short or damaged"):
            read(file)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
def test_text_of_every_format_may_have_another_encoding(tmp_path: Path, encoding: str) -> None:
    told = {"encoding": encoding} if encoding in {"utf-16-be", "cp1252"} else {}
    for name, text in (
        ("a.json", '[{"name": "Zoë"}]'),
        ("a.jsonl", '{"name": "Zoë"}\n'),
        ("a.csv", "name,n\nZoë,\n"),
    ):
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert read(tmp_path / name, **told).records == [{"name": "Zoë"}]


def test_an_encoding_is_that_of_files_that_are_not_utf_8(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", "name\nZoë\n".encode()),
        ("b.csv", "name\nZoë\n".encode("cp1252")),
        ("c.csv.gz", gzip.compress("name\nZoë\n".encode("utf-16"))),
    ):
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name, encoding="cp1252").records == [{"name": "Zoë"}]
    # What is ASCII by its bytes may be another encoding all the same.
    (tmp_path / "d.csv").write_bytes("name\n東京\n".encode("iso2022_jp"))
    assert read(tmp_path / "d.csv", encoding="iso2022_jp").records == [{"name": "東京"}]


def test_what_an_encoding_does_not_have_is_one_bad_record(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"name": "\x81"}\n{"name": "\xeb"}\n')
    reading = read(file, encoding="cp1252")
    assert reading.records == [{"name": "ë"}]
    assert reading.bad == {
        "a.jsonl, line 1": "byte 11 cannot be read as cp1252; correct the encoding"
    }


def test_a_source_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a\.json cannot be read: is a directory"):
        (tmp_path / "a.json").mkdir()
        Reading(tmp_path / "a.json").read()
