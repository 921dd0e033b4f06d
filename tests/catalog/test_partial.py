"""A catalog that comes in parts: continued, shared, verified, and never seen half."""

from __future__ import annotations

import os
import resource
import shutil
import time
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pytest

from nodes.catalog import PartialCatalog, bytes_so_far, cached_catalog, ensure_catalog, partial
from nodes.catalog.cache import MAX_CATALOGS
from nodes.errors import DataError
from tests.catalog.kit import person, write

DIGEST_OF_NOTHING = "0" * 64


class Sent(NamedTuple):
    """A catalog's file as it is sent."""

    version: str
    data: bytes
    digest: str


@pytest.fixture
def sent(tmp_path: Path) -> Sent:
    """A real one, built in another machine's cache."""
    folder = write(tmp_path / "data", {"a.json": [person(f"ann {n}") for n in range(200)]})
    info = ensure_catalog(folder, cache=tmp_path / "there")
    data = Path(info.path).read_bytes()
    return Sent(info.version, data, blake2b(data, digest_size=32).hexdigest())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """This machine's."""
    return tmp_path / "here"


def files(cache: Path) -> list[str]:
    """What lies among the catalogs."""
    return sorted(path.name for path in (cache / "catalogs").iterdir())


def add(sent: Sent, cache: Path, upto: int) -> bool | None:
    """Adds what is missing up to that byte; whether the whole got its name, if it is there."""
    with partial.partial_catalog(
        sent.version, digest=sent.digest, size=len(sent.data), cache=cache
    ) as part:
        assert part is not None
        part.check_room()
        part.add(sent.data[part.have : upto])
        return part.finish() if part.have == part.size else None


def test_it_goes_on_where_it_was_left_and_is_seen_only_when_whole(sent: Sent, cache: Path) -> None:
    for upto in (1000, 1000, 3000):
        assert add(sent, cache, upto) is None
        assert bytes_so_far(sent.version, digest=sent.digest, cache=cache) == upto
        assert cached_catalog(sent.version, cache=cache) is None
    assert add(sent, cache, len(sent.data)) is True
    found = cached_catalog(sent.version, cache=cache)
    assert found is not None
    assert Path(found.path).read_bytes() == sent.data
    assert files(cache) == [f"{sent.version}.db"]
    assert Path(found.path).stat().st_mode & 0o777 == 0o600


def test_while_one_adds_to_it_others_do_not(sent: Sent, cache: Path) -> None:
    like = {"digest": sent.digest, "size": len(sent.data), "cache": cache}
    with partial.partial_catalog(sent.version, **like) as first:  # type: ignore[arg-type]
        assert isinstance(first, PartialCatalog)
        with partial.partial_catalog(sent.version, **like) as second:  # type: ignore[arg-type]
            assert second is None
        first.add(sent.data)
        assert first.finish()
        with partial.partial_catalog(sent.version, **like) as third:  # type: ignore[arg-type]
            assert third is None, "it is there"
    assert files(cache) == [f"{sent.version}.db"]


@pytest.mark.parametrize("at", [0, 5000, -1])
def test_what_came_damaged_is_thrown_away(sent: Sent, cache: Path, at: int) -> None:
    damaged = bytearray(sent.data)
    damaged[at] ^= 1
    assert add(sent._replace(data=bytes(damaged)), cache, len(damaged)) is False
    assert bytes_so_far(sent.version, digest=sent.digest, cache=cache) == 0
    assert cached_catalog(sent.version, cache=cache) is None
    assert add(sent, cache, len(sent.data)) is True


def test_more_than_there_should_be_is_no_beginning(sent: Sent, cache: Path) -> None:
    add(sent, cache, 2000)
    [name] = files(cache)
    with (cache / "catalogs" / name).open("ab") as file:
        file.write(bytes(len(sent.data)))
    assert add(sent, cache, len(sent.data)) is True


def test_one_left_for_another_time_is_kept(sent: Sent, cache: Path) -> None:
    like = {"digest": sent.digest, "size": len(sent.data), "cache": cache}
    with partial.partial_catalog(sent.version, **like) as part:  # type: ignore[arg-type]
        assert part is not None
        part.add(sent.data)
        assert not part.finish(stopped=lambda: True)
        assert part.have == len(sent.data)
    assert add(sent, cache, len(sent.data)) is True


def test_what_is_no_catalog_is_told_and_not_kept(sent: Sent, cache: Path) -> None:
    data = b"what is this?" * 100
    other = Sent(sent.version, data, blake2b(data, digest_size=32).hexdigest())
    with pytest.raises(DataError, match="is the same version of Rollcall on both machines"):
        add(other, cache, len(data))
    assert files(cache) == []
    with pytest.raises(DataError, match=f"catalog {sent.version} in place of other"):
        add(sent._replace(version="other"), cache, len(sent.data))
    assert files(cache) == []


def test_a_disk_that_is_full_is_told_and_nothing_is_left(sent: Sent, cache: Path) -> None:
    with partial.partial_catalog(
        sent.version, digest=DIGEST_OF_NOTHING, size=1 << 60, cache=cache
    ) as part:
        assert part is not None
        with pytest.raises(DataError, match=r"not enough room; make room there, or set ROLL"):
            part.check_room()
    assert files(cache) == []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(DataError, match=r"cannot be kept in .*: file too large; make room"):
            add(sent, cache, len(sent.data))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(cache) == []


def test_a_folder_that_cannot_be_written_is_told(sent: Sent, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set ROLLCALL_CACHE"):
        add(sent, tmp_path / "file", 1)


def test_what_nobody_goes_on_with_is_removed_in_the_end(sent: Sent, cache: Path) -> None:
    add(sent, cache, 1000)
    [forgotten] = files(cache)
    old = time.time() - partial.PARTIAL_KEPT_S - 1
    os.utime(cache / "catalogs" / forgotten, (old, old))
    assert add(sent._replace(version="another"), cache, 1000) is None
    assert forgotten not in files(cache)
    assert len(files(cache)) == 1


def test_old_catalogs_go_when_there_are_too_many(sent: Sent, cache: Path) -> None:
    (cache / "catalogs").mkdir(parents=True)
    for number in range(MAX_CATALOGS + 1):
        path = cache / "catalogs" / f"old{number}.db"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    assert add(sent, cache, len(sent.data)) is True
    assert len(files(cache)) == MAX_CATALOGS
    assert f"{sent.version}.db" in files(cache)


def test_what_is_added_to_a_file_that_was_removed_is_not_taken_for_a_catalog(
    sent: Sent, cache: Path
) -> None:
    like = {"digest": sent.digest, "size": len(sent.data), "cache": cache}
    with partial.partial_catalog(sent.version, **like) as part:  # type: ignore[arg-type]
        assert part is not None
        part.add(sent.data[:1000])
        shutil.rmtree(cache)
        assert not part.in_place
        part.check_room()
        part.add(sent.data[1000:])
        assert not part.finish()
    assert add(sent, cache, len(sent.data)) is True
