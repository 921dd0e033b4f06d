"""The launcher's catalogs, offered to workers that lack them: part by part, few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from nodes.catalog import CatalogInfo, file_digest, is_sealed
from nodes.errors import BadRequest, NotPossible, Overloaded, Stopping
from nodes.support.os_errors import explain_os_error
from nodes.wire import CatalogOffer

T = TypeVar("T")

PART_BYTES = 256 << 10
"""Bytes of a catalog that are sent at a time: what the loop writes in well under a millisecond."""

READING_THREADS = 2
"""Parts that are read at a time; the others wait for their turn."""

PART_EVERY_S = 0.002
"""Seconds between two parts, to whomever they go: more than a gigabit a second leaves none of the
loop's time to lookups."""

MAX_PARTS_ASKED = 64
"""Parts that are read or waited for; whoever asks for more is told to come back."""

PART_AGAIN_MS, DIGEST_AGAIN_MS = 200, 500
DIGEST_WAIT_S = 2.0
"""Seconds that one who asks for an offer waits for its digest; then it is to ask again."""


class CatalogPart(NamedTuple):
    """A part of a catalog's file: it crosses as bytes, in no envelope."""

    data: bytes


class _Identity(NamedTuple):
    """What tells a file from another that has taken its name."""

    device: int
    inode: int
    size: int
    changed_ns: int


class _Digested(NamedTuple):
    identity: _Identity
    digest: str


class CatalogOffers:
    """What workers may fetch. For the master's loop; files are read in threads beside it.

    Args:
        offered: the catalogs, first the one that is served.
        part_bytes: of a part.

    Attributes:
        part_bytes: as above.
    """

    def __init__(
        self, offered: Callable[[], Sequence[CatalogInfo]], *, part_bytes: int = PART_BYTES
    ) -> None:
        self._offered = offered
        self.part_bytes = part_bytes
        self._threads = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="catalog-parts")
        self._digested: dict[str, asyncio.Future[_Digested]] = {}
        self._asked = 0
        self._next_turn = 0.0
        self._stopped = False

    async def offer(self, version: str) -> CatalogOffer:
        """What is to be known of a catalog before it is fetched.

        Args:
            version: of the catalog, "" for the one that is served.

        Raises:
            NotPossible: there is no such catalog here.
            Overloaded: its digest is being worked out.
            Stopping: the next master has it.
        """
        info = self._find(version)
        if info.in_store:
            return CatalogOffer(info.version, max(1, info.bytes), "0" * 64, store=info.path)
        known = self._digested.get(info.version)
        if known is None or not _may_hold(known, info.path):
            for gone in self._digested.keys() - {one.version for one in self._offered()}:
                del self._digested[gone]
            known = self._digested[info.version] = self._run(self._digest, info.path)
        await asyncio.wait({known}, timeout=DIGEST_WAIT_S)
        if not known.done():
            raise Overloaded(
                "the digest of the catalog is being worked out", retry_after_ms=DIGEST_AGAIN_MS
            )
        found = known.result()
        return CatalogOffer(info.version, found.identity.size, found.digest)

    async def part(self, version: str, offset: int) -> CatalogPart:
        """A part of the file of a catalog that was offered.

        Args:
            version: of the catalog.
            offset: bytes that come before it.

        Raises:
            BadRequest: the file ends before.
            NotPossible: that catalog is offered no more, or not as it was.
            Overloaded: too many are asked for at a time.
            Stopping: the next master has it.
        """
        info, known = self._find(version), self._digested.get(version)
        if known is None or not _has_result(known):
            raise NotPossible(f"ask for the offer of catalog {version[:64]!r} first")
        identity = known.result().identity
        if offset >= identity.size:
            raise BadRequest(f"the catalog has {identity.size} bytes")
        if self._asked >= MAX_PARTS_ASKED:
            raise Overloaded("too many fetch a catalog now", retry_after_ms=PART_AGAIN_MS)
        self._asked += 1
        try:
            await self._wait_turn()
            data = await self._run(_read, info.path, identity, offset, self.part_bytes)
        finally:
            self._asked -= 1
        if not data:
            self._digested.pop(version, None)
            raise NotPossible(f"the file of catalog {version} is another now: ask for it anew")
        return CatalogPart(data)

    def stop(self) -> None:
        """Lets go of the threads, and of what they have under way."""
        self._stopped = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _wait_turn(self) -> None:
        now = time.monotonic()
        turn = max(now, self._next_turn)
        self._next_turn = turn + PART_EVERY_S
        if turn > now:
            await asyncio.sleep(turn - now)

    def _find(self, version: str) -> CatalogInfo:
        if self._stopped:
            raise Stopping("this master ends: ask the next one")
        offered = self._offered()
        if not offered:
            raise NotPossible(
                "this master has no records to give: start the worker with --data, or the master"
                " with 'rollcall-nodes up'"
            )
        for info in offered:
            if version in ("", info.version):
                return info
        raise NotPossible(f"this master does not serve catalog {version[:64]!r}")

    def _run(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _digest(self, path: str) -> _Digested:
        with _opened(path) as descriptor:
            identity = _identity(os.fstat(descriptor))
            return _Digested(identity, file_digest(descriptor, stopped=lambda: self._stopped))


def _has_result(known: asyncio.Future[_Digested]) -> bool:
    return known.done() and not known.cancelled() and known.exception() is None


def _may_hold(known: asyncio.Future[_Digested], path: str) -> bool:
    """Whether a digest, if it has been worked out, is of the file that is at `path` now."""
    if not known.done():
        return True
    try:
        return _has_result(known) and known.result().identity == _identity(Path(path).stat())
    except OSError:
        return False


def _identity(stat: os.stat_result) -> _Identity:
    return _Identity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _read(path: str, identity: _Identity, offset: int, size: int) -> bytes:
    """A part of that file, b"" if another has its name."""
    with _opened(path) as descriptor:
        same = _identity(os.fstat(descriptor)) == identity
        return os.pread(descriptor, size, offset) if same else b""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """The descriptor of a catalog's file.

    Raises:
        NotPossible: it cannot be read.
        Overloaded: it is gone or damaged, and is to be put back or built again.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if is_sealed(descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise NotPossible(f"the catalog cannot be read: {explain_os_error(error)}") from error
    raise Overloaded("the catalog's file is being put back", retry_after_ms=DIGEST_AGAIN_MS)
