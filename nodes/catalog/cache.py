"""The catalog cache: a dataset's catalog is found again, or built if something changed.

    <cache>/catalogs/<version>.db      a catalog; never changed once it has that name
    <cache>/catalogs/.<random>.tmp     one that is being built, locked by who builds it
    <cache>/stamps/<key>.json          what a dataset's files looked like, and their catalog

The version is a digest of the files' content, which takes a second for a
gigabyte. The stamp spares even that: while the files look as they did (size,
times, inode), the catalog it names is theirs, and no data file is read.
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

from nodes.catalog.dataset import Dataset, load_dataset
from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.reader import Catalog
from nodes.catalog.sql_schema import FORMAT_VERSION
from nodes.errors import DataError
from nodes.support.files import write_atomically
from nodes.support.paths import cache_dir, make_private
from nodes.support.structs import ready

MAX_CATALOGS = 8
MAX_STAMPS = 64
SETTLE_NS = 50_000_000
"""A file changed less than this ago may change again within the same tick of the file
system's clock and look the same: until then only its content tells, not its looks."""


@ready
class _Stamp(msgspec.Struct, frozen=True):
    signature: str
    version: str


def ensure_catalog(
    data: Path,
    *,
    cache: Path | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
    force: bool = False,
    settle_ns: int = SETTLE_NS,
) -> CatalogInfo:
    """The catalog of a folder or file of records, built if there is none that fits.

    Args:
        data: a folder or a file of records.
        cache: the cache directory, by default the user's.
        skip_bad: leave bad records out instead of failing.
        progress: told how far a build is.
        force: build even if nothing changed.
        settle_ns: see `SETTLE_NS`.

    Raises:
        DataError: the records cannot be used, or change while they are read. Catalogs that
            are there already stay as they are.
    """
    dataset = load_dataset(data)
    root = cache if cache is not None else cache_dir()
    signature, settled = _signature(dataset, settle_ns)
    stamp = root / "stamps" / f"{_digest(os.fsencode(data.resolve()))}.json"
    catalogs = root / "catalogs"
    if not force and (stamped := _stamped(stamp, signature)):
        info = _usable(catalogs / f"{stamped}.db", skip_bad=skip_bad)
        if info:
            return info

    version = _version(dataset)
    target = catalogs / f"{version}.db"
    info = None if force else _usable(target, skip_bad=skip_bad)
    if info is None:

        def check_unchanged() -> None:
            same = _signature(dataset, settle_ns)[0] == signature
            if not same or (not settled and _version(dataset) != version):
                raise DataError(f"{data} changed while it was read; try again")

        _make_folder(catalogs)
        _build(dataset, target, check_unchanged, skip_bad=skip_bad, progress=progress or _silent)
        info = Catalog.open(target).info
    if settled:
        _write_stamp(stamp, _Stamp(signature, version))
    _clear_away(catalogs, target)
    return info


def _signature(dataset: Dataset, settle_ns: int) -> tuple[str, bool]:
    """How the dataset looks from outside, and whether any change from now on will show in that."""
    looks: list[tuple[int, int, int, int]] = []
    now = time.time_ns()
    for name in dataset.files:
        try:
            stat = (dataset.folder / name).stat()
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}") from None
        # ctime too: a tool may put back the mtime, nobody can put back the ctime.
        looks.append((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    digest = _digest(_definition(dataset), msgspec.json.encode(looks))
    return digest, all(ctime < now - settle_ns for _, _, ctime, _ in looks)


def _version(dataset: Dataset) -> str:
    """The digest of everything that makes a catalog what it is: 12 hex digits."""
    digest = blake2b(_definition(dataset))
    for name in dataset.files:
        path = dataset.folder / name
        try:
            with path.open("rb") as file:
                digest.update(f"\0{os.fstat(file.fileno()).st_size}\0".encode())
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()[:12]


def _definition(dataset: Dataset) -> bytes:
    lookups = list(dataset.lookups.items())
    return msgspec.json.encode((FORMAT_VERSION, dataset.name, dataset.files, lookups))


def _digest(*parts: bytes) -> str:
    return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _stamped(stamp: Path, signature: str) -> str | None:
    """The version that belongs to this look of the files, if there is a stamp that says so."""
    try:
        found = msgspec.json.decode(stamp.read_bytes(), type=_Stamp)
    except (OSError, ValueError):  # none yet, or damaged: the digest decides
        return None
    return found.version if found.signature == signature else None


def _write_stamp(stamp: Path, value: _Stamp) -> None:
    """Note the catalog for the next start. Without the note that start is slower, not wrong."""
    with suppress(OSError, DataError):
        _make_folder(stamp.parent)
        write_atomically(stamp, msgspec.json.encode(value))


def _usable(path: Path, *, skip_bad: bool) -> CatalogInfo | None:
    """What the catalog at `path` says of itself; None if it is missing, damaged or lacks records.

    One built with `skip_bad` has the same version: without it, bad records are still to be told.
    """
    try:
        catalog = Catalog.open(path)
        with catalog.reader() as reader:
            reader.ping()
    except DataError:
        return None
    if catalog.info.version != path.stem or (catalog.info.skipped and not skip_bad):
        return None
    with suppress(OSError):
        os.utime(path)  # the last one used is the last to be cleared away
    return catalog.info


def _build(
    dataset: Dataset,
    target: Path,
    check_unchanged: Callable[[], None],
    *,
    skip_bad: bool,
    progress: Progress,
) -> None:
    """Build beside the catalogs and rename into place; on any failure nothing is left."""
    from nodes.catalog.build import write_catalog  # noqa: PLC0415 - only a build needs it

    folder = target.parent
    _remove_leftovers(folder)
    try:
        with _temporary(folder) as temp:
            try:
                write_catalog(dataset, temp, target.stem, skip_bad=skip_bad, progress=progress)
            except DataError:
                check_unchanged()  # a file caught half written is not broken: it is not called so
                raise
            check_unchanged()
            temp.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise DataError(
            f"the catalog cannot be written in {folder}: {error};"
            " make room there, or set ROLLCALL_CACHE to another folder"
        ) from error


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A new file that only its owner can read, locked until the end of the block and then gone."""
    while True:
        temp = folder / f".{os.urandom(8).hex()}.tmp"
        descriptor = os.open(temp, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks: nobody can take it for a leftover
            flock(descriptor, LOCK_EX)
        if temp.exists():
            break
        os.close(descriptor)  # taken for a leftover before it was locked
    try:
        yield temp
    finally:
        temp.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed builds left: files that nobody has locked any more."""
    for path in folder.glob(".*.tmp"):
        _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    """Remove a file unless some process has it open and locked."""
    with suppress(OSError), path.open("rb") as file:
        flock(file, LOCK_EX | LOCK_NB)
        path.unlink()


def _clear_away(catalogs: Path, used: Path) -> None:
    """Remove all but the newest catalogs and stamps; one that somebody has open stays."""
    for path in _oldest(catalogs.glob("*.db"), MAX_CATALOGS):
        if path != used:
            _remove_unlocked(path)
    for path in _oldest((catalogs.parent / "stamps").glob("*.json"), MAX_STAMPS):
        with suppress(OSError):
            path.unlink()


def _oldest(paths: Iterable[Path], kept: int) -> list[Path]:
    """All but the `kept` newest."""
    ages: list[tuple[int, Path]] = []
    for path in paths:
        with suppress(OSError):  # another process was quicker
            ages.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(ages, reverse=True)[kept:]]


def _make_folder(folder: Path) -> None:
    try:
        make_private(folder)
    except OSError as error:
        raise DataError(
            f"the cache {folder} cannot be made: {error.strerror or error};"
            " set ROLLCALL_CACHE to a folder that can be written"
        ) from None


def _silent(stage: str, done: int, total: int) -> None:
    """Progress nobody watches."""
