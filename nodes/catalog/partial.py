"""A catalog that comes from elsewhere in parts: it is continued, verified, and named when whole.

    <cache>/catalogs/.<version>-<digest>.part    what has come so far, locked by whoever adds to it
    <cache>/catalogs/<version>.db                a catalog, as any other in the cache

What has come stays when its process is killed, for whoever goes on; its name tells of what it is a
part.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from hashlib import blake2b
from pathlib import Path

from nodes.catalog.cache import (
    evict,
    make_cache_folder,
    open_checked,
    open_valid,
    remove_unlocked,
)
from nodes.catalog.model import CatalogInfo
from nodes.catalog.seal import seal
from nodes.errors import DataError
from nodes.support.os_errors import explain_os_error
from nodes.support.paths import cache_dir

DIGEST_BYTES = 32
DIGEST_NAME_CHARS = 16
"""Characters of the digest in the name of a partial file."""

BLOCK_BYTES = 1 << 20
PARTIAL_KEPT_S = 86_400.0
"""Seconds after which a partial file that nobody goes on with is removed."""


def catalogs_folder(cache: Path | None = None) -> Path:
    """Where catalogs lie in a cache, by default the user's."""
    return (cache if cache is not None else cache_dir()) / "catalogs"


def cached_catalog(version: str, *, cache: Path | None = None) -> CatalogInfo | None:
    """The catalog of that version in the cache; None if there is none that can be used.

    Args:
        version: Letters and digits.
        cache: The cache directory, by default the user's.
    """
    return open_valid(catalogs_folder(cache) / f"{version}.db", skip_bad=True)


def file_digest(descriptor: int, *, stopped: Callable[[], bool] = lambda: False) -> str:
    """The digest of an open file, in hex; "" if it was stopped. Takes a second for a gigabyte."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    at = 0
    while block := os.pread(descriptor, BLOCK_BYTES, at):
        if stopped():
            return ""
        digest.update(block)
        at += len(block)
    return digest.hexdigest()


@contextmanager
def partial_catalog(
    version: str, *, digest: str, size: int, cache: Path | None = None
) -> Iterator[PartialCatalog | None]:
    """What has come of a catalog so far, held until the end of the block; None while another
    process adds to it, or if it is in the cache by now.

    Args:
        version: Letters and digits.
        digest: Of the whole file, see `file_digest`.
        size: Of the whole file, in bytes.
        cache: The cache directory, by default the user's.

    Raises:
        DataError: There is no room for it, or the folder cannot be written.
    """
    folder = catalogs_folder(cache)
    make_cache_folder(folder)
    path = folder / f".{version}-{digest[:DIGEST_NAME_CHARS]}.part"
    _remove_forgotten(folder, path)
    try:
        descriptor = _hold(path)
    except OSError as error:
        raise _unwritable(path, size, error) from error
    if descriptor is None:
        yield None
        return
    try:
        if cached_catalog(version, cache=cache) is None:
            yield PartialCatalog(path, descriptor, version=version, digest=digest, size=size)
        else:
            path.unlink(missing_ok=True)
            yield None
    finally:
        os.close(descriptor)


def bytes_so_far(version: str, *, digest: str, cache: Path | None = None) -> int:
    """How much of a catalog another process has fetched by now."""
    path = catalogs_folder(cache) / f".{version}-{digest[:DIGEST_NAME_CHARS]}.part"
    try:
        return path.stat().st_size
    except OSError:
        return 0


class PartialCatalog:
    """The file of a catalog that has not come in full; see `partial_catalog`.

    Attributes:
        have: The bytes that are here.
        size: The bytes of the whole.
    """

    def __init__(
        self, path: Path, descriptor: int, *, version: str, digest: str, size: int
    ) -> None:
        self._path = path
        self._descriptor = descriptor
        self._version = version
        self._digest = digest
        self.size = size
        self.have = os.fstat(descriptor).st_size
        if self.have > size:
            self._begin_anew()

    @property
    def in_place(self) -> bool:
        """Whether the file is where it was made: if not, its folder was removed, and what follows
        would be added to nothing.
        """
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def check_room(self) -> None:
        """Raises `DataError` if the disk has no room for the rest."""
        disk = os.fstatvfs(self._descriptor)
        if disk.f_bavail * disk.f_frsize < self.size - self.have:
            self._path.unlink(missing_ok=True)
            raise _unwritable(self._path, self.size, None)

    def add(self, data: bytes) -> None:
        """Add what follows.

        Raises:
            DataError: It cannot be written; nothing of it is left.
        """
        try:
            while data:
                written = os.pwrite(self._descriptor, data, self.have)
                self.have += written
                data = data[written:]
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise _unwritable(self._path, self.size, error) from error

    def finish(self, *, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Give the file its name, now that all of it is here.

        Args:
            stopped: Whether to leave it for another time, asked again and again.

        Returns:
            Whether that was done: what is not what it was to be is thrown away.

        Raises:
            DataError: It is, but no catalog that this version of Rollcall can use.
        """
        digest = file_digest(self._descriptor, stopped=stopped)
        if digest != self._digest:
            if digest:
                self._begin_anew()
            return False
        target = self._path.with_name(f"{self._version}.db")
        with suppress(OSError):  # without locks on this file system, nothing waits for one
            flock(self._descriptor, LOCK_SH)  # who opens a catalog takes such a lock
        if not self.in_place:
            # Its folder is gone; or another process took the lock between ours, and was quicker.
            return open_valid(target, skip_bad=True) is not None
        try:
            seal(self._descriptor)
            self._check_is_catalog()
            self._path.replace(target)
        except OSError as error:
            raise _unwritable(self._path, self.size, error) from error
        evict(target.parent, target)
        return True

    def _check_is_catalog(self) -> None:
        try:
            catalog = open_checked(self._path)
        except DataError as error:
            self._path.unlink(missing_ok=True)
            raise DataError(
                f"the catalog that the master sent cannot be used here ({error});"
                " is the same version of Rollcall on both machines?"
            ) from error
        catalog.close()
        if catalog.info.version != self._version:
            self._path.unlink(missing_ok=True)
            raise DataError(
                f"the master sent catalog {catalog.info.version} in place of {self._version}"
            )

    def _begin_anew(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self.have = 0


def _hold(path: Path) -> int | None:
    """Open the partial file and lock it; None if another process has it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # without locks on this file system, all write the same bytes
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except FileNotFoundError:
        pass  # it was given its name, or removed, before it was locked
    os.close(descriptor)
    return None


def _remove_forgotten(folder: Path, needed: Path) -> None:
    """Remove the partial files that nobody has gone on with for long."""
    oldest = time.time() - PARTIAL_KEPT_S
    for path in folder.glob(".*.part"):
        with suppress(OSError):  # another process has removed it
            if path != needed and path.stat().st_mtime < oldest:
                remove_unlocked(path)


def _unwritable(path: Path, size: int, error: OSError | None) -> DataError:
    why = "there is not enough room" if error is None else explain_os_error(error)
    return DataError(
        f"the catalog ({-(-size // 1_000_000):,} MB) cannot be kept in {path.parent}: {why};"
        " make room there, or set ROLLCALL_CACHE to another folder"
    )
