"""The seal: whatever is written to a catalog's file, by whomever, nobody is answered from it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.catalog import ensure_catalog
from nodes.catalog.seal import SEALED_NS, is_sealed
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.errors import DataError
from tests.catalog.conftest import Put
from tests.catalog.kit import person, plain_scan

RECORDS = [person(f"p{number % 50}", f"City {number % 9}", number) for number in range(400)]
ALONE = person("only", "Rome", 7)


def flip(path: Path, seed: int) -> None:
    """Changes one byte, as a program that takes the file for its own may."""
    content = path.read_bytes()
    at = random.Random(seed).randrange(len(content))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes((content[at] ^ 1,)))


HARM: dict[str, Callable[[Path], None]] = {
    "cut": lambda path: os.truncate(path, 8192),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 8192),
    "touched": Path.touch,
    **{f"one byte {seed}": lambda path, seed=seed: flip(path, seed) for seed in range(8)},  # type: ignore[misc]
}


@pytest.mark.parametrize("harm", HARM)
def test_nobody_is_answered_from_a_file_that_was_written_to(put: Put, harm: str) -> None:
    data = put({"a.json": [*RECORDS, ALONE]})
    path = Path(ensure_catalog(data).path)
    catalog = SqliteCatalog.open(path, in_memory_bytes=0)
    with catalog.reader() as reader:
        found = reader.find("getbyname", ["only"])
        assert json.loads(found.body) == [ALONE]
        assert reader.find_single("getbyname", ["only"]) is not None
        HARM[harm](path)
        assert not catalog.is_intact
        assert reader.find_single("getbyname", ["only"]) is None
        assert reader.find_single("getbyname", ["nobody"]) is None
        for use in (
            lambda: reader.find("getbyname", ["only"]),
            lambda: reader.find("getbyname", ["nobody"]),
            lambda: reader.suggest("name", "on"),
            reader.ping,
        ):
            with pytest.raises(DataError):
                use()
    with pytest.raises(DataError, match="build it again"):
        SqliteCatalog.open(path)
    with SqliteCatalog.open(ensure_catalog(data).path).reader() as reader:
        assert json.loads(reader.find("getbyname", ["only"]).body) == [ALONE]


@pytest.mark.parametrize("harm", HARM)
def test_a_small_catalog_answers_as_before_and_says_that_its_file_was_written_to(
    put: Put, harm: str
) -> None:
    data = put({"a.json": [*RECORDS, ALONE]})
    path = Path(ensure_catalog(data).path)
    catalog = SqliteCatalog.open(path)
    with catalog.reader() as reader:
        reader.ping()
        HARM[harm](path)
        assert json.loads(reader.find("getbyname", ["only"]).body) == [ALONE]
        assert reader.find_single("getbyname", ["nobody"]) == (b"", ())
        for number in range(50):
            name = f"p{number}"
            found = json.loads(reader.find("getbyname", [name]).body)
            assert found == plain_scan(RECORDS, ("name",), (name,))
        assert reader.suggest("name", "on") == ["only"]
        assert not catalog.is_intact
        with pytest.raises(DataError):
            reader.ping()
        with pytest.raises(DataError):
            catalog.reader()
    catalog.close()


def test_damage_that_no_write_has_caused_is_told_to_all_who_find_the_file(put: Put) -> None:
    data = put({"a.json": RECORDS})
    path = Path(ensure_catalog(data).path)
    content = path.read_bytes()
    other = SqliteCatalog.open(path)
    with (
        SqliteCatalog.open(path, in_memory_bytes=0).reader() as reader,
        path.open("r+b") as file,
    ):
        file.seek(8192)
        file.write(bytes(len(content) - 8192))
        file.flush()
        os.utime(path, ns=(0, SEALED_NS))
        assert is_sealed(path), "a disk does not say that it has lost something"
        with pytest.raises(DataError):
            reader.find("getbyname", ["p7"])
        assert not other.is_intact
    assert Path(ensure_catalog(data).path).read_bytes() == content


@pytest.mark.parametrize("whose", ["others can write it", "another's"])
def test_a_file_that_others_can_write_is_not_used_and_built_again(put: Put, whose: str) -> None:
    data = put({"a.json": RECORDS})
    path = Path(ensure_catalog(data).path)
    before = path.stat().st_ino
    if whose == "another's":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(path, 12345, -1)
    else:
        path.chmod(0o622)
    with pytest.raises(
        DataError, match=r"(chmod go-w it|make it yours with chown).*build it again"
    ):
        SqliteCatalog.open(path)
    assert ensure_catalog(data).path == str(path)
    status = path.stat()
    assert status.st_ino != before
    assert (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o600)


def test_what_is_wrong_with_a_question_is_no_damage(put: Put) -> None:
    path = Path(ensure_catalog(put({"a.json": RECORDS})).path)
    reader = SqliteCatalog.open(path).reader()
    reader.close()
    with pytest.raises(DataError):
        reader.ping()
    assert is_sealed(path), "a reader that was closed is not the file's fault"


def test_a_copy_is_as_good_if_it_kept_its_time(put: Put, tmp_path: Path) -> None:
    path = Path(ensure_catalog(put({"a.json": RECORDS})).path)
    like, unlike = (tmp_path / name / path.name for name in ("like", "unlike"))
    for copy, place in ((shutil.copy2, like), (shutil.copy, unlike)):
        place.parent.mkdir()
        copy(path, place)
    with SqliteCatalog.open(like).reader() as reader:
        found = json.loads(reader.find("getbyname", ["p7"]).body)
        assert found == plain_scan(RECORDS, ("name",), ("p7",))
    with pytest.raises(DataError, match="copied without its time"):
        SqliteCatalog.open(unlike)
