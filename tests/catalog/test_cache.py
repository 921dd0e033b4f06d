"""The catalog cache: a catalog is found again, built, kept, evicted."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from nodes.catalog import CatalogInfo, ensure_catalog
from nodes.catalog.cache import MAX_CATALOGS, MAX_STAMPS
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.errors import DataError
from tests.catalog.conftest import Ask, Put
from tests.catalog.kit import catalog_of, catalogs, definition, person, write

AL, BO = person("al"), person("bo")


AT_ONCE_NS = -1_000_000_000
"""Makes new files count as settled, so that no test waits until its files are old enough."""

ensure_settled = functools.partial(ensure_catalog, settle_ns=AT_ONCE_NS)


class Builds:
    """Finds or builds catalogs, and keeps the version of each that was built."""

    def __init__(self) -> None:
        self.versions: list[str | None] = []
        """None for a build that failed."""

    def ensure(self, data: Path, **options: Any) -> CatalogInfo:
        """`ensure_catalog`, which reports progress exactly if it builds."""
        started: list[None] = []

        def progress(stage: str, done: int, total: int) -> None:
            if (stage, done) == ("read", 0) and not started:
                started.append(None)

        version = None
        try:
            info = ensure_catalog(data, progress=progress, **options)
            version = info.version
        finally:
            self.versions += [version for _ in started]
        return info

    def ensure_settled(self, data: Path, **options: Any) -> CatalogInfo:
        """The same for files that count as settled."""
        return self.ensure(data, settle_ns=AT_ONCE_NS, **options)


@pytest.fixture
def builds() -> Builds:
    return Builds()


# -- found again, or built anew ------------------------------------------------------------------


def test_a_catalog_is_built_once_and_named_by_its_version(
    put: Put, cache: Path, builds: Builds
) -> None:
    data = put({"a.json": [AL]})
    first = builds.ensure(data)
    assert first == builds.ensure(data)
    assert builds.versions == [first.version]
    assert catalogs(cache) == [f"{first.version}.db"]
    assert first.path == str(cache / "catalogs" / f"{first.version}.db")
    assert first.bytes == Path(first.path).stat().st_size
    assert len(first.version) == 12
    assert (first.records, first.files, first.skipped) == (1, ("a.json",), 0)


def test_the_same_content_elsewhere_has_the_same_catalog(tmp_path: Path, builds: Builds) -> None:
    one = builds.ensure(write(tmp_path / "one" / "data", {"a.json": [AL]}))
    other = builds.ensure(write(tmp_path / "other" / "data", {"a.json": [AL]}))
    assert one == other
    assert builds.versions == [one.version]


def test_while_files_look_the_same_they_are_not_read(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = put({"a.json": [AL], "b.csv": "name,location,year\n"})
    first = ensure_settled(data)
    opened: list[str] = []
    real = Path.open

    def noted(self: Path, *args: Any, **options: Any) -> Any:
        opened.append(self.name)
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", noted)
    assert ensure_settled(data) == first
    assert not {"a.json", "b.csv"} & set(opened)
    (data / "a.json").touch()
    assert ensure_settled(data) == first
    assert "a.json" in opened


def test_a_change_at_once_and_of_the_same_size_is_seen(put: Put) -> None:
    for number in range(40):
        data = put({"a.json": [person(f"p{number % 2}")]})
        with catalog_of(data) as catalog:
            assert catalog.records("getbyname", f"p{number % 2}") == [person(f"p{number % 2}")]
            assert catalog.records("getbyname", f"p{(number + 1) % 2}") == []


def test_files_that_changed_a_moment_ago_are_read_again(put: Put, cache: Path) -> None:
    # They could change once more within the same tick of the file system's clock.
    data = put({"a.json": [AL]})
    hour_ns = 3600 * 10**9
    assert ensure_catalog(data, settle_ns=hour_ns) == ensure_catalog(data, settle_ns=hour_ns)
    assert not (cache / "stamps").exists()


def test_a_change_with_the_old_time_put_back_is_seen(put: Put, ask: Ask) -> None:
    data = put({"a.json": [AL]})
    before = (data / "a.json").stat()
    first = ensure_settled(data)
    put({"a.json": [BO]})
    os.utime(data / "a.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    with catalog_of(data, settle_ns=AT_ONCE_NS) as catalog:
        assert catalog.info.version != first.version
        assert catalog.records("getbyname", "bo") == [BO]


@pytest.mark.parametrize(
    "change",
    [
        {"a.json": [BO]},
        {"b.json": [BO]},
        {"dataset.toml": 'name = "other"'},
        {"dataset.toml": definition({"getbyname": ["name"]})},
        {"dataset.toml": 'files = ["z.json", "a.json"]'},
    ],
)
def test_whatever_changes_the_answers_changes_the_version(
    put: Put, change: dict[str, object], builds: Builds
) -> None:
    files: dict[str, object] = {"a.json": [AL], "z.json": [AL]}
    first = builds.ensure_settled(put(files))
    second = builds.ensure_settled(put(change))
    assert second.version != first.version
    assert builds.versions == [first.version, second.version]
    assert SqliteCatalog.open(first.path).info == first


def test_going_back_finds_the_old_catalog(put: Put, builds: Builds) -> None:
    versions = [builds.ensure(put({"a.json": [one]})).version for one in (AL, BO, AL)]
    assert versions == [*builds.versions, builds.versions[0]]


def test_force_builds_the_same_again(put: Put, builds: Builds, cache: Path) -> None:
    data = put({"a.json": [AL]})
    with SqliteCatalog.open(builds.ensure(data).path).reader() as old:
        again = builds.ensure(data, force=True)
        assert builds.versions == [again.version] * 2
        assert catalogs(cache) == [f"{again.version}.db"]
        assert old.find("getbyname", ["al"]).count == 1


@pytest.mark.parametrize("stamp", [b"", b"{", b"[]", b'{"signature": 7}', b"\xff\0"])
def test_a_damaged_stamp_costs_a_digest_and_nothing_else(
    put: Put, cache: Path, builds: Builds, stamp: bytes
) -> None:
    data = put({"a.json": [AL]})
    first = builds.ensure_settled(data)
    (file,) = (cache / "stamps").iterdir()
    intact = file.read_bytes()
    file.write_bytes(stamp)
    assert builds.ensure_settled(data) == first
    assert file.read_bytes() == intact
    assert builds.versions == [first.version]


def test_without_stamps_it_works_as_well(put: Put, cache: Path) -> None:
    cache.mkdir()
    (cache / "stamps").write_text("a file where the folder should be")
    data = put({"a.json": [AL]})
    assert ensure_settled(data) == ensure_settled(data)


# -- bad records, broken and changing files ------------------------------------------------------


def test_a_catalog_that_lacks_bad_records_is_only_for_those_who_said_so(
    put: Put, builds: Builds
) -> None:
    data = put({"a.json": [AL, "bad"]})
    skipping = builds.ensure_settled(data, skip_bad=True)
    assert (skipping.records, skipping.skipped) == (1, 1)
    with pytest.raises(DataError, match=r"a\.json, record 2: "):
        builds.ensure_settled(data)
    assert builds.ensure_settled(data, skip_bad=True) == skipping
    assert builds.versions == [skipping.version, None]


def test_without_bad_records_it_is_the_same_catalog_for_all(put: Put, builds: Builds) -> None:
    data = put({"a.json": [AL]})
    assert builds.ensure(data, skip_bad=True) == builds.ensure(data)
    assert len(builds.versions) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"a.json": '[{"name": "al"'},
        {"a.json": [AL, 7]},
        {"a.json": [{"title": "no people"}]},
        {"a.json": "[]"},
        {"dataset.toml": "name = "},
        {"dataset.toml": 'files = ["gone.json"]'},
    ],
)
def test_broken_records_leave_the_old_catalog_as_it_is(
    put: Put, cache: Path, broken: dict[str, object]
) -> None:
    data = put({"a.json": [AL]})
    first = ensure_settled(data)
    content = Path(first.path).read_bytes()
    put(broken)
    with pytest.raises(DataError):
        ensure_settled(data)
    assert catalogs(cache) == [f"{first.version}.db"]
    assert Path(first.path).read_bytes() == content
    (data / "dataset.toml").unlink(missing_ok=True)
    assert ensure_settled(put({"a.json": [AL]})) == first


class Meddler:
    """A progress callback that rewrites the data once, when a stage is reached."""

    def __init__(self, stage: str, data: Path, content: str) -> None:
        self.stage, self.file, self.content = stage, data / "a.json", content

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage == self.stage and self.content:
            self.file.write_text(self.content)
            self.content = ""


@pytest.mark.parametrize("stage", ["read", "index"])
@pytest.mark.parametrize("content", [json.dumps([BO]), '[{"name": "b', "[7]", json.dumps([AL, BO])])
def test_files_that_change_while_they_are_read_are_not_reported_as_broken(
    put: Put, cache: Path, stage: str, content: str
) -> None:
    data = put({"a.json": [AL]})
    with pytest.raises(DataError, match="changed while it was read; try again"):
        ensure_catalog(data, progress=Meddler(stage, data, content))
    assert catalogs(cache) == []


def test_a_build_that_is_stopped_leaves_nothing(put: Put, cache: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("index", 1):
            raise KeyboardInterrupt

    data = put({"a.json": [AL]})
    with pytest.raises(KeyboardInterrupt):
        ensure_catalog(data, progress=stop)
    assert catalogs(cache) == []
    assert ensure_catalog(data).records == 1


@pytest.mark.parametrize("lines", [True, False])
def test_progress_goes_up_to_the_end(put: Put, lines: bool) -> None:
    records = [person("al", year=number) for number in range(12_000)]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    told: list[tuple[str, int, int]] = []
    ensure_catalog(
        put({"a.jsonl" if lines else "a.json": text}),
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    read = [done / total for stage, done, total in told if stage == "read"]
    assert read == sorted(read)
    assert (read[0], read[-1]) == (0, 1)
    assert any(0.3 < share < 0.5 for share in read)
    assert [one for one in told if one[0] == "index"][-1] == told[-1]
    assert told[-1][1] == told[-1][2] > 0


# -- the cache's folder --------------------------------------------------------------------------


def test_only_the_newest_catalogs_are_kept_and_those_in_use(put: Put, cache: Path) -> None:
    held = SqliteCatalog.open(ensure_catalog(put({"a.json": [person("held")]})).path)
    infos = []
    for number in range(MAX_CATALOGS + 4):
        info = ensure_catalog(put({"a.json": [person(f"p{number}")]}))
        # The file system's clock is too coarse to tell such quick builds apart.
        os.utime(info.path, ns=(number * 10**9, number * 10**9))
        infos.append(info)
    kept = {f"{info.version}.db" for info in infos[-MAX_CATALOGS:]}
    assert kept | {f"{held.info.version}.db"} >= set(catalogs(cache))
    assert set(catalogs(cache)) >= {f"{held.info.version}.db", f"{infos[-1].version}.db"}
    with held.reader() as reader:
        assert reader.find("getbyname", ["held"]).count == 1


def test_only_the_newest_stamps_are_kept(tmp_path: Path, cache: Path) -> None:
    write(cache / "stamps", {f"{number:032x}.json": "{}" for number in range(MAX_STAMPS + 10)})
    ensure_settled(write(tmp_path / "data", {"a.json": [AL]}))
    assert len(list((cache / "stamps").iterdir())) == MAX_STAMPS


def test_others_can_neither_list_nor_read_the_cache(put: Put, cache: Path) -> None:
    info = ensure_catalog(put({"a.json": [AL]}))
    assert Path(info.path).stat().st_mode & 0o077 == 0
    assert (cache / "catalogs").stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_made_is_explained(put: Put, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set ROLLCALL_CACHE to a folder that can be written"):
        ensure_catalog(put({"a.json": [AL]}), cache=tmp_path / "file" / "cache")


def test_a_catalog_that_cannot_be_written_is_explained(put: Put, cache: Path) -> None:
    def full(stage: str, done: int, total: int) -> None:
        if stage == "read":
            raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"the disk is full; make room there"):
        ensure_catalog(put({"a.json": [AL]}), progress=full)
    assert catalogs(cache) == []
