"""Which catalog belongs to a dataset: found again if nothing changed, built if something did.

    <cache>/catalogs/<version>.db      a catalog; never changed once it has that name
    <cache>/catalogs/.<version>.<pid>-<random>.tmp    one that is being built
    <cache>/stamps/<key>.json          what a dataset's files looked like, and their catalog

The version is a digest of the files' content, which takes a second for a
gigabyte. The stamp spares even that: while the files look as they did (size,
times, inode), the catalog it names is theirs, and no data file is read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import blake2b
from pathlib import Path

import msgspec

from nodes.catalog.dataset import Dataset, load_dataset
from nodes.catalog.layout import FORMAT
from nodes.catalog.model import CatalogInfo, Progress
from nodes.catalog.reader import Catalog
from nodes.errors import DataError
from nodes.paths import cache_dir

KEPT_CATALOGS = 8
KEPT_STAMPS = 64
FRESH_NS = 50_000_000
"""A file changed less than this ago may change again within the same tick of the file
system's clock, and look the same: it is not stamped yet, so the next start digests it."""


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
) -> CatalogInfo:
    """The catalog of a folder or file of records, built if there is none that fits.

    `cache` is the cache directory, by default the user's; `skip_bad` leaves
    bad records out instead of failing; `force` builds even if nothing changed.
    Raises `DataError` if the records cannot be used or change while they are
    read; catalogs that are there already stay as they are.
    """
    dataset = load_dataset(data)
    root = cache if cache is not None else cache_dir()
    signature, newest = _signature(dataset, skip_bad=skip_bad)
    stamp = root / "stamps" / f"{_key(data, skip_bad=skip_bad)}.json"
    catalogs = root / "catalogs"
    if not force and (version := _stamped(stamp, signature)):
        info = _usable(catalogs / f"{version}.db")
        if info:
            return info

    def unchanged() -> None:
        if _signature(dataset, skip_bad=skip_bad)[0] != signature:
            raise DataError(f"{data} changed while it was read; try again")

    _make_folder(catalogs)
    target = catalogs / f"{_version(dataset, skip_bad=skip_bad)}.db"
    info = None if force else _usable(target)
    if info is None:
        _build(dataset, target, unchanged, skip_bad=skip_bad, progress=progress or _silent)
        info = Catalog.open(target).info
    unchanged()
    if time.time_ns() - newest > FRESH_NS:
        _write_stamp(stamp, _Stamp(signature, info.version))
    _clear_away(catalogs, target)
    return info


def _signature(dataset: Dataset, *, skip_bad: bool) -> tuple[str, int]:
    """How the dataset looks from outside, and when a file last changed (ns since the epoch)."""
    looks: list[tuple[int, int, int, int]] = []
    for name in dataset.files:
        try:
            stat = (dataset.folder / name).stat()
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror or error}") from None
        # ctime too: a tool may put back the mtime, nobody can put back the ctime.
        looks.append((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    digest = _digest(_definition(dataset, skip_bad=skip_bad), msgspec.json.encode(looks))
    return digest, max(ctime for _, _, ctime, _ in looks)


def _version(dataset: Dataset, *, skip_bad: bool) -> str:
    """The digest of everything that makes a catalog what it is: 12 hex digits."""
    digest = blake2b(_definition(dataset, skip_bad=skip_bad))
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


def _definition(dataset: Dataset, *, skip_bad: bool) -> bytes:
    lookups = list(dataset.lookups.items())
    return msgspec.json.encode((FORMAT, skip_bad, dataset.name, dataset.files, lookups))


def _key(data: Path, *, skip_bad: bool) -> str:
    return _digest(os.fsencode(data.resolve()), b"skip_bad" if skip_bad else b"")


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
    with suppress(OSError):
        _make_folder(stamp.parent)
        temp = stamp.with_name(f".{stamp.stem}.{_mine()}.tmp")
        temp.write_bytes(msgspec.json.encode(value))
        temp.replace(stamp)


def _usable(path: Path) -> CatalogInfo | None:
    """What the catalog at `path` says of itself; None if it is missing or damaged."""
    try:
        info = Catalog.open(path).info
    except DataError:
        return None
    if info.version != path.stem:
        return None
    with suppress(OSError):
        os.utime(path)  # the last one used is the last to be cleared away
    return info


def _build(
    dataset: Dataset,
    target: Path,
    unchanged: Callable[[], None],
    *,
    skip_bad: bool,
    progress: Progress,
) -> None:
    """Build beside the catalogs and rename into place; on any failure nothing is left."""
    from nodes.catalog.build import write_catalog  # noqa: PLC0415 - only a build needs it

    _remove_leftovers(target.parent)
    temp = target.with_name(f".{target.stem}.{_mine()}.tmp")
    try:
        try:
            write_catalog(dataset, temp, target.stem, skip_bad=skip_bad, progress=progress)
        except DataError:
            unchanged()  # a file caught half written is not broken, and is not called so
            raise
        unchanged()
        temp.replace(target)
    finally:
        temp.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed builds left: their files carry the id of a process that is gone."""
    import psutil  # noqa: PLC0415 - only a build needs it

    for path in folder.glob(".*.tmp"):
        owner = path.name.split(".")[2].partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            path.unlink(missing_ok=True)


def _clear_away(catalogs: Path, used: Path) -> None:
    """Remove all but the newest catalogs and stamps; one that somebody has open stays."""
    for path in _oldest(catalogs.glob("*.db"), KEPT_CATALOGS):
        if path == used:
            continue
        with suppress(OSError), path.open("rb") as file:
            flock(file, LOCK_EX | LOCK_NB)  # refused while a process has it open
            path.unlink()
    for path in _oldest((catalogs.parent / "stamps").glob("*.json"), KEPT_STAMPS):
        path.unlink(missing_ok=True)


def _oldest(paths: Iterable[Path], kept: int) -> list[Path]:
    """All but the `kept` newest."""
    ages: list[tuple[int, Path]] = []
    for path in paths:
        with suppress(OSError):  # another process was quicker
            ages.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(ages, reverse=True)[kept:]]


def _make_folder(folder: Path) -> None:
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the cache {folder} cannot be made: {error.strerror or error};"
            " set ROLLCALL_CACHE to a folder that can be written"
        ) from None


def _mine() -> str:
    return f"{os.getpid()}-{os.urandom(4).hex()}"


def _silent(stage: str, done: int, total: int) -> None:
    """Progress nobody watches."""
