"""The catalog cache: a dataset's catalog is found again, or built if something changed.

    <cache>/catalogs/<version>.db      a catalog; never changed once it has this name
    <cache>/catalogs/.<random>.tmp     a catalog being built, locked by the process that builds it
    <cache>/stamps/<key>.json          the signature of a dataset's files, and their catalog

The version is a digest of the files' content; computing it takes a second for a gigabyte. A stamp
saves even that: while the files have the same signature (size, times, inode), its catalog is
used and no data file is read.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import blake2b
from pathlib import Path

import msgspec

from nodes.catalog.dataset import Dataset
from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.readers.options import READING_VERSION
from nodes.catalog.seal import note_use, seal
from nodes.catalog.sql_schema import FORMAT_VERSION
from nodes.catalog.sqlite_reader import SqliteCatalog
from nodes.errors import DataError
from nodes.support.files import write_atomically
from nodes.support.os_errors import explain_os_error
from nodes.support.paths import cache_dir, make_private
from nodes.support.structs import ready

MAX_CATALOGS = 8
MAX_STAMPS = 64
SETTLE_NS = 50_000_000
"""The age from which a file's times can be trusted. A younger file may change again within the
same tick of the file system's clock, which its signature does not show; its content is read."""


@ready
class _Stamp(msgspec.Struct, frozen=True):
    signature: str
    version: str


def compiled_catalog(
    dataset: Dataset,
    data: Path,
    *,
    cache: Path | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    force: bool = False,
    settle_ns: int = SETTLE_NS,
) -> CatalogInfo:
    """Find the catalog of a dataset's files, or build it.

    Args:
        dataset: The dataset, as it was loaded from `data`.
        data, cache, skip_bad, progress, force, settle_ns: see
            `nodes.catalog.opening.ensure_catalog`.

    Raises:
        DataError: The records cannot be used, or they change while they are read. Existing
            catalogs stay as they are.
    """
    root = cache if cache is not None else cache_dir()
    signature, settled = _signature(dataset, settle_ns)
    stamp = root / "stamps" / f"{_digest(os.fsencode(data.resolve()))}.json"
    catalogs = root / "catalogs"
    if not force and (stamped := _read_stamp(stamp, signature)):
        info = open_valid(catalogs / f"{stamped}.db", skip_bad=skip_bad)
        if info:
            return info

    report = progress or ignore_progress
    version = _version(dataset, report)
    target = catalogs / f"{version}.db"
    info = None if force else open_valid(target, skip_bad=skip_bad)
    if info is None:

        def check_unchanged() -> None:
            same = _signature(dataset, settle_ns)[0] == signature
            if not same or (not settled and _version(dataset, ignore_progress) != version):
                raise DataError(f"{data} changed while it was read; try again")

        info = _build(dataset, target, check_unchanged, skip_bad=skip_bad, report=report)
    if settled:
        _write_stamp(stamp, _Stamp(signature, version))
    evict(catalogs, target)
    return info


def _signature(dataset: Dataset, settle_ns: int) -> tuple[str, bool]:
    """A digest of the files' size, times and inode, and whether a later change must alter it."""
    now = time.time_ns()
    stats = _stats(dataset)
    digest = _digest(_definition(dataset), msgspec.json.encode(stats))
    return digest, all(ctime < now - settle_ns for _, _, ctime, _ in stats)


def _stats(dataset: Dataset) -> list[tuple[int, int, int, int]]:
    """The size, times and inode of each of the dataset's files."""
    stats: list[tuple[int, int, int, int]] = []
    for name in dataset.files:
        try:
            stat = (dataset.folder / name).stat()
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}") from None
        # A tool may set the mtime back, but nothing can set the ctime back.
        stats.append((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    return stats


def _version(dataset: Dataset, report: Progress) -> str:
    """A digest of all that a catalog is built from, in 12 hex digits."""
    digest = blake2b(_definition(dataset))
    done, total = 0, sum(size for size, *_ in _stats(dataset))
    for name in dataset.files:
        for block in _content(dataset, name):
            digest.update(block)
            done = min(done + len(block), total)
            report("digest", done, total)
    return digest.hexdigest()[:12]


def _content(dataset: Dataset, name: str) -> Iterator[bytes]:
    """A file's size, as text, and what is in it."""
    try:
        with (dataset.folder / name).open("rb") as file:
            # What is appended meanwhile is not read: it may come as fast as it is read.
            left = os.fstat(file.fileno()).st_size
            yield f"\0{left}\0".encode()
            while left and (block := file.read(min(left, 1 << 20))):
                yield block
                left -= len(block)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from None


def _definition(dataset: Dataset) -> bytes:
    lookups = dataset.lookups.shapes()
    return msgspec.json.encode(
        (FORMAT_VERSION, READING_VERSION, dataset.name, dataset.files, lookups, dataset.reading)
    )


def _digest(*parts: bytes) -> str:
    return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _read_stamp(stamp: Path, signature: str) -> str | None:
    """The version in the stamp, if the stamp is for this signature."""
    try:
        found = msgspec.json.decode(stamp.read_bytes(), type=_Stamp)
    except (OSError, ValueError):  # missing or damaged: the version is computed instead
        return None
    return found.version if found.signature == signature else None


def _write_stamp(stamp: Path, value: _Stamp) -> None:
    """Write a stamp for the next start. A failure is harmless: that start is slower."""
    with suppress(OSError, DataError):
        make_cache_folder(stamp.parent)
        write_atomically(stamp, msgspec.json.encode(value))


def open_valid(path: Path, *, skip_bad: bool) -> CatalogInfo | None:
    """The info of the catalog at `path`; None if it is missing, damaged or lacks bad records.

    A catalog built with `skip_bad` has the same version. Without `skip_bad` it is not valid,
    because its bad records must be reported.
    """
    try:
        catalog = open_checked(path)
    except DataError:
        return None
    catalog.close()
    if catalog.info.version != path.stem or (catalog.info.skipped and not skip_bad):
        return None
    note_use(path)
    return catalog.info


def open_checked(path: Path) -> SqliteCatalog:
    """Open a catalog and read from it once. Raises `DataError`."""
    catalog = SqliteCatalog.open(path)
    try:
        with catalog.reader() as reader:
            reader.ping()
    except BaseException:
        catalog.close()
        raise
    return catalog


def _build(
    dataset: Dataset,
    target: Path,
    check_unchanged: Callable[[], None],
    *,
    skip_bad: bool,
    report: Progress,
) -> CatalogInfo:
    """Build in a temporary file and rename it to `target`; a failure leaves nothing behind."""
    from nodes.catalog.build import write_catalog  # noqa: PLC0415 - only a build needs it

    with draft_of(target) as temp:
        try:
            write_catalog(dataset, temp, target.stem, skip_bad=skip_bad, progress=report)
        except DataError:
            check_unchanged()  # a file being written is reported as changed, not as broken
            raise
        check_unchanged()
    catalog = SqliteCatalog.open(target)
    catalog.close()
    return catalog.info


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """A new file, to be written as the catalog at `target`; at the end of the block it is sealed
    and takes its place, unless an exception leaves the block.

    Raises:
        DataError: It cannot be written there; nothing of it is left.
    """
    folder = target.parent
    make_cache_folder(folder)
    _remove_leftovers(folder)
    try:
        with _temporary(folder) as temp:
            yield temp
            seal(temp)
            temp.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise DataError(
            f"the catalog cannot be written in {folder}: {explain_os_error(error)};"
            " make room there, or set ROLLCALL_CACHE to another folder"
        ) from error


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A new private file, locked until the end of the block and then removed."""
    while True:
        temp = folder / f".{os.urandom(8).hex()}.tmp"
        descriptor = os.open(temp, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # without locks on this file system, nobody removes leftovers
            flock(descriptor, LOCK_EX)
        if temp.exists():
            break
        os.close(descriptor)  # another process removed it before it was locked
    try:
        yield temp
    finally:
        temp.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed builds: those that no process has locked."""
    for path in folder.glob(".*.tmp"):
        remove_unlocked(path)


def remove_unlocked(path: Path) -> None:
    """Remove a file unless a process has it locked."""
    with suppress(OSError), path.open("rb") as file:
        flock(file, LOCK_EX | LOCK_NB)
        path.unlink()


def evict(catalogs: Path, used: Path) -> None:
    """Remove all but the newest catalogs and stamps; a catalog that is open stays."""
    for path in _all_but_newest(catalogs.glob("*.db"), MAX_CATALOGS):
        if path != used:
            remove_unlocked(path)
    for path in _all_but_newest((catalogs.parent / "stamps").glob("*.json"), MAX_STAMPS):
        with suppress(OSError):
            path.unlink()


def _all_but_newest(paths: Iterable[Path], kept: int) -> list[Path]:
    """All but the `kept` that were changed or used last."""
    ages: list[tuple[int, Path]] = []
    for path in paths:
        with suppress(OSError):  # another process has removed it
            ages.append((path.stat().st_ctime_ns, path))
    return [path for _, path in sorted(ages, reverse=True)[kept:]]


def make_cache_folder(folder: Path) -> None:
    try:
        make_private(folder)
    except OSError as error:
        raise DataError(
            f"the cache {folder} cannot be made: {error.strerror or error};"
            " set ROLLCALL_CACHE to a folder that can be written"
        ) from None


def ignore_progress(stage: str, done: int, total: int) -> None:
    """A progress callback that does nothing."""
